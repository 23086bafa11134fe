"""An app for plain clients; the value of its Input selects the work of a run.

The same paced work is there as a websocket callback of Dash.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from dash import Dash, Input, callback, html, set_props

from flash_events import Update, event_callback, stream_props

app = Dash(__name__, backend="quart")
server = app.server
app.layout = html.Div(
    [
        *(html.Button(id=name) for name in ("burst", "paced", "idle", "websocket")),
        html.Div(id="out"),
    ]
)


@event_callback(Input("burst", "n_clicks"))
async def burst(work: dict[str, Any]) -> AsyncIterator[Update]:
    """Streams a number of updates of a size, as fast as possible."""
    text = "x" * work.get("bytes", 10)
    for _ in range(work["updates"]):
        yield stream_props("out", {"children": text})


@event_callback(Input("paced", "n_clicks"))
async def paced(work: dict[str, Any]) -> AsyncIterator[Update]:
    """Streams the time of each yield, with a constant pause."""
    for _ in range(work["updates"]):
        await asyncio.sleep(work["pause_seconds"])
        yield stream_props("out", {"children": time.monotonic()})


@callback(Input("websocket", "n_clicks"), websocket=True, prevent_initial_call=True)
async def paced_by_websocket(work: dict[str, Any]) -> None:
    for _ in range(work["updates"]):
        await asyncio.sleep(work["pause_seconds"])
        set_props("out", {"children": time.monotonic()})


@event_callback(Input("idle", "n_clicks"))
async def idle(_work: object) -> AsyncIterator[Update]:
    """Streams one update, and then waits at the lowest cost."""
    yield stream_props("out", {"children": "idle"})
    await asyncio.get_running_loop().create_future()
