"""Plain clients: the protocol on a bare socket, with as little work as a browser's network layer.

They leave the server the machine. One that only counts looks for the names of events in the bytes;
one that wants values parses each event's JSON. Many of them share one event loop; where a single
stream is to be read faster than every server sends, see reader.py.
"""

import asyncio
import json
import secrets
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

LIMIT = 1024 * 1024
"""Size of a stream's buffer: asyncio's default of 64 KB would be the bottleneck."""

UPDATE = b"\nevent: update\n"
END = b"\nevent: end\n"


def new_id() -> str:
    """Creates an id as a browser does, for pages, connections and runs."""
    return secrets.token_urlsafe(16)


def request(url: str, body: str) -> bytes:
    """POSTs a body, or GETs where it is empty."""
    parts, data = urlsplit(url), body.encode()
    lines = [
        f"{'POST' if body else 'GET'} {parts.path} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Accept: text/event-stream",
        "Content-Type: application/json",
        f"Content-Length: {len(data)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + data


@dataclass(frozen=True)
class Endpoint:
    """A server, and the callbacks that its app describes to a browser.

    Attributes:
        host: where it listens.
        port: where it listens.
        entries: of the app's callbacks, by the id of their first Input.
    """

    host: str
    port: int
    entries: Mapping[str, Any]

    @classmethod
    def of(cls, url: str) -> "Endpoint":
        """Requests an app's callbacks."""
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port
        with urllib.request.urlopen(f"{url}_dash-dependencies") as answer:
            entries = json.load(answer)
        by_input = {entry["inputs"][0]["id"]: entry for entry in entries}
        return cls(parts.hostname, parts.port, by_input)

    def body(self, component_id: str, value: object) -> dict[str, Any]:
        """Returns the request body of Dash's renderer when this component's Input has changed."""
        [given] = self.entries[component_id]["inputs"]
        return {
            "output": self.entries[component_id]["output"],
            "inputs": [{**given, "value": value}],
            "state": [],
            "changedPropIds": [f"{component_id}.{given['property']}"],
        }

    @asynccontextmanager
    async def post(
        self, action: str, body: object
    ) -> AsyncIterator[tuple[int, asyncio.StreamReader]]:
        """Sends a request on a new socket; yields the response's status and its body."""
        reader, writer = await asyncio.open_connection(self.host, self.port, limit=LIMIT)
        try:
            url = f"http://{self.host}:{self.port}/_dash-flash-events/{action}"
            writer.write(request(url, json.dumps(body)))
            head = await reader.readuntil(b"\r\n\r\n")
            yield int(head.split(maxsplit=2)[1]), reader
        finally:
            writer.close()


def subscription(topic: str) -> dict[str, Any]:
    """Returns the request body of a `Subscription` of a page."""
    wanted = {"name": topic, "params": {}, "last": 0, "since": None, "overflow": "skip"}
    return {
        "output": f"flash_events.subscription:{topic}",
        "inputs": [{"id": topic, "property": "topic", "value": wanted}],
        "state": [],
        "changedPropIds": [],
    }


class Tab:
    """A page without a browser: one connection and its runs."""

    def __init__(self, at: Endpoint) -> None:
        self._at = at
        self._page = new_id()
        self._connection = new_id()

    @asynccontextmanager
    async def open(
        self, component_id: str, value: object = 1
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Starts a run whose response is the connection; yields its bytes."""
        async with self.send(self._at.body(component_id, value)) as stream:
            yield stream

    @asynccontextmanager
    async def send(self, body: Mapping[str, Any]) -> AsyncIterator[AsyncIterator[bytes]]:
        """Sends a start whose response is the connection; yields its bytes."""
        async with self._at.post("start", self.body_with(body)) as (status, reader):
            assert status == 200, f"A start was answered with {status}."
            yield chunks(reader)

    @asynccontextmanager
    async def resume(self) -> AsyncIterator[AsyncIterator[bytes]]:
        """Resumes the connection from its first event, as after a cut."""
        fields = {"version": 1, "connection": self._connection, "lastEventId": ""}
        async with self._at.post("resume", {"flash_events": fields}) as (status, reader):
            assert status == 200, f"A resume was answered with {status}."
            yield chunks(reader)

    async def answer(self) -> None:
        """Answers a heartbeat like a browser."""
        fields = {"version": 1, "connection": self._connection}
        async with self._at.post("alive", {"flash_events": fields}) as (status, _):
            assert status == 202, f"An answer to a heartbeat was answered with {status}."

    async def join(self, component_id: str, value: object = 1, at: Endpoint | None = None) -> None:
        """Starts a run on the open connection, on another worker if requested."""
        await self.join_with(self._at.body(component_id, value), at)

    async def join_with(self, body: Mapping[str, Any], at: Endpoint | None = None) -> None:
        """Sends a start on the open connection, to another worker if requested."""
        started = (at or self._at).post("start", self.body_with(body, self._connection))
        async with started as (status, _):
            assert status == 202, f"A start beside others was answered with {status}."

    def start_body(self, component_id: str, value: object = 1) -> dict[str, Any]:
        """Returns the body of a start on a new connection."""
        return self.body_with(self._at.body(component_id, value))

    def body_with(self, body: Mapping[str, Any], *connections: str) -> dict[str, Any]:
        """Returns the body of a start on a new connection, or on an open one."""
        # An id for a new connection comes along even where one is open, as a browser's does.
        fields = {
            "version": 1,
            "run": new_id(),
            "page": self._page,
            "connection": new_id() if connections else self._connection,
            "connections": connections,
        }
        return {**body, "flash_events": fields}


async def chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Yields the body of a chunked HTTP/1.1 response, as the server has sent it."""
    while size := int(await reader.readline(), 16):
        yield (await reader.readexactly(size + 2))[:-2]


async def events(stream: AsyncIterator[bytes]) -> AsyncIterator[tuple[str, Any]]:
    """Yields name and data of each event; heartbeats have neither, and are left out."""
    rest = b""
    async for chunk in stream:
        *whole, rest = (rest + chunk).split(b"\n\n")
        for event in whole:
            lines = [line.partition(b": ") for line in event.split(b"\n")]
            fields = {name: value for name, _, value in lines if name}
            if fields:
                yield fields[b"event"].decode(), json.loads(fields[b"data"])


async def count(stream: AsyncIterator[bytes], ends: int = 1) -> int:
    """Returns the number of updates until a number of runs have ended.

    An event's name is never split: the server sends whole events.
    """
    updates = 0
    async for chunk in stream:
        updates += chunk.count(UPDATE)
        ends -= chunk.count(END)
        if ends <= 0:
            break
    return updates
