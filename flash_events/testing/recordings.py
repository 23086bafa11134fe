"""What the dev tools' panel has recorded, for tests."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from os import PathLike
from typing import Any

from flash_events.testing.decoding import update_of, values_of
from flash_events.updates import ComponentId, Update

ALIVE = ("queued", "running")
"""The states of a run that has not ended."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A run as a page has received it.

    Attributes:
        callback: module and name of the event callback.
        triggered: what has triggered it, as `id.property`.
        updates: seconds since its start, and the update, in order.
        reason: how it has ended: `done`, `cancelled`, `error` or `lost`; "" where it had not.
        is_cut: there was more than the panel keeps.
    """

    callback: str
    triggered: tuple[str, ...]
    updates: tuple[tuple[float, Update], ...]
    reason: str = ""
    is_cut: bool = False

    def values(self, component_id: ComponentId, prop: str) -> list[Any]:
        """All values that the run has streamed to a prop, in order."""
        return values_of((update for _, update in self.updates), component_id, prop)


def recordings(path: str | PathLike[str]) -> list[Recording]:
    """Reads a file that the panel in Dash's dev tools has saved; the latest run is the last.

    Raises:
        ValueError: it is none.
    """
    with open(path, encoding="utf-8") as file:
        found = json.load(file)
    if not isinstance(found, dict) or found.get("flash_events") != 1:
        raise ValueError(
            f"Expected what the dev tools' panel has saved (streams.json), got {path}."
        )
    return [recording_of(one) for one in found["runs"]]


async def replay(recording: Recording, speed: float = 1.0) -> AsyncIterator[Update]:
    """Yields what was recorded, with its pauses: the body of an event callback for tests.

    Args:
        recording: from `recordings`.
        speed: 2 is twice as fast; the pauses are skipped with `float("inf")`.
    """
    passed = 0.0
    for seconds, update in recording.updates:
        await asyncio.sleep(max(0.0, seconds - passed) / speed)
        passed = seconds
        yield update


def recording_of(fields: dict[str, Any]) -> Recording:
    """A recording from what the page's script makes of it."""
    updates = [
        (one["ms"] / 1000, update_of(one["event"]["set"], one["event"].get("alone", False)))
        for one in fields["events"]
        if one["event"]["type"] == "update"
    ]
    state = fields["state"]
    return Recording(
        fields["callback"],
        tuple(fields["triggered"]),
        tuple(updates),
        "" if state in ALIVE else state,
        fields["is_cut"],
    )
