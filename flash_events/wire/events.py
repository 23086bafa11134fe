"""Events <-> bytes: the only place in Python that knows the wire.

The wire is Server-Sent Events, UTF-8, one line of JSON per event; `docs/protocol.md` describes it,
and `tests/vectors/` holds examples that pytest and vitest both read.
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from flash_events import bridge, sse
from flash_events.errors import EncodingError
from flash_events.updates import Update
from flash_events.wire.json import to_json
from flash_events.wire.unsendable import culprit

VERSION = 1
"""Of the protocol. A page that speaks another version is asked to reload."""

_FAILURE = ("code", "ref", "message", "callback", "trace")
"""The members of `error` on the wire; without a value they are left out."""


class Reason(StrEnum):
    """Why a run ended."""

    DONE = "done"
    CANCELLED = "cancelled"
    ERROR = "error"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Failure:
    """What a browser may know of an error.

    Attributes:
        code: a short stable word: `callback_error`, `timeout`, ...
        ref: stands in the server's log beside the traceback.
        message: the error's own text; only in debug mode.
        callback: the name of the failed function; only in debug mode.
        trace: where the function is, and the traceback; only in debug mode.
    """

    code: str
    ref: str
    message: str | None = None
    callback: str | None = None
    trace: str | None = None


@dataclass(frozen=True, slots=True)
class Started:
    run: str


@dataclass(frozen=True, slots=True)
class Updated:
    """One update of a run.

    Attributes:
        run: the run's id.
        number: counts the run's updates from 1.
        body: from `encode_update`.
        is_snapshot: stands for all updates up to this number.
    """

    run: str
    number: int
    body: bytes
    is_snapshot: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """The last event of a run.

    Attributes:
        run: the run's id.
        number: how many updates it sent.
        reason: why it ended.
        failure: with reason `error`.
        body: what `on_error` streams, from `encode_update`.
    """

    run: str
    number: int
    reason: Reason
    failure: Failure | None = None
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """The first event of every stream.

    Attributes:
        connection: its id.
        commands: props that are commands besides those that the browser knows.
        heartbeat_seconds: time between two heartbeats, at most, from which a client knows when the
            connection is cut.
        version: of the protocol.
    """

    connection: str
    commands: tuple[str, ...] = ()
    heartbeat_seconds: float = 15.0
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Draining:
    pass


@dataclass(frozen=True, slots=True)
class Closed:
    pass


@dataclass(frozen=True, slots=True)
class Encoded(Update):
    """An update that another process has encoded already.

    Attributes:
        body: from `encode_update`.
    """

    body: bytes = b""


Event = Started | Updated | Ended | Opened | Draining | Closed


def encode(event: Event) -> bytes:
    """An event as SSE, without its `id` line, which is its position in a log."""
    match event:
        case Updated(run, number, body, is_snapshot):
            mark = b'"snapshot":true,' if is_snapshot else b""
            return encode_numbered(update_head(run), number, mark + body)
        case Started(run):
            return _frame("start", {"run": run})
        case Ended():
            return _encode_end(event)
        case Opened(connection, commands, seconds, version):
            fields: dict[str, Any] = {"version": version, "connection": connection}
            fields |= {"heartbeat_seconds": seconds}
            return _frame("open", fields | ({"commands": commands} if commands else {}))
        case Draining():
            return _frame("drain", {})
        case Closed():
            return _frame("close", {})


def update_head(run: str) -> bytes:
    """How each update of a run begins, made once for all of them; see `encode_numbered`."""
    return b'event: update\ndata: {"run":"%b","n":' % run.encode()


def encode_numbered(head: bytes, number: int, body: bytes) -> bytes:
    """The event of an update, from its parts; `body` may begin with other members."""
    return b"%b%d,%b}\n\n" % (head, number, body)


def encode_update(update: Update, max_bytes: int) -> bytes:
    """The members `"set"` and `"alone"` of an update's JSON, without the braces.

    Args:
        update: what the run yielded.
        max_bytes: the largest allowed result.

    Raises:
        EncodingError: a value cannot be sent (names id, prop and type), or it is too large.
    """
    if isinstance(update, Encoded):
        return _checked(update.body, max_bytes)
    try:
        body = b'"set":%b' % to_json(
            [
                (one if type(one) is str else bridge.wire_id(one), props)
                for one, props in update.targets
            ]
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise culprit(update, error) from error
    body = _checked(body, max_bytes)
    return body + b',"alone":true' if update.alone else body


def with_place(body: bytes, place: str) -> bytes:
    """An encoded update that says where in the app's code it was made; only in debug mode."""
    return b'%b,"at":%b' % (body, to_json(place))


def decode_update(body: bytes) -> Encoded:
    """An update from what `encode_update` has made of it; its ids are as they are on the wire.

    It is encoded anew: what another process has put into a queue may hold more than an update, and
    line ends that would split the event.

    Raises:
        EncodingError: it is no update.
    """
    try:
        fields = json.loads(b"{%b}" % body)
        targets = tuple((component_id, props) for component_id, props in fields["set"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise EncodingError(f"Expected an update, got {body!r:.80}.") from error
    if not all(type(one) is str and type(props) is dict for one, props in targets):
        raise EncodingError(f"Expected an update of ids and props, got {body!r:.80}.")
    return Encoded(targets, bool(fields.get("alone")), _body(fields))


def decode(name: str, data: str) -> Event | None:
    """An event from its SSE fields; None for an event that this version does not know."""
    fields = json.loads(data)
    match name:
        case "start":
            return Started(fields["run"])
        case "update":
            is_snapshot = fields.get("snapshot", False)
            return Updated(fields["run"], fields["n"], _body(fields), is_snapshot)
        case "end":
            error = fields.get("error")
            failure = error and Failure(**{name: error.get(name) for name in _FAILURE})
            body = _body(fields) if "set" in fields else None
            return Ended(fields["run"], fields["n"], Reason(fields["reason"]), failure, body)
        case "open":
            return Opened(
                fields["connection"],
                tuple(fields.get("commands", ())),
                fields["heartbeat_seconds"],
                fields["version"],
            )
        case "drain":
            return Draining()
        case "close":
            return Closed()
    return None


def _encode_end(event: Ended) -> bytes:
    fields: dict[str, Any] = {"run": event.run, "n": event.number, "reason": event.reason}
    if event.failure is not None:
        told = {name: getattr(event.failure, name) for name in _FAILURE}
        fields["error"] = {name: value for name, value in told.items() if value is not None}
    frame = _frame("end", fields)
    if event.body is None:
        return frame
    return b"%b,%b}\n\n" % (frame.removesuffix(b"}\n\n"), event.body)


def _frame(name: str, fields: dict[str, Any]) -> bytes:
    return sse.frame(name, json.dumps(fields, separators=(",", ":")))


def _body(fields: dict[str, Any]) -> bytes:
    body = b'"set":%b' % to_json(fields["set"])
    return body + b',"alone":true' if fields.get("alone") else body


def _checked(body: bytes, max_bytes: int) -> bytes:
    if len(body) > max_bytes:
        raise EncodingError(
            f"An update of {len(body):,} bytes is larger than max_event_bytes={max_bytes:,}. "
            "Stream it in parts, or raise max_event_bytes in FlashEvents(app, ...)."
        )
    return body
