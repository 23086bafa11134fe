"""Encoding and decoding of events; no other Python module knows their wire format.

The format is Server-Sent Events in UTF-8, with one line of JSON per event. `docs/protocol.md`
describes it, and `tests/vectors/` holds examples that pytest and vitest both read.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from flash_events import bridge, sse
from flash_events.errors import EncodingError
from flash_events.updates import Update
from flash_events.wire.json import embedded, to_json
from flash_events.wire.unsendable import culprit

VERSION = 1
"""Version of the protocol. A page that uses another version is asked to reload."""

_FAILURE = ("code", "ref", "message", "callback", "trace")
"""The members of `error` on the wire; members without a value are omitted."""


class Reason(StrEnum):
    """Why a run ended."""

    DONE = "done"
    CANCELLED = "cancelled"
    ERROR = "error"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Failure:
    """The part of an error that is sent to the browser.

    Attributes:
        code: a short, stable word for the kind of error: `callback_error`, `timeout`, ...
        ref: a reference, which the server's log has beside the traceback.
        message: the error's own text; only in debug mode.
        callback: the name of the failed function; only in debug mode.
        trace: the source location of the function, and the traceback; only in debug mode.
    """

    code: str
    ref: str
    message: str | None = None
    callback: str | None = None
    trace: str | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """The first event of a run, unless it is attached to."""

    run: str


@dataclass(frozen=True, slots=True)
class Updated:
    """One update of a run.

    Attributes:
        run: the id of the run.
        number: the number of the update in its run, from 1.
        body: the update, encoded by `encode_update`.
        is_snapshot: whether it belongs to a snapshot, which replaces all updates up to `number`.
    """

    run: str
    number: int
    body: bytes
    is_snapshot: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """The last event of a run.

    Attributes:
        run: the id of the run.
        number: the number of updates that the run has sent.
        reason: why the run ended.
        failure: the error, with reason `error`.
        body: the update of `on_error`, encoded by `encode_update`.
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
        connection: the id of the connection.
        commands: command props besides those that the browser knows.
        heartbeat_seconds: maximum time between two heartbeats, from which the client derives its
            timeout for a silent connection.
        version: version of the protocol.
    """

    connection: str
    commands: tuple[str, ...] = ()
    heartbeat_seconds: float = 15.0
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Draining:
    """The last event of a stream on a stopping worker: the client resumes on another one."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The last event of a connection without runs."""


@dataclass(frozen=True, slots=True)
class Encoded(Update):
    """An update that another process has encoded already.

    Attributes:
        body: the update, encoded by `encode_update`.
    """

    body: bytes = b""


Event = Started | Updated | Ended | Opened | Draining | Closed


def encode(event: Event) -> bytes:
    """Return an event as SSE, without its `id` line, which is its position in a log."""
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
    """Return the common start of all updates of a run, for `encode_numbered`."""
    return b'event: update\ndata: {"run":"%b","n":' % run.encode()


def encode_numbered(head: bytes, number: int, body: bytes) -> bytes:
    """Return the event of an update from its parts; `body` may begin with further members."""
    return b"%b%d,%b}\n\n" % (head, number, body)


def encode_update(update: Update, max_bytes: int) -> bytes:
    """Return the members `"set"` and `"alone"` of an update's JSON, without the braces.

    Args:
        update: the update.
        max_bytes: maximum size of the result.

    Raises:
        EncodingError: if a value cannot be sent (the message names id, prop and type), or if the
            update is too large.
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


class PartedBody(bytes):
    """An encoded update that also has the JSON of each prop, so that nobody must parse it again.

    Attributes:
        alone: whether the update is never collapsed with another.
        props: component id, name and JSON of each prop, in order.
    """

    alone: bool
    props: tuple[tuple[str, str, bytes], ...]

    @classmethod
    def of(cls, body: bytes, alone: bool, props: Iterable[tuple[str, str, bytes]]) -> Self:
        """Return a body with its parts."""
        parted = cls(body)
        parted.alone, parted.props = alone, tuple(props)
        return parted


def encode_parted(update: Update, max_bytes: int) -> bytes:
    """Return what `encode_update` returns, as a `PartedBody` unless its keys are unusual."""
    if isinstance(update, Encoded):
        return encode_update(update, max_bytes)
    try:
        parts = [
            (
                one if type(one) is str else bridge.wire_id(one),
                {prop: to_json(value) for prop, value in props.items()},
            )
            for one, props in update.targets
        ]
        body = b'"set":%b' % to_json(
            [(one, {prop: embedded(json) for prop, json in props.items()}) for one, props in parts]
        )
    except (TypeError, ValueError, RecursionError):
        return encode_update(update, max_bytes)  # which names what cannot be sent
    if not all(type(prop) is str for _, props in parts for prop in props):
        return encode_update(update, max_bytes)
    body = _checked(body, max_bytes)
    props = ((one, prop, json) for one, props in parts for prop, json in props.items())
    return PartedBody.of(body + b',"alone":true' if update.alone else body, update.alone, props)


def with_place(body: bytes, place: str) -> bytes:
    """Return an encoded update with the source location that made it; only for debug mode."""
    placed = b'%b,"at":%b' % (body, to_json(place))
    if isinstance(body, PartedBody):
        return PartedBody.of(placed, body.alone, body.props)
    return placed


def decode_update(body: bytes) -> Encoded:
    """Return an update from its encoded form; its ids are those on the wire.

    It is encoded anew, because data from another process may contain other members, or line ends
    that would split the event.

    Raises:
        EncodingError: if `body` is not an update.
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
    """Return an event from its SSE fields; None for a kind that this version does not know."""
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
        values = {name: getattr(event.failure, name) for name in _FAILURE}
        fields["error"] = {name: value for name, value in values.items() if value is not None}
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
            "Stream it in parts, or increase max_event_bytes in FlashEvents(app, ...)."
        )
    return body
