"""`python -m flash_events doctor URL`: says whether a deployment carries streams as it should.

It asks the app at the URL for a probe (see probe.py) and watches how that arrives.
"""

import json
import time
import zlib
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from itertools import pairwise
from urllib.parse import SplitResult, urlsplit

from flash_events.endpoint.probe import TICK_SECONDS, TICKS
from flash_events.settings import MAX_HEARTBEAT_SECONDS
from flash_events.wire import events

SILENT_SECONDS = 45.0
"""By default; longer than the usual time-outs of proxies and two heartbeats."""

LATE_SECONDS = MAX_HEARTBEAT_SECONDS + 5
"""When nothing has come for so long, the doctor gives up."""

LOG_IN = "Say who asks, as your browser does: --header 'Cookie: session=...'."

PROBE = "_dash-flash-events/probe"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found.

    Attributes:
        is_good: nothing needs to be done.
        text: what was seen.
        cure: what to change.
    """

    is_good: bool
    text: str
    cure: str = ""


@dataclass(frozen=True, slots=True)
class _Arrival:
    seconds: float
    """Since the request."""
    name: str
    """Of the event; "" for a heartbeat."""
    data: str = ""


class _Sick(Exception):
    def __init__(self, text: str, cure: str = "") -> None:
        super().__init__(text)
        self.finding = Finding(False, text, cure)


def examine(
    url: str, silent_seconds: float = SILENT_SECONDS, headers: Mapping[str, str] | None = None
) -> Generator[Finding, None, None]:
    """Yields what it finds, as soon as it is known.

    Args:
        url: of the app's page.
        silent_seconds: for how long a stream is left silent, but for heartbeats; 120 at most.
        headers: to send, such as the cookie of somebody who is logged in.
    """
    try:
        begun = time.monotonic()
        with ExitStack() as stack:
            response = _ask(url, silent_seconds, headers or {}, stack)
            arrivals = _arrivals(response, begun)
            yield from _look_at_ticks(arrivals)
            yield from _look_at_silence(arrivals, silent_seconds)
    except _Sick as sick:
        yield sick.finding


def _ask(
    url: str, silent_seconds: float, more_headers: Mapping[str, str], stack: ExitStack
) -> HTTPResponse:
    parts = urlsplit(url)
    try:
        is_url = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # of the port
        is_url = False
    if not is_url or parts.hostname is None:
        raise _Sick(f"Expected the URL of an app, as http://host:8050/, got {url!r}.")
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = stack.enter_context(
        closing(kind(parts.hostname, parts.port, timeout=LATE_SECONDS))
    )
    path = f"{parts.path.rstrip('/')}/{PROBE}"
    body = {"version": events.VERSION, "silent_seconds": silent_seconds}
    headers = {
        "Content-Type": "application/json",
        "Accept-Encoding": "gzip",
        "Origin": _origin(parts),
        **more_headers,
    }
    try:
        connection.request("POST", path, json.dumps({"flash_events": body}), headers)
        response = stack.enter_context(closing(connection.getresponse()))
    except (OSError, HTTPException) as error:
        raise _Sick(
            f"The server does not answer: {error or type(error).__name__}.",
            "Is the app up, and is this its URL? If it is up, a proxy may hold streams back until "
            "they end: switch its buffering off (nginx: proxy_buffering off).",
        ) from error
    content_type = response.headers["Content-Type"] or ""
    if response.status != 200 or not content_type.startswith("text/event-stream"):
        raise _refusal(response)
    return response


def _origin(parts: SplitResult) -> str:
    """As a browser says it: without the port that the scheme means anyway."""
    usual = {"http": 80, "https": 443}[parts.scheme]
    port = "" if parts.port in (None, usual) else f":{parts.port}"
    return f"{parts.scheme}://{parts.hostname}{port}"


def _refusal(response: HTTPResponse) -> _Sick:
    text = ""
    with suppress(OSError, HTTPException):
        text = response.read(10_000).decode("utf-8", "replace")
    try:
        fields = json.loads(text)
        cure = LOG_IN if fields["error"] == "identity" else ""
        return _Sick(f"The server refuses with {response.status}: {fields['message']}", cure)
    except (ValueError, KeyError, TypeError):
        pass
    cures = {
        **dict.fromkeys((302, 303, 307, 401), f"A login stands before the app. {LOG_IN}"),
        403: "Something before the app refuses: let POST requests to _dash-flash-events/ pass.",
        404: "Is this the URL of the app's page? Does it have event callbacks?",
        405: "Something before the app allows no POST: let it pass to _dash-flash-events/.",
        413: "Raise the proxy's limit of bodies (nginx: client_max_body_size).",
    }
    cure = cures.get(
        response.status,
        "It does not come from flash_events: look at the server's log, and at the proxy.",
    )
    return _Sick(f"The answer is {response.status}, and no event stream.", cure)


def _arrivals(response: HTTPResponse, begun: float) -> Iterator[_Arrival]:
    rest = b""
    fields: dict[str, str] = {}
    is_compressed = response.headers["Content-Encoding"] == "gzip"
    decompress = zlib.decompressobj(wbits=31).decompress if is_compressed else bytes
    while True:
        try:
            part = response.read1(65536)
        except TimeoutError:
            raise _Sick(
                "Nothing comes any more, not even heartbeats.",
                "Something holds them back: switch buffering off (nginx: proxy_buffering off).",
            ) from None
        except (OSError, HTTPException):
            part = b""
        if not part:
            return
        seconds = time.monotonic() - begun
        *lines, rest = (rest + decompress(part)).split(b"\n")
        for line in lines:
            field, _, value = line.decode().partition(": ")
            if not line:  # the end of an event
                yield _Arrival(seconds, fields.get("event", ""), fields.get("data", ""))
                fields = {}
            elif field:
                fields[field] = value
            else:
                yield _Arrival(seconds, "")  # a heartbeat


def _look_at_ticks(arrivals: Iterator[_Arrival]) -> Iterator[Finding]:
    ticks: list[_Arrival] = []
    for arrival in arrivals:
        if arrival.name == "silence":
            break
        if arrival.name == "tick":
            ticks.append(arrival)
    else:
        raise _Sick(
            f"The stream is cut after {len(ticks)} of {TICKS} events.",
            "Look at the logs of the server and of what lies before it.",
        )
    first = f"The first event comes after {ticks[0].seconds:.2f} s" if ticks else "No event comes"
    gaps = [later.seconds - earlier.seconds for earlier, later in pairwise(ticks)]
    together = sum(gap < TICK_SECONDS / 4 for gap in gaps)
    if together >= TICKS / 2:
        yield Finding(
            False,
            f"{first}; {together + 1} of {TICKS} that were sent one by one come together.",
            "Something gathers them: switch off buffering (nginx: proxy_buffering off), "
            "compression, and what caches or transforms _dash-flash-events/.",
        )
    else:
        yield Finding(True, f"{first}, and each as it is sent.")


def _look_at_silence(arrivals: Iterator[_Arrival], silent_seconds: float) -> Iterator[Finding]:
    begun = time.monotonic()
    heartbeats = 0
    for arrival in arrivals:
        heartbeats += not arrival.name
        if arrival.name == "end":
            yield Finding(
                True, f"{silent_seconds:.0f} s with no more than {heartbeats} heartbeats end well."
            )
            return
    lasted = time.monotonic() - begun
    if heartbeats:
        yield Finding(
            False,
            f"A stream is cut after {lasted:.0f} s, although heartbeats come.",
            "Something limits how long an answer may take in all: raise that. Until then pages "
            "reconnect each time, and go on without a gap.",
        )
    else:
        yield Finding(
            False,
            f"A stream with nothing to say is cut after {lasted:.0f} s.",
            "Raise the time-out of what lies before the server (nginx: proxy_read_timeout), or "
            f"have heartbeats come sooner: heartbeat_seconds={max(1, int(lasted / 2))}.",
        )
