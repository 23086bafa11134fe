"""An app that identifies its users, by a cookie or in one of the ways that IDENTIFY selects."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from typing import Any

from dash import Dash, Input, html

from flash_events import FlashEvents, Update, event_callback, stream_props
from tests.apps.backend import BACKEND
from tests.apps.marks import mark

SECRET = "the directory of users is ldap://swordfish"


def by_cookie(request: Any) -> str | None:
    user: str | None = request.cookies.get("user")
    return user


async def by_header(request: Any) -> str | None:
    await asyncio.sleep(0)
    user: str | None = request.headers.get("X-User")
    return user


def failing(_request: Any) -> str:
    raise LookupError(SECRET)


def wrong(_request: Any) -> Any:
    return {"name": SECRET}


WAYS: dict[str, Any] = {
    "cookie": by_cookie,
    "header": by_header,
    "failing": failing,
    "wrong": wrong,
}

app = Dash(__name__, backend=BACKEND)
FlashEvents(app, identify=WAYS[os.environ.get("IDENTIFY", "cookie")])
server = app.server

app.layout = html.Div([html.Div(id=name, n_clicks=0) for name in ("watch", "keep", "brief", "out")])


@event_callback(Input("watch", "n_clicks"))
async def watch(_n: int) -> AsyncIterator[Update]:
    """Streams the time endlessly."""
    mark("watch began")
    try:
        while True:
            yield stream_props("out", {"children": time.time()})
            await asyncio.sleep(0.02)
    finally:
        mark("watch finally")


@event_callback(Input("keep", "n_clicks"), on_disconnect="finish")
async def keep(_n: int) -> AsyncIterator[Update]:
    """The same, with on_disconnect="finish"."""
    try:
        while True:
            yield stream_props("out", {"children": time.time()})
            await asyncio.sleep(0.02)
    finally:
        mark("keep finally")


@event_callback(Input("brief", "n_clicks"))
async def brief(_n: int) -> AsyncIterator[Update]:
    """Streams two updates."""
    mark("brief began")
    yield stream_props("out", {"children": "one"})
    yield stream_props("out", {"children": "two"})
