"""What a page may ask, and every check that needs no more than the request itself."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from flash_events.brokers.ids import CallbackId, ConnectionId, PageId, RunId
from flash_events.errors import Refused
from flash_events.settings import Settings
from flash_events.wire import events

_Kind = TypeVar("_Kind")

_ID = re.compile(r"[A-Za-z0-9_-]{22}")
"""16 random bytes in base64url, as the browser mints them."""

MAX_IDS = 512
"""Of a list of ids."""

MAX_SILENT_SECONDS = 120.0
"""Of a probe."""


_LENGTH = re.compile(r"[0-9]{1,15}")
_EVENT_ID = re.compile(r"([A-Za-z0-9_-]{1,48}-[0-9]{1,15})?")
"""`<epoch>-<n>`, or nothing where no event has come yet."""


@dataclass(frozen=True, slots=True)
class StartRequest:
    """Starts a run.

    Attributes:
        body: what Dash's own renderer would post.
        run: the id of the new run.
        page: the tab that asks.
        connection: the id for a new connection, should one be needed.
        connections: the connections that the page has open.
        replaces: runs that this one takes the place of.
    """

    body: dict[str, Any]
    run: RunId
    page: PageId
    connection: ConnectionId
    connections: tuple[ConnectionId, ...]
    replaces: tuple[RunId, ...]


@dataclass(frozen=True, slots=True)
class ResumeRequest:
    """Goes on with a connection after the last event that the page received ("" for none)."""

    connection: ConnectionId
    last_event_id: str


@dataclass(frozen=True, slots=True)
class StopRequest:
    """Cancels runs.

    Attributes:
        page: the tab that asks.
        runs: their ids.
        callbacks: event callbacks whose runs the page's owner keeps without a viewer.
    """

    page: PageId
    runs: tuple[RunId, ...]
    callbacks: tuple[CallbackId, ...]


@dataclass(frozen=True, slots=True)
class AttachRequest:
    """Wants to see runs that go on without a viewer.

    Attributes:
        page: the tab that asks.
        runs: their ids, each with the number of the last update that the page has applied.
        connection: the id for a new connection, should one be needed.
        connections: the connections that the page has open.
    """

    page: PageId
    runs: dict[RunId, int]
    connection: ConnectionId
    connections: tuple[ConnectionId, ...]


@dataclass(frozen=True, slots=True)
class AliveRequest:
    """Answers a heartbeat of a connection."""

    connection: ConnectionId


def check_headers(headers: Mapping[str, str], settings: Settings) -> None:
    """Raises `Refused` for a foreign origin or a wrong content type.

    Args:
        headers: of the request, with names in lower case.
        settings: whose pages may ask.
    """
    _check_origin(headers, settings)
    content_type = headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise Refused(
            415, "content_type", f"Expected Content-Type: application/json, got {content_type!r}."
        )


def length_of(headers: Mapping[str, str]) -> int | None:
    """How many bytes a body has; None where the headers do not say."""
    length = headers.get("content-length", "")
    return int(length) if _LENGTH.fullmatch(length) else None


def callback_of(headers: Mapping[str, str]) -> str:
    """The id of the event callback that a start is for; "" where the headers do not say."""
    return headers.get("flash-events-callback", "")


def is_last_try(headers: Mapping[str, str]) -> bool:
    """Whether the page gives a start up if it is told to come back later."""
    return "flash-events-last-try" in headers


def parse_start(body: Any) -> StartRequest:
    """Reads the body of a start; raises `Refused` where it is not one."""
    fields = _envelope(body)
    for name in ("inputs", "state", "changedPropIds"):
        if not isinstance(body.get(name, []), list):
            raise _bad(f"Expected {name!r} to be a list.")
    if not isinstance(body.get("output"), str):
        raise _bad("Expected 'output' to be the id of a callback.")
    return StartRequest(
        body=body,
        run=_id(fields, "run", RunId),
        page=_id(fields, "page", PageId),
        connection=_id(fields, "connection", ConnectionId),
        connections=_ids(fields, "connections", ConnectionId),
        replaces=_ids(fields, "replaces", RunId),
    )


def parse_ask(body: Any) -> tuple[StartRequest, int]:
    """Reads whether a large start may come, and how many bytes it has; raises `Refused`."""
    return parse_start(body), _count(_envelope(body), "size", "bytes")


def parse_resume(body: Any) -> ResumeRequest:
    """Reads the body of a resume; raises `Refused` where it is not one."""
    fields = _envelope(body)
    last = fields.get("lastEventId", "")
    if not isinstance(last, str) or not _EVENT_ID.fullmatch(last):
        raise _bad("Expected 'lastEventId' to be the id of an event.")
    return ResumeRequest(_id(fields, "connection", ConnectionId), last)


def parse_stop(body: Any) -> StopRequest:
    """Reads the body of a stop; raises `Refused` where it is not one."""
    fields = _envelope(body)
    callbacks = fields.get("callbacks", [])
    if not isinstance(callbacks, list) or not all(isinstance(one, str) for one in callbacks):
        raise _bad("Expected 'callbacks' to be a list of ids of callbacks.")
    page, runs = _id(fields, "page", PageId), _ids(fields, "runs", RunId)
    return StopRequest(page, runs, tuple(map(CallbackId, callbacks)))


def parse_attach(body: Any) -> AttachRequest:
    """Reads the body of an attach; raises `Refused` where it is not one."""
    fields = _envelope(body)
    runs = fields.get("runs")
    if not isinstance(runs, list) or not all(isinstance(run, dict) for run in runs):
        raise _bad("Expected 'runs' to be a list of objects.")
    return AttachRequest(
        page=_id(fields, "page", PageId),
        runs={_id(run, "run", RunId): _count(run, "seen") for run in runs[:MAX_IDS]},
        connection=_id(fields, "connection", ConnectionId),
        connections=_ids(fields, "connections", ConnectionId),
    )


def parse_alive(body: Any) -> AliveRequest:
    """Reads the body of an answer to a heartbeat; raises `Refused` where it is not one."""
    return AliveRequest(_id(_envelope(body), "connection", ConnectionId))


def parse_probe(body: Any) -> float:
    """Reads the body of a probe: for how many seconds it is silent; raises `Refused`."""
    seconds = _envelope(body).get("silent_seconds")
    if not isinstance(seconds, int | float) or not 0 <= seconds <= MAX_SILENT_SECONDS:
        raise _bad(f"Expected 'silent_seconds' to be from 0 to {MAX_SILENT_SECONDS:.0f}.")
    return seconds


def parse_json(text: bytes) -> Any:
    """JSON of a request; raises `Refused` (400) where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise _bad("Expected a JSON body.") from None


