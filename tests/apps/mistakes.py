"""An app with common mistakes in its event callbacks, each started by a button."""

from collections.abc import AsyncIterator
from typing import Any

from dash import Dash, Input, dcc, html

from flash_events import Update, event_callback, stream_props, track
from tests.apps.backend import BACKEND
from tests.support.mistakes import MISTAKES

app = Dash(__name__, backend=BACKEND, update_title="")
app.enable_dev_tools(debug=True, dev_tools_hot_reload=False, dev_tools_disable_version_check=True)
server = app.server
IN_THE_PAGE = ("another-trace", "no-trace", "progress", "right")
figure: dict[str, Any] = {"data": [{"x": [], "y": []}]}
app.layout = html.Div(
    [
        *[html.Button(name, id=name) for name in (*MISTAKES, *IN_THE_PAGE)],
        dcc.Graph(id="graph", figure=figure),
        dcc.Graph(id="empty"),
        html.Progress(id="bar", max="100"),
        html.Div(id="out"),
    ]
)

for name, mistake in MISTAKES.items():
    event_callback(Input(name, "n_clicks"))(mistake.body)


@event_callback(Input("another-trace", "n_clicks"))
async def another_trace(_n: int) -> AsyncIterator[Update]:
    yield stream_props("graph", {"extendData": [{"x": [[1]], "y": [[2]]}, [7]]})


@event_callback(Input("no-trace", "n_clicks"))
async def no_trace(_n: int) -> AsyncIterator[Update]:
    yield stream_props("empty", {"extendData": {"x": [[1]], "y": [[2]]}})


@event_callback(Input("progress", "n_clicks"))
async def progress(_n: int) -> AsyncIterator[Update]:
    for number in track([1, 2, 3, 4], "bar"):
        yield stream_props("out", {"children": f"step {number}"})


@event_callback(Input("right", "n_clicks"))
async def right(n: int) -> AsyncIterator[Update]:
    yield stream_props("out", {"children": f"right {n}"})
