"""The command `python -m flash_events doctor URL`, which checks a deployment's streaming.

It requests a probe stream (see `endpoint/probe.py`) and reports how its events arrive.
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
"""Default duration of the silent part; longer than common proxy timeouts and two heartbeats."""

TIMEOUT_SECONDS = MAX_HEARTBEAT_SECONDS + 5
"""Timeout for the next data."""

LOG_IN = "Send the headers of a signed-in user, as in --header 'Cookie: session=...'."

PROBE = "_dash-flash-events/probe"


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of the examination.

    Attributes:
        is_good: whether nothing needs to be changed.
        text: the observation.
        cure: the advice; "" if there is none.
    """

    is_good: bool
    text: str
    cure: str = ""


@dataclass(frozen=True, slots=True)
class _Arrival:
    """An event or heartbeat of the probe.

    Attributes:
        seconds: time since the request.
        name: the name of the event; "" for a heartbeat.
        data: the data of the event.
    """

    seconds: float
    name: str
    data: str = ""


class _Failed(Exception):
    """The examination cannot go on."""

    def __init__(self, text: str, cure: str = "") -> None:
        super().__init__(text)
        self.finding = Finding(False, text, cure)


def examine(
    url: str, silent_seconds: float = SILENT_SECONDS, headers: Mapping[str, str] | None = None
) -> Generator[Finding, None, None]:
    """Yield the findings about a deployment, each as soon as it is known.

    Args:
        url: the URL of the app's page.
        silent_seconds: duration of the silent part, with nothing but heartbeats; 120 at most.
        headers: additional request headers, such as the cookie of a signed-in user.
    """
    try:
        begun = time.monotonic()
        with ExitStack() as stack:
            response = _request_probe(url, silent_seconds, headers or {}, stack)
            arrivals = _arrivals(response, begun)
            yield from _check_ticks(arrivals)
            yield from _check_silence(arrivals, silent_seconds)
    except _Failed as failed:
        yield failed.finding


def _request_probe(
    url: str, silent_seconds: float, more_headers: Mapping[str, str], stack: ExitStack
) -> HTTPResponse:
    parts = urlsplit(url)
    try:
        is_url = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # raised by `parts.port`
        is_url = False
    if not is_url or parts.hostname is None:
        raise _Failed(f"Expected the URL of an app, as http://host:8050/, got {url!r}.")
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = stack.enter_context(
        closing(kind(parts.hostname, parts.port, timeout=TIMEOUT_SECONDS))
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
        raise _Failed(
            f"The server does not answer: {error or type(error).__name__}.",
            "Check that the app is running and that this is its URL. If so, a proxy may hold "
            "streams back until they end: switch its buffering off (nginx: proxy_buffering off).",
        ) from error
    content_type = response.headers["Content-Type"] or ""
    if response.status != 200 or not content_type.startswith("text/event-stream"):
        raise _refusal(response)
    return response


def _origin(parts: SplitResult) -> str:
    """Return the origin as browsers write it, without the scheme's default port."""
    default = {"http": 80, "https": 443}[parts.scheme]
    port = "" if parts.port in (None, default) else f":{parts.port}"
    return f"{parts.scheme}://{parts.hostname}{port}"


def _refusal(response: HTTPResponse) -> _Failed:
    text = ""
    with suppress(OSError, HTTPException):
        text = response.read(10_000).decode("utf-8", "replace")
    try:
        fields = json.loads(text)
        cure = LOG_IN if fields["error"] == "identity" else ""
        return _Failed(f"The server refuses with {response.status}: {fields['message']}", cure)
    except (ValueError, KeyError, TypeError):
        pass
    cures = {
        **dict.fromkeys((302, 303, 307, 401), f"The app needs a login. {LOG_IN}"),
        403: "A proxy refuses the request: allow POST requests to _dash-flash-events/.",
        404: "Check that this is the URL of the app's page, and that it has event callbacks.",
        405: "A proxy refuses POST requests: allow them to _dash-flash-events/.",
        413: "Increase the proxy's limit of request bodies (nginx: client_max_body_size).",
    }
    cure = cures.get(
        response.status,
        "It does not come from flash_events: check the logs of the server and of the proxy.",
    )
    return _Failed(f"The response has status {response.status} and is not an event stream.", cure)


def _arrivals(response: HTTPResponse, begun: float) -> Iterator[_Arrival]:
    rest = b""
    fields: dict[str, str] = {}
    is_compressed = response.headers["Content-Encoding"] == "gzip"
    decompress = zlib.decompressobj(wbits=31).decompress if is_compressed else bytes
    while True:
        try:
            part = response.read1(65536)
        except TimeoutError:
            raise _Failed(
                "The stream went silent: not even heartbeats arrive.",
                "A proxy holds them back: switch its buffering off (nginx: proxy_buffering off).",
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


def _check_ticks(arrivals: Iterator[_Arrival]) -> Iterator[Finding]:
    ticks: list[_Arrival] = []
    for arrival in arrivals:
        if arrival.name == "silence":
            break
        if arrival.name == "tick":
            ticks.append(arrival)
    else:
        raise _Failed(
            f"The stream is cut after {len(ticks)} of {TICKS} events.",
            "Check the logs of the server and of the proxies before it.",
        )
    first = f"The first event arrives after {ticks[0].seconds:.2f} s" if ticks else "No event comes"
    gaps = [later.seconds - earlier.seconds for earlier, later in pairwise(ticks)]
    together = sum(gap < TICK_SECONDS / 4 for gap in gaps)
    if together >= TICKS / 2:
        yield Finding(
            False,
            f"{first}; {together + 1} of {TICKS} that were sent one by one arrive together.",
            "A proxy buffers them: for _dash-flash-events/, switch off buffering (nginx: "
            "proxy_buffering off), compression, caching and transformations.",
        )
    else:
        yield Finding(True, f"{first}, and each event arrives when it is sent.")


def _check_silence(arrivals: Iterator[_Arrival], silent_seconds: float) -> Iterator[Finding]:
    begun = time.monotonic()
    heartbeats = 0
    for arrival in arrivals:
        heartbeats += not arrival.name
        if arrival.name == "end":
            yield Finding(
                True,
                f"A silent stream stays open: {silent_seconds:.0f} s with {heartbeats} heartbeats.",
            )
            return
    lasted = time.monotonic() - begun
    if heartbeats:
        yield Finding(
            False,
            f"A silent stream is cut after {lasted:.0f} s, although heartbeats arrive.",
            "A proxy limits the total duration of a response: increase this limit. Until then, "
            "pages reconnect each time and continue without a gap.",
        )
    else:
        yield Finding(
            False,
            f"A silent stream is cut after {lasted:.0f} s.",
            "Increase the proxy's timeout (nginx: proxy_read_timeout), or send heartbeats more "
            f"often: heartbeat_seconds={max(1, int(lasted / 2))}.",
        )
