"""A page's client on a plain socket, which can be cut, reset, or left unread."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

from tests.support.page import Page
from tests.support.proxy import RESET
from tests.support.server import Served


@dataclass(frozen=True)
class Event:
    """An event as it was received."""

    id: str
    name: str
    data: Any


class Refusal(Exception):
    """The endpoint responded with something other than a stream."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body


class Stream:
    """The response to one start or resume.

    Args:
        url: of the action.
        body: what to post.
        receive_bytes: of the kernel's buffer; the kernel chooses without it.
        on_heartbeat: called at each.
    """

    def __init__(
        self,
        url: str,
        body: object,
        receive_bytes: int | None = None,
        on_heartbeat: Callable[[], object] = lambda: None,
    ) -> None:
        self._on_heartbeat = on_heartbeat
        parts = urlsplit(url)
        self._socket = socket.socket()
        if receive_bytes is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(30)
        self._socket.connect((parts.hostname, parts.port))
        connection = HTTPConnection(parts.netloc)
        connection.sock = self._socket
        content = json.dumps(body)
        connection.request("POST", parts.path, content, {"Content-Type": "application/json"})
        self._response: HTTPResponse = connection.getresponse()
        if self._response.status != 200:
            refusal = Refusal(self._response.status, self._response.read())
            self.close()
            raise refusal
        self.headers = self._response.headers
        self._rest = b""
        self._events = self._read()

    def events(self) -> Iterator[Event]:
        """Yields events, continuing after the last call. Raises when the stream is cut."""
        return self._events

    def _read(self) -> Iterator[Event]:
        fields: dict[bytes, bytes] = {}
        while data := self._response.read1(65536):
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                name, _, value = line.partition(b": ")
                if name:
                    fields[name] = value
                elif line:
                    self._on_heartbeat()
                else:
                    yield Event(
                        fields.get(b"id", b"").decode(),
                        fields[b"event"].decode(),
                        json.loads(fields[b"data"]),
                    )
                    fields = {}
        self.close()

    def reset(self) -> None:
        """Closes with RST, like a machine that has crashed and restarted."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.close()

    def close(self) -> None:
        self._response.close()
        self._socket.close()


def read_until(stream: Stream, name: str) -> list[Event]:
    """Reads up to the first event of this name; returns all events."""
    seen = []
    for event in stream.events():
        seen.append(event)
        if event.name == name:
            return seen
    raise AssertionError(f"the stream ended before {name!r}: {seen}")


@dataclass
class Follower:
    """Follows one connection through every cut, and records its events.

    Attributes:
        page: composes the requests.
        start: the body of the start.
        url: of the server or of a proxy in front of it.
    """

    page: Page
    start: dict[str, Any]
    url: str
    last: str = ""
    resumes: int = 0
    is_open: bool = False
    numbers: list[int] = field(default_factory=list)
    ends: list[Any] = field(default_factory=list)
    is_closed: bool = False

    def open(self) -> Stream:
        """Starts the run, or resumes after the last event."""
        if not self.is_open:
            return Stream(f"{self.url}_dash-flash-events/start", self.start)
        self.resumes += 1
        connection = self.start["flash_events"]["connection"]
        body = self.page.resume(connection, self.last)
        return Stream(f"{self.url}_dash-flash-events/resume", body)

    def take(self, event: Event) -> None:
        """Records an event."""
        self.is_open = True
        self.last = event.id or self.last
        if event.name == "update":
            self.numbers.append(event.data["n"])
        elif event.name == "end":
            self.ends.append(event.data)
        elif event.name == "close":
            self.is_closed = True

    def follow(self, before_each: Callable[[], object] = lambda: None) -> None:
        """Reads until the connection is closed, resuming after each cut."""
        while not self.is_closed:
            before_each()
            with suppress(OSError, HTTPException):
                stream = self.open()
                try:
                    for event in stream.events():
                        self.take(event)
                finally:
                    stream.close()


def behind(served: Served, url: str) -> Served:
    """Returns the same server with the URL of a proxy in front of it."""
    return replace(served, url=url)
