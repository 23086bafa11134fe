"""What workers tell each other: small frozen values, JSON between processes."""

import json
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Stop:
    """Cancel these runs, if they belong to `owner`; then tell the worker `sender`, if named."""

    runs: tuple[str, ...]
    owner: str
    sender: str = ""


@dataclass(frozen=True, slots=True)
class Stopped:
    """These runs have stopped, or were not there."""

    runs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Gone:
    """The client of a connection has vanished for good."""

    connection: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The log of a connection is lost; a worker tells it itself."""

    connection: str


@dataclass(frozen=True, slots=True)
class Moved:
    """Another worker now holds a connection."""

    connection: str


@dataclass(frozen=True, slots=True)
class Alive:
    """The client of a connection has answered a heartbeat."""

    connection: str


@dataclass(frozen=True, slots=True)
class Attach:
    """A page wants what a run has streamed so far, and what follows, on this connection.

    Attributes:
        run: its id.
        connection: where its events shall go from now on.
        seen: the number of the last update that the page has applied.
        request: the same when the page asks again because the answer was lost.
    """

    run: str
    connection: str
    seen: int
    request: str


@dataclass(frozen=True, slots=True)
class Readable:
    """A connection's log has news for the worker that holds it."""

    connection: str


@dataclass(frozen=True, slots=True)
class Room:
    """A connection's log has room again; `handed` is the cost of all that was ever handed over."""

    connection: str
    handed: int


Signal = Stop | Stopped | Gone | Lost | Moved | Alive | Attach | Readable | Room

_KINDS: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (Stop, Stopped, Gone, Lost, Moved, Alive, Attach, Readable, Room)
}


def encode(signal: Signal) -> bytes:
    """A signal as JSON."""
    return json.dumps({"kind": type(signal).__name__, **asdict(signal)}).encode()


def decode(data: bytes) -> Signal:
    """A signal from its JSON."""
    fields = json.loads(data)
    kind = _KINDS[fields.pop("kind")]
    signal: Signal = kind(
        **{
            name: tuple(value) if isinstance(value, list) else value
            for name, value in fields.items()
        }
    )
    return signal
