"""An app with uploads; it tells the user about a file that is too large."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count

from dash import Dash, Input, Output, State, dcc, html

from flash_events import FlashEvents, RunRefused, RunState, Update, event_callback, stream_props
from tests.apps.backend import BACKEND

app = Dash(__name__, backend=BACKEND)
FlashEvents(app)  # settings come from the environment
server = app.server

RESETS = {"out": {"children": "was reset"}, "message": {"children": "was reset"}}


def on_error(error: Exception) -> Update:
    assert isinstance(error, RunRefused)
    return stream_props("message", {"children": f"{error.code}: {error}"})


@event_callback(
    Input("upload", "contents"),
    State("upload", "filename"),
    reset_props=RESETS,
    running=(Output("busy", "children"), "busy", "idle"),
    on_error=on_error,
)
async def receive(contents: str, name: str) -> AsyncIterator[Update]:
    yield stream_props("out", {"children": f"{name}: {len(contents)}"})


@event_callback(Input("untold", "contents"), reset_props=RESETS)
async def receive_untold(contents: str) -> AsyncIterator[Update]:
    yield stream_props("out", {"children": len(contents)})


@event_callback(Input("tick", "n_clicks"), cancel=Input("stop", "n_clicks"))
async def tick(_n: int) -> AsyncIterator[Update]:
    for n in count(1):
        yield stream_props("ticks", {"children": n})
        await asyncio.sleep(0.02)


app.layout = html.Div(
    [
        html.Button("tick", id="tick"),
        html.Button("stop", id="stop"),
        dcc.Upload("upload", id="upload"),
        dcc.Upload("untold", id="untold"),
        RunState(receive, id="state"),
        RunState(receive_untold, id="untold-state"),
        *[html.Div(id=name) for name in ("out", "message", "busy", "ticks", "states")],
    ]
)


@app.callback(
    Output("states", "children"),
    Input("state", "state"),
    Input("untold-state", "state"),
)
def see(state: str, untold: str) -> str:
    return f"{state} {untold}"