def _envelope(body: Any) -> dict[str, Any]:
    fields = body.get("flash_events") if isinstance(body, dict) else None
    if not isinstance(fields, dict):
        raise _bad("Expected a JSON object with a 'flash_events' member.")
    if fields.get("version") != events.VERSION:
        raise Refused(
            409,
            "version",
            f"This server speaks version {events.VERSION} of the protocol, "
            f"the page {fields.get('version')!r}. Reload the page.",
        )
    return fields


def _id(fields: dict[str, Any], name: str, kind: Callable[[str], _Kind]) -> _Kind:
    value = fields.get(name)
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise _bad(f"Expected {name!r} to be 16 random bytes in base64url.")
    return kind(value)


def _ids(fields: dict[str, Any], name: str, kind: Callable[[str], _Kind]) -> tuple[_Kind, ...]:
    values = fields.get(name, [])
    if not isinstance(values, list) or len(values) > MAX_IDS:
        raise _bad(f"Expected {name!r} to be a list of ids.")
    return tuple(_id({name: value}, name, kind) for value in values)


def _count(fields: dict[str, Any], name: str, what: str = "updates") -> int:
    value = fields.get(name)
    if type(value) is not int or value < 0:
        raise _bad(f"Expected {name!r} to be a number of {what}.")
    return value


def _bad(message: str) -> Refused:
    return Refused(400, "bad_request", message)


def _host_of(origin: str) -> str:
    """The host and port of an origin; "" if it has none (`null`, or what is no URL)."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _check_origin(headers: Mapping[str, str], settings: Settings) -> None:
    """A page of another origin may not start runs in its visitor's name (decision "Origin")."""
    if headers.get("sec-fetch-site") == "same-origin":
        return
    origin = headers.get("origin")
    if origin is None and "sec-fetch-site" not in headers:
        return  # not a browser
    hosts = [headers.get("host")]
    if settings.trust_forwarded_host:
        hosts.append(headers.get("x-forwarded-host"))
    if origin is not None:
        host = _host_of(origin)  # a request without Host has none that an origin could equal
        if origin in settings.allowed_origins or (host and host in hosts):
            return
    raise Refused(
        403,
        "origin",
        f"The origin {origin!r} is not this app's. If it should be allowed, add it to "
        "allowed_origins; behind a proxy that changes Host, set trust_forwarded_host.",
    )
