"""Server-Sent Events as bytes: framing, ids, and splitting.

An event id is `<epoch>-<number>`. The epoch names a log, whose events are numbered from 1.
"""

from collections.abc import Sequence
from itertools import chain

END = b"\n\n"
"""The end of an event."""

HEARTBEAT = b": heartbeat\n"
"""A comment, which shows that the connection is alive. No empty line follows it: that would end an
event, and clients such as httpx-sse and fetch-event-source would deliver an empty one."""


def frame(name: str, data: str) -> bytes:
    """An event without an id; `data` is one line."""
    return f"event: {name}\ndata: {data}\n\n".encode()


def event_id(epoch: str, number: int) -> str:
    """The id of an event; empty for number 0, before the first event."""
    return f"{epoch}-{number}" if number else ""


def number_of(last_event_id: str, epoch: str) -> int | None:
    """The number in an event id, 0 for the empty id; None for an id of another epoch."""
    if not last_event_id:
        return 0
    named, _, number = last_event_id.rpartition("-")
    return int(number) if named == epoch and number.isdecimal() else None


def with_ids(epoch: str, first: int, events: Sequence[bytes], end: bytes = b"") -> bytes:
    """Events in one piece, each with its id; `end` follows each, for events that were split."""
    event = b"id: %b-%%d\n%%b%b" % (epoch.encode(), end)
    return event * len(events) % tuple(chain.from_iterable(enumerate(events, first)))


def after(data: bytes, epoch: str, number: int) -> bytes:
    """The events of `with_ids` that follow the one with this number."""
    return data[data.index(b"id: %b-%d\n" % (epoch.encode(), number + 1)) :]


def split(data: bytes) -> list[bytes]:
    """Whole events one by one, without their ends."""
    return data.split(END)[:-1]


def without_id(event: bytes) -> bytes:
    """An event of `with_ids` without its id."""
    return event.partition(b"\n")[2]
