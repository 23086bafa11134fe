"""Entries of a log's stream: their events with ids, and the proof that none is missing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from flash_events import sse
from flash_events.errors import GoneCause, LogGone


@dataclass(frozen=True, slots=True)
class Entry:
    """Events with numbers in a row, as `lua/append.lua` writes them.

    Attributes:
        end: the number of its last event.
        count: of its events.
        data: its events, in one piece.
        cost: of all that was ever appended, up to here.
        size: bytes of all that was ever appended, up to here.
    """

    end: int
    count: int
    data: bytes
    cost: int
    size: int

    @classmethod
    def of(cls, entry_id: bytes, fields: Sequence[bytes]) -> Self:
        """From what Redis answers."""
        values = dict(zip(fields[::2], fields[1::2], strict=True))
        end = int(entry_id.rpartition(b"-")[2])
        return cls(end, int(values[b"n"]), values[b"d"], int(values[b"c"]), int(values[b"b"]))

    def events_after(self, position: int, epoch: str) -> bytes:
        """Its events after a number, each with its id."""
        events = sse.split(self.data)
        first = self.end - len(events) + 1
        if position >= first:
            events, first = events[position - first + 1 :], position + 1
        return sse.with_ids(epoch, first, events, sse.END)


def check(entries: Sequence[Entry], number: int, last: int) -> None:
    """Raise `LogGone` where events are missing between a number and the entries after it.

    Args:
        entries: what Redis has after the number.
        number: of the last event that was read.
        last: the number of the log's last event.
    """
    is_missing = not entries or entries[0].end - entries[0].count > number
    if number > last or (number < last and is_missing):
        raise LogGone(GoneCause.NOT_KEPT)
