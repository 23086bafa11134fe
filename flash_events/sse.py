"""Server-Sent Events as bytes: framing, ids and splitting.

An event id is `<epoch>-<number>`. The epoch names a log, whose events are numbered from 1.
"""

from collections.abc import Sequence
from itertools import chain

END = b"\n\n"
"""The bytes that end an event."""

HEARTBEAT = b": heartbeat\n"
"""A comment, which shows that the connection is alive. No empty line follows it: that would end an
event, and clients such as httpx-sse and fetch-event-source would deliver an empty one."""


def frame(name: str, data: str) -> bytes:
    """Return an event without an id; `data` must be a single line."""
    return f"event: {name}\ndata: {data}\n\n".encode()


def event_id(epoch: str, number: int) -> str:
    """Return the id of an event; "" for number 0, which means before the first event."""
    return f"{epoch}-{number}" if number else ""


def number_of(last_event_id: str, epoch: str) -> int | None:
    """Return the number in an event id; 0 for the empty id, None for an id of another epoch."""
    if not last_event_id:
        return 0
    named, _, number = last_event_id.rpartition("-")
    return int(number) if named == epoch and number.isdecimal() else None


def with_ids(epoch: str, first: int, events: Sequence[bytes], end: bytes = b"") -> bytes:
    """Return events as one piece, each with its id.

    Args:
        epoch: the epoch of the log.
        first: the number of the first event.
        events: the events.
        end: bytes to append to each event: `END` for events from `split`.
    """
    event = b"id: %b-%%d\n%%b%b" % (epoch.encode(), end)
    return event * len(events) % tuple(chain.from_iterable(enumerate(events, first)))


def after(data: bytes, epoch: str, number: int) -> bytes:
    """Return the events after the one with this number, in a result of `with_ids`."""
    return data[data.index(b"id: %b-%d\n" % (epoch.encode(), number + 1)) :]


def split(data: bytes) -> list[bytes]:
    """Return the single events, without their ends, of data that ends with an event's end."""
    return data.split(END)[:-1]


def without_id(event: bytes) -> bytes:
    """Return an event without its id, which must have one."""
    return event.partition(b"\n")[2]
