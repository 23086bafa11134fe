"""Where a run is: at a worker, in a task queue, or nowhere."""

from dataclasses import dataclass

from flash_events.brokers.ids import WorkerId


@dataclass(frozen=True, slots=True)
class At:
    """A worker has the run's generator, or had it when the run ended."""

    worker: WorkerId


@dataclass(frozen=True, slots=True)
class Queued:
    """The run waits in a task queue."""


@dataclass(frozen=True, slots=True)
class Nowhere:
    """No worker has the run: it is unknown, or was stopped before it started."""


Place = At | Queued | Nowhere

QUEUED = Queued()
NOWHERE = Nowhere()

_QUEUED_TEXT = "queued"


def encode_place(place: Place) -> str:
    """A place as text, for stores and scripts: the worker's id, "queued" or ""."""
    match place:
        case At(worker):
            return worker
        case Queued():
            return _QUEUED_TEXT
        case Nowhere():
            return ""


def decode_place(text: str) -> Place:
    """The place that `encode_place` has encoded."""
    if text == _QUEUED_TEXT:
        return QUEUED
    return At(WorkerId(text)) if text else NOWHERE
