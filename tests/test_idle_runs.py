"""An idle run keeps its own state, and nothing of its start request."""

import asyncio
import gc
import json
import secrets
import socket
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
from dash import Dash, Input, ctx, html
from hypercorn.asyncio import serve
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.config import Config
from hypercorn.protocol.http_stream import HTTPStream
from quart import Request, has_request_context, request, session, url_for
from quart.asgi import ASGIHTTPConnection

from flash_events import FlashEvents, Update, stream_props
from tests.support.server import free_port, until

RUNS = 200

MOST_BYTES = 15_000
"""Maximum memory of a run, as tracemalloc counts it (13,400 on Python 3.11); twice as many with the
connection of its request. A bare task with its generator has 1,250.
"""

asked: asyncio.Event
seen: list[dict[str, Any]] = []


def idle_app() -> Dash:
    app = Dash(__name__, backend="quart")
    app.layout = html.Div([html.Button(id="idle"), html.Div(id="out")])
    app.server.secret_key = "tests"

    @app.server.before_request  # type: ignore[untyped-decorator] # Dash's server is Any
    def note() -> None:
        if request.method == "POST":
            session["user"] = "ann"
            request.noted = "before"  # type: ignore[attr-defined] # as apps do

    flash = FlashEvents(app, max_runs_per_page=2 * RUNS, max_runs_per_connection=2 * RUNS)

    @flash.event_callback(Input("idle", "n_clicks"))
    async def idle(_n: int) -> AsyncIterator[Update]:
        yield stream_props("out", {"children": "idle"})
        await asked.wait()
        seen.append(await what_is_readable())

    return app


async def what_is_readable() -> dict[str, Any]:
    with pytest.raises(AttributeError, match="has no response"):
        ctx.response.set_cookie("a", "b")
    return {
        "method": request.method,
        "path": request.path,
        "query": request.args["q"],
        "cookie": request.cookies["user"],
        "header": request.headers["X-Test"],
        "address": request.remote_addr,
        "client": (request.scope["client"] or [""])[0],
        "endpoint": request.endpoint,
        "noted": request.noted,  # type: ignore[attr-defined] # as apps do
        "session": session["user"],
        "bytes": len(await request.get_data()),
        "json": (await request.get_json())["changedPropIds"],
        "url": url_for(str(request.endpoint)),
        "has": has_request_context(),
    }


class Client:
    """A page with one connection that starts runs, each with a request of its own."""

    def __init__(self, port: int, output: str) -> None:
        self._port = port
        self._output = output
        self._page, self._connection = secrets.token_urlsafe(16), secrets.token_urlsafe(16)
        self._has_opened = False
        self.length = 0

    async def start(self) -> asyncio.StreamWriter:
        fields = {
            "version": 1,
            "run": secrets.token_urlsafe(16),
            "page": self._page,
            "connection": secrets.token_urlsafe(16) if self._has_opened else self._connection,
            "connections": [self._connection] if self._has_opened else [],
        }
        data = json.dumps(
            {
                "output": self._output,
                "inputs": [{"id": "idle", "property": "n_clicks", "value": 1}],
                "state": [],
                "changedPropIds": ["idle.n_clicks"],
                "flash_events": fields,
            }
        ).encode()
        self.length = len(data)
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(
            b"POST /_dash-flash-events/start?q=1 HTTP/1.1\r\nHost: tests\r\nX-Test: yes\r\n"
            b"Cookie: user=ann\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(data), data)
        )
        expected = b"202" if self._has_opened else b"200"
        assert (await reader.readuntil(b"\r\n\r\n")).split()[1] == expected
        self._has_opened = True
        return writer

    async def start_beside(self, count: int) -> None:
        for _ in range(count):
            (await self.start()).close()


@asynccontextmanager
async def serving_here() -> AsyncIterator[tuple[Client, Dash]]:
    """Serves the app in this process, so that its objects can be counted."""
    global asked
    asked = asyncio.Event()
    seen.clear()
    app, port, stop = idle_app(), free_port(), asyncio.Event()
    config = Config.from_mapping(bind=[f"127.0.0.1:{port}"], keep_alive_timeout=0.05)
    server = asyncio.create_task(serve(app.server, config, shutdown_trigger=stop.wait))
    try:
        await until(lambda: is_open(port))
        [entry] = app.callback_map
        client = Client(port, entry)
        opened = await client.start()
        yield client, app
        opened.close()
    finally:
        asked.set()
        stop.set()
        await server


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


CONNECTION = (TCPServer, HTTPStream, ASGIHTTPConnection)

_left: dict[int, object] = {}


@pytest.fixture(autouse=True)
def left() -> Iterator[None]:
    """Objects that earlier tests have left in this process do not count."""
    gc.collect()
    kinds = (*CONNECTION, Request)
    _left.update({id(one): one for one in gc.get_objects() if issubclass(type(one), kinds)})
    yield
    _left.clear()


def alive(*kinds: type) -> int:
    """Returns the number of objects that only a request's own state has."""
    gc.collect()
    objects = gc.get_objects()  # some are weak proxies, which raise in `isinstance`
    return sum(issubclass(type(one), kinds) and id(one) not in _left for one in objects)


async def test_a_run_keeps_no_reference_to_the_servers_connection() -> None:
    async with serving_here() as (client, _):
        await until(lambda: alive(*CONNECTION) == 3)
        await client.start_beside(20)
        await until(lambda: alive(*CONNECTION) == 3)
        # Each run has its own, besides the original of the run that opened the connection.
        assert alive(Request) == 21 + 1


async def test_a_waiting_run_costs_little_memory() -> None:
    tracemalloc.start()
    try:
        async with serving_here() as (client, _):
            await client.start_beside(20)  # what the first ones import and cache
            sizes = [await settled_bytes()]
            for _ in range(
                2
            ):  # a large dict of the whole process may grow meanwhile, but not twice
                await client.start_beside(RUNS // 2)
                sizes.append(await settled_bytes())
            growths = [after - before for before, after in pairwise(sizes)]
            assert min(growths) / (RUNS // 2) < MOST_BYTES
    finally:
        tracemalloc.stop()


async def settled_bytes() -> int:
    await until(lambda: alive(*CONNECTION) == 3)
    size, _ = tracemalloc.get_traced_memory()
    return size


async def test_the_request_is_readable_while_the_run_lives() -> None:
    async with serving_here() as (client, _):
        await client.start_beside(1)
        await until(lambda: alive(TCPServer) == 1)
        asked.set()
        await until(lambda: len(seen) == 2)
    assert seen[1] == {
        "method": "POST",
        "path": "/_dash-flash-events/start",
        "query": "1",
        "cookie": "ann",
        "header": "yes",
        "address": "127.0.0.1",
        "client": "127.0.0.1",
        "endpoint": seen[1]["endpoint"],
        "noted": "before",
        "session": "ann",
        "bytes": client.length,
        "json": ["idle.n_clicks"],
        "url": "/_dash-flash-events/start",
        "has": True,
    }
