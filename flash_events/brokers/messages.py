"""Messages between workers: small frozen values, encoded as JSON between processes."""

import json
from dataclasses import dataclass, fields
from typing import Any, ClassVar, get_origin

from flash_events.brokers.ids import ConnectionId, RunId, WorkerId


class Signal:
    """Base of every message between workers.

    Subclasses are frozen dataclasses whose fields are JSON values, tuples of them, or a `Signal`;
    their names are unique.
    """

    __slots__ = ()
    kinds: ClassVar[dict[str, type["Signal"]]] = {}

    def __init_subclass__(cls) -> None:
        Signal.kinds[cls.__name__] = cls


@dataclass(frozen=True, slots=True)
class Stop(Signal):
    """Cancel these runs if they belong to `owner`. The answer comes when they have stopped."""

    runs: tuple[RunId, ...]
    owner: str


@dataclass(frozen=True, slots=True)
class Gone(Signal):
    """The client of a connection has vanished for good."""

    connection: ConnectionId


@dataclass(frozen=True, slots=True)
class Lost(Signal):
    """The log of a connection is lost; a worker tells it itself."""

    connection: ConnectionId


@dataclass(frozen=True, slots=True)
class Failed(Signal):
    """A run that no worker drives has failed; the holder of its connection ends it.

    Attributes:
        run: its id.
        code: a short stable word for the cause.
        message: says more, to developers.
    """

    run: RunId
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Moved(Signal):
    """Another worker now holds a connection."""

    connection: ConnectionId


@dataclass(frozen=True, slots=True)
class Alive(Signal):
    """The client of a connection has answered a heartbeat."""

    connection: ConnectionId


@dataclass(frozen=True, slots=True)
class Attach(Signal):
    """A page wants a run's snapshot, and what follows, on this connection.

    Attributes:
        run: its id.
        connection: carries the run's events from now on.
        seen: the number of the last update that the page has applied.
        request: the same when the page asks again because the answer was lost.
    """

    run: RunId
    connection: ConnectionId
    seen: int
    request: str


@dataclass(frozen=True, slots=True)
class Readable(Signal):
    """A connection's log has new events for the worker that holds it."""

    connection: ConnectionId


@dataclass(frozen=True, slots=True)
class Room(Signal):
    """A connection's log has room again; `handed` is the cost of all that was ever handed over."""

    connection: ConnectionId
    handed: int


@dataclass(frozen=True, slots=True)
class Question(Signal):
    """A request that the worker `sender` waits to have answered; see `Signals.ask`."""

    number: int
    sender: WorkerId
    request: Signal


@dataclass(frozen=True, slots=True)
class Answer(Signal):
    """The answer to a question of the worker that gets it.

    Attributes:
        number: of the question.
        value: what the handler has returned, as JSON has it.
        error: the exception that the handler has raised; "" if it has returned.
    """

    number: int
    value: Any
    error: str = ""


def encode(signal: Signal) -> bytes:
    """A signal as JSON."""
    return json.dumps(_fields_of(signal)).encode()


def decode(data: bytes) -> Signal:
    """A signal from its JSON."""
    return _signal_of(json.loads(data))


def _fields_of(signal: Signal) -> dict[str, Any]:
    kind: Any = type(signal)
    values: dict[str, Any] = {name: getattr(signal, name) for name in kind.__slots__}
    for name, value in values.items():
        if isinstance(value, Signal):
            values[name] = _fields_of(value)
    return {"kind": kind.__name__, **values}


def _signal_of(values: dict[str, Any]) -> Signal:
    kind: Any = Signal.kinds[values.pop("kind")]
    for field in fields(kind):
        value = values.get(field.name)
        if field.type is Signal and value is not None:
            values[field.name] = _signal_of(value)
        elif isinstance(value, list) and get_origin(field.type) is tuple:
            values[field.name] = tuple(value)
    signal: Signal = kind(**values)
    return signal
