"""Requests of pages: parsing, and all checks that need only the request itself."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from flash_events.brokers.ids import CallbackId, ConnectionId, PageId, RunId
from flash_events.errors import Refused
from flash_events.settings import Settings
from flash_events.wire import events

_Kind = TypeVar("_Kind")

_ID = re.compile(r"[A-Za-z0-9_-]{22}")
"""An id that the browser has chosen: 16 random bytes in base64url."""

SUBSCRIPTION = "flash_events.subscription:"
"""Start of the callback's id in the start of a `Subscription`; the component's id follows."""

MAX_NONCE = 64

MAX_IDS = 512
"""Maximum length of a list of ids."""

MAX_SILENT_SECONDS = 120.0
"""Maximum duration of the silent part of a probe."""


_LENGTH = re.compile(r"[0-9]{1,15}")
_EVENT_ID = re.compile(r"([A-Za-z0-9_-]{1,48}-[0-9]{1,15})?")
"""An event id, `<epoch>-<n>`, or "" if the page has received no event yet."""


@dataclass(frozen=True, slots=True)
class StartRequest:
    """Request to start a run.

    Attributes:
        body: the body, which includes the one that Dash's own renderer would post.
        run: the id of the new run.
        page: the id of the tab that asks.
        connection: the id for a new connection, if one is needed.
        connections: the ids of the connections that the page has open.
        replaces: the ids of the runs that the new run replaces.
    """

    body: dict[str, Any]
    run: RunId
    page: PageId
    connection: ConnectionId
    connections: tuple[ConnectionId, ...]
    replaces: tuple[RunId, ...]


@dataclass(frozen=True, slots=True)
class SubscriptionRequest:
    """What the `Subscription` of a page asks for.

    Attributes:
        name: the name of the topic, as it was declared.
        parameters: the values of the parameters in the name.
        last: number of the newest kept messages that come first.
        since: offset and nonce of the last message that the page has got; None for none.
        overflow: "skip" or "latest".
    """

    name: str
    parameters: dict[str, str]
    last: int
    since: tuple[int, str] | None
    overflow: Literal["skip", "latest"]


@dataclass(frozen=True, slots=True)
class ResumeRequest:
    """Request to resume a connection after the last event that the page received ("" for none)."""

    connection: ConnectionId
    last_event_id: str


@dataclass(frozen=True, slots=True)
class StopRequest:
    """Request to cancel runs.

    Attributes:
        page: the id of the tab that asks.
        runs: the ids of the runs.
        callbacks: the ids of event callbacks; all kept runs of the page's owner are cancelled.
    """

    page: PageId
    runs: tuple[RunId, ...]
    callbacks: tuple[CallbackId, ...]


@dataclass(frozen=True, slots=True)
class AttachRequest:
    """Request to attach to kept runs.

    Attributes:
        page: the id of the tab that asks.
        runs: the number of the last update that the page has applied, by run id.
        connection: the id for a new connection, if one is needed.
        connections: the ids of the connections that the page has open.
    """

    page: PageId
    runs: dict[RunId, int]
    connection: ConnectionId
    connections: tuple[ConnectionId, ...]


@dataclass(frozen=True, slots=True)
class AliveRequest:
    """Answer to a heartbeat of a connection."""

    connection: ConnectionId


def check_headers(headers: Mapping[str, str], settings: Settings) -> None:
    """Raise `Refused` if a request has a foreign origin or a wrong content type.

    Args:
        headers: the headers of the request, with names in lower case.
        settings: the settings, which list the allowed origins.
    """
    _check_origin(headers, settings)
    content_type = headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise Refused(
            415, "content_type", f"Expected Content-Type: application/json, got {content_type!r}."
        )


def length_of(headers: Mapping[str, str]) -> int | None:
    """Return the size of a body in bytes; None if the headers do not contain it."""
    length = headers.get("content-length", "")
    return int(length) if _LENGTH.fullmatch(length) else None


def callback_of(headers: Mapping[str, str]) -> str:
    """Return the id of the event callback of a start; "" if the headers do not contain it."""
    return headers.get("flash-events-callback", "")


def is_last_try(headers: Mapping[str, str]) -> bool:
    """Return whether the page will not retry the request."""
    return "flash-events-last-try" in headers


def parse_start(body: Any) -> StartRequest:
    """Return the request in the body of a start; raise `Refused` if it is malformed."""
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


def parse_subscription(body: dict[str, Any]) -> SubscriptionRequest | None:
    """Return what the start of a `Subscription` asks for; None for other starts.

    Raises:
        Refused: if it is malformed.
    """
    if not body["output"].startswith(SUBSCRIPTION):
        return None
    try:
        [given] = body["inputs"]
        fields = given["value"]
        name, parameters = fields["name"], fields["params"]
        since, overflow = fields["since"], fields["overflow"]
        if not isinstance(name, str) or overflow not in ("skip", "latest"):
            raise TypeError(name)
        if not all(isinstance(value, str) for value in parameters.values()):
            raise TypeError(parameters)
        if since is not None:
            nonce = since["nonce"]
            if not isinstance(nonce, str) or len(nonce) > MAX_NONCE:
                raise TypeError(nonce)
            since = _count(since, "offset"), nonce
        return SubscriptionRequest(name, parameters, _count(fields, "last"), since, overflow)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise _bad("Expected the topic of a Subscription. Reload the page.") from None


def parse_ask(body: Any) -> tuple[StartRequest, int]:
    """Return an announced large start and its size in bytes; raise `Refused` if malformed."""
    return parse_start(body), _count(_envelope(body), "size", "bytes")


def parse_resume(body: Any) -> ResumeRequest:
    """Return the request in the body of a resume; raise `Refused` if it is malformed."""
    fields = _envelope(body)
    last = fields.get("lastEventId", "")
    if not isinstance(last, str) or not _EVENT_ID.fullmatch(last):
        raise _bad("Expected 'lastEventId' to be the id of an event.")
    return ResumeRequest(_id(fields, "connection", ConnectionId), last)


def parse_stop(body: Any) -> StopRequest:
    """Return the request in the body of a stop; raise `Refused` if it is malformed."""
    fields = _envelope(body)
    callbacks = fields.get("callbacks", [])
    if not isinstance(callbacks, list) or not all(isinstance(one, str) for one in callbacks):
        raise _bad("Expected 'callbacks' to be a list of ids of callbacks.")
    page, runs = _id(fields, "page", PageId), _ids(fields, "runs", RunId)
    return StopRequest(page, runs, tuple(map(CallbackId, callbacks)))


def parse_attach(body: Any) -> AttachRequest:
    """Return the request in the body of an attach; raise `Refused` if it is malformed."""
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
    """Return the request in the body of a heartbeat's answer; raise `Refused` if malformed."""
    return AliveRequest(_id(_envelope(body), "connection", ConnectionId))


