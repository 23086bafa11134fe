"""An app with components on which setting a prop does something."""

import asyncio
import time
from collections.abc import AsyncIterator

import dash_ag_grid as dag
import dash_mantine_components as dmc
import plotly.express as px
from dash import Dash, Input, Output, Patch, State, dcc, html

from flash_events import Update, event_callback, stream_props
from tests.apps.backend import BACKEND
from tests.apps.marks import mark, may_end

app = Dash(__name__, backend=BACKEND)
server = app.server

BUTTONS = (
    "points steady traces packed before rows mixed clear notify numbers tabbed stop ordinary keep"
)

app.layout = dmc.MantineProvider(
    [
        html.Div([html.Button(name, id=name, n_clicks=0) for name in BUTTONS.split()]),
        dcc.Input(id="seconds", value="1"),
        *[html.Div(id=name) for name in ("message", "answer")],
        html.Div([], id="listed"),
        dcc.Graph(id="graph", figure={"data": [{"x": [], "y": []}, {"x": [], "y": []}]}),
        dcc.Graph(id="express", figure=px.line(x=[0.0, 1.0], y=[10.0, 11.0])),
        dag.AgGrid(id="grid", columnDefs=[{"field": "n"}], rowData=[], getRowId="params.data.n"),
        dmc.NotificationContainer(id="notifications", limit=20),
        dcc.Tabs(
            [
                dcc.Tab(html.Div("first"), label="first tab"),
                dcc.Tab(
                    dag.AgGrid(
                        id="tabbed-grid",
                        columnDefs=[{"field": "n"}],
                        rowData=[],
                        getRowId="params.data.n",
                    ),
                    label="second tab",
                ),
            ]
        ),
    ]
)


@app.callback(Output("answer", "children"), Input("ordinary", "n_clicks"))
def ordinary(n: int) -> str:
    return f"answer {n}"


@event_callback(Input("packed", "n_clicks"))
async def packed(_n: int) -> AsyncIterator[Update]:
    for i in range(2, 100):
        yield stream_props("express", {"extendData": [{"x": [[i]], "y": [[10 + i]]}, [0]]})


@event_callback(Input("before", "n_clicks"))
async def before(_n: int) -> AsyncIterator[Update]:
    for i in range(500):
        yield stream_props("graph", {"prependData": [{"x": [[i]], "y": [[i]]}, [0]]})


@event_callback(
    Input("tabbed", "n_clicks"),
    cancel=Input("stop", "n_clicks"),
    reset_props={"tabbed-grid": {"rowData": []}, "message": {"children": "tabbed was reset"}},
)
async def tabbed(_n: int) -> AsyncIterator[Update]:
    """Rows for a grid whose tab is not selected; each waits until the one before is taken."""
    for i in range(50):
        yield stream_props("tabbed-grid", {"rowTransaction": {"add": [{"n": f"t{i}"}]}})
        yield stream_props("tabbed-grid", {"rowTransaction": {"update": [{"n": f"t{i}"}]}})
    yield stream_props("message", {"children": "all sent"})
    await asyncio.sleep(60)


@event_callback(
    Input("clear", "n_clicks"), overlap="restart", reset_props={"grid": {"rowData": []}}
)
async def clear(n: int) -> AsyncIterator[Update]:
    """The first run fills the grid until the second click fails, which resets it."""
    if n == 2:
        raise ValueError("clears the grid")
    for i in range(10_000):
        yield stream_props("grid", {"rowTransaction": {"add": [{"n": f"c{i}"}]}})
        await asyncio.sleep(0.005)


@event_callback(Input("points", "n_clicks"))
async def points(_n: int) -> AsyncIterator[Update]:
    for i in range(2_000):
        yield stream_props("graph", {"extendData": [{"x": [[i]], "y": [[i]]}, [0]]})


@event_callback(Input("steady", "n_clicks"))
async def steady(_n: int) -> AsyncIterator[Update]:
    began = time.perf_counter()
    for i in range(1_000):  # 500 per second
        yield stream_props("graph", {"extendData": [{"x": [[i]], "y": [[i]]}, [0]]})
        await asyncio.sleep(max(0.0, began + i / 500 - time.perf_counter()))


@event_callback(Input("traces", "n_clicks"))
async def traces(_n: int) -> AsyncIterator[Update]:
    for i in range(200):
        yield stream_props("graph", {"extendData": [{"x": [[i]], "y": [[i]]}, [i % 2]]})
        if i % 50 == 49:  # another window may not be joined with the one before
            yield stream_props("graph", {"extendData": [{"x": [[i]], "y": [[i]]}, [0], 500]})


@event_callback(Input("rows", "n_clicks"))
async def rows(_n: int) -> AsyncIterator[Update]:
    for i in range(2_000):
        yield stream_props("grid", {"rowTransaction": {"add": [{"n": str(i)}]}})


@event_callback(Input("mixed", "n_clicks"))
async def mixed(_n: int) -> AsyncIterator[Update]:
    for i in range(30):
        yield stream_props("grid", {"rowTransaction": {"add": [{"n": f"m{i}"}]}})
        if i % 3 == 2:
            yield stream_props("grid", {"rowTransaction": {"remove": [{"n": f"m{i}"}]}})


@event_callback(Input("notify", "n_clicks"))
async def notify(_n: int) -> AsyncIterator[Update]:
    for i in range(10):
        notification = {"id": f"n{i}", "message": f"note {i}", "autoClose": False}
        yield stream_props(
            "notifications", {"sendNotifications": [{"action": "show", **notification}]}
        )


@event_callback(Input("numbers", "n_clicks"), State("seconds", "value"))
async def numbers(_n: int, seconds: str) -> AsyncIterator[Update]:
    """600 points; the connection is cut meanwhile."""
    pause = float(seconds) / 600
    for i in range(600):
        yield stream_props("graph", {"extendData": [{"x": [[i]], "y": [[i]]}, [0]]})
        await asyncio.sleep(pause)
    yield stream_props("message", {"children": "all sent"})


@event_callback(Input("keep", "n_clicks"), on_disconnect="finish")
async def keep(_n: int) -> AsyncIterator[Update]:
    """A window of 50 points and a list that grows, until a file says that it is over."""
    mark("keep began")
    count = 0
    while not may_end():
        yield stream_props("graph", {"extendData": [{"x": [[count]], "y": [[count]]}, [0], 50]})
        patch = Patch()
        patch.append(f"{count} ")
        yield stream_props("listed", {"children": patch})
        count += 1
        await asyncio.sleep(0.02)
    yield stream_props("message", {"children": f"over after {count}"})
    mark("keep finally")
