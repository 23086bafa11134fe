"""An app for plain clients; what a run does is the value of its Input.

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
    """So many updates of so many bytes, as fast as they are taken."""
    text = "x" * work.get("bytes", 10)
    for _ in range(work["updates"]):
        yield stream_props("out", {"children": text})


@event_callback(Input("paced", "n_clicks"))
async def paced(work: dict[str, Any]) -> AsyncIterator[Update]:
    """The time at which it yields, so often, with the same pause between."""
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
    """One update, then nothing, with what costs least to wait for."""
    yield stream_props("out", {"children": "idle"})
    await asyncio.get_running_loop().create_future()
