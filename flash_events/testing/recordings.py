"""Recordings that the dev tools' panel has saved, for tests."""

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
        triggered: the triggers, as `id.property`.
        updates: pairs of seconds since the start and update, in order.
        reason: reason of the end: `done`, `cancelled`, `error` or `lost`; "" for a live run.
        is_cut: whether updates are missing because the panel's limit was reached.
    """

    callback: str
    triggered: tuple[str, ...]
    updates: tuple[tuple[float, Update], ...]
    reason: str = ""
    is_cut: bool = False

    def values(self, component_id: ComponentId, prop: str) -> list[Any]:
        """Return all values that the run has streamed to a prop, in order."""
        return values_of((update for _, update in self.updates), component_id, prop)


def recordings(path: str | PathLike[str]) -> list[Recording]:
    """Return the runs in a file that the panel in Dash's dev tools has saved, the latest last.

    Raises:
        ValueError: if it is not such a file.
    """
    with open(path, encoding="utf-8") as file:
        found = json.load(file)
    if not isinstance(found, dict) or found.get("flash_events") != 1:
        raise ValueError(
            f"Expected a file that the dev tools' panel has saved (streams.json), got {path}."
        )
    return [recording_of(one) for one in found["runs"]]


async def replay(recording: Recording, speed: float = 1.0) -> AsyncIterator[Update]:
    """Yield the updates of a recording, with its pauses, in place of a generator's own updates.

    Args:
        recording: a recording from `recordings`.
        speed: factor of speed: 2 is twice as fast, `float("inf")` skips the pauses.
    """
    passed = 0.0
    for seconds, update in recording.updates:
        await asyncio.sleep(max(0.0, seconds - passed) / speed)
        passed = seconds
        yield update


def recording_of(fields: dict[str, Any]) -> Recording:
    """Return a recording from its JSON form."""
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