def parse_probe(body: Any) -> float:
    """Return the silent seconds in the body of a probe; raise `Refused` if it is malformed."""
    seconds = _envelope(body).get("silent_seconds")
    if not isinstance(seconds, int | float) or not 0 <= seconds <= MAX_SILENT_SECONDS:
        raise _bad(f"Expected 'silent_seconds' to be from 0 to {MAX_SILENT_SECONDS:.0f}.")
    return seconds


def parse_json(text: bytes) -> Any:
    """Return the JSON value of a body; raise `Refused` (400) if it is not JSON."""
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
            f"This server uses version {events.VERSION} of the protocol, "
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
    """Return the host and port of an origin; "" for `null` and malformed ones."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _check_origin(headers: Mapping[str, str], settings: Settings) -> None:
    """Raise `Refused` (403) for pages of other origins, which could act in their visitor's name."""
    if headers.get("sec-fetch-site") == "same-origin":
        return
    origin = headers.get("origin")
    if origin is None and "sec-fetch-site" not in headers:
        return  # the client is not a browser
    hosts = [headers.get("host")]
    if settings.trust_forwarded_host:
        hosts.append(headers.get("x-forwarded-host"))
    if origin is not None:
        host = _host_of(origin)  # "" matches no Host header
        if origin in settings.allowed_origins or (host and host in hosts):
            return
    raise Refused(
        403,
        "origin",
        f"The origin {origin!r} is not this app's. If it should be allowed, add it to "
        "allowed_origins; behind a proxy that changes Host, set trust_forwarded_host.",
    )
