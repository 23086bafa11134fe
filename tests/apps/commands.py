"""An app with components that have command props."""

import asyncio
import time
from collections.abc import AsyncIterator

import dash_ag_grid as dag
import dash_mantine_components as dmc
import numpy as np
import plotly.express as px
import plotly.graph_objects as go
from dash import ALL, Dash, Input, Output, Patch, State, dcc, html
from dash.development.base_component import Component

from flash_events import Update, event_callback, stream_props
from tests.apps.backend import BACKEND
from tests.apps.marks import mark, may_end

app = Dash(__name__, backend=BACKEND)
server = app.server

BUTTONS = (
    "points steady traces packed before rows mixed clear notify numbers tabbed stop ordinary keep "
    "redrawn marked one-by-one graph-tab grid-tab scrolled synchronous files once refused arrays"
)

app.layout = dmc.MantineProvider(
    [
        html.Div([html.Button(name, id=name, n_clicks=0) for name in BUTTONS.split()]),
        dcc.Input(id="seconds", value="1"),
        *[html.Div(id=name) for name in ("message", "answer")],
        html.Div([], id="listed"),
        html.Div("empty", id="lab"),
        html.Div(html.Div("old", id="child"), id="child-box"),
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
    """Rows for a grid in an unselected tab; each waits for the one before."""
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
    """A window of 50 points and a growing list, until the test writes a file."""
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


# Each of these draws its components into the lab.


def in_tabs(component: Component) -> dcc.Tabs:
    """Draws the component in a tab that can be left and shown."""
    return dcc.Tabs([dcc.Tab(component, label="shown"), dcc.Tab(html.Div("else"), label="left")])


def empty_grid(component_id: str) -> dag.AgGrid:
    columns = [{"field": "n"}, {"field": "v"}]
    return dag.AgGrid(
        id=component_id, columnDefs=columns, rowData=[], getRowId="params.data.n", style=SMALL
    )


SMALL = {"height": 200, "width": 400}


@event_callback(Input("redrawn", "n_clicks"))
async def redrawn(_n: int) -> AsyncIterator[Update]:
    yield stream_props(
        [
            ("child", {"children": "A"}),
            ("child-box", {"children": html.Div("new", id="child")}),
            ("child", {"children": "B"}),
        ]
    )
    yield stream_props("message", {"children": "redrawn"})


def cards(count: int) -> list[html.Div]:
    return [html.Div("plain", id={"card": n}, className="card") for n in range(count)]


@event_callback(Input("marked", "n_clicks"))
async def marked(_n: int) -> AsyncIterator[Update]:
    yield stream_props([("lab", {"children": cards(3)}), ({"card": ALL}, {"children": "marked"})])


@event_callback(Input("one-by-one", "n_clicks"))
async def one_by_one(_n: int) -> AsyncIterator[Update]:
    """Each card is appended, marked by a pattern and written into."""
    yield stream_props("lab", {"children": []})
    for n, card in enumerate(cards(20)):
        patch = Patch()
        patch.append(card)
        yield stream_props("lab", {"children": patch})
        yield stream_props({"card": ALL}, {"title": f"one of {n + 1}"})
        yield stream_props({"card": n}, {"children": f"number {n}"})


@event_callback(Input("graph-tab", "n_clicks"))
async def graph_tab(_n: int) -> AsyncIterator[Update]:
    graph = dcc.Graph(id="lab-graph", figure=go.Figure(go.Scatter(x=[], y=[])), style=SMALL)
    yield stream_props("lab", {"children": in_tabs(graph)})
    extension = {"x": [[1, 2, 3]], "y": [[1, 2, 3]]}
    yield stream_props("lab-graph", {"extendData": [extension, [0]]})


@event_callback(Input("grid-tab", "n_clicks"))
async def grid_tab(_n: int) -> AsyncIterator[Update]:
    yield stream_props("lab", {"children": in_tabs(empty_grid("lab-grid"))})
    for i in range(100):
        yield stream_props("lab-grid", {"rowTransaction": {"add": [{"n": str(i)}]}})
        await asyncio.sleep(0.01)
    yield stream_props("message", {"children": "all rows sent"})


@event_callback(Input("scrolled", "n_clicks"))
async def scrolled(_n: int) -> AsyncIterator[Update]:
    yield stream_props("lab", {"children": empty_grid("lab-grid")})
    rows = [{"n": str(i)} for i in range(500)]
    yield stream_props("lab-grid", {"rowTransaction": {"add": rows}, "scrollTo": {"rowIndex": 499}})


@event_callback(Input("synchronous", "n_clicks"))
async def synchronous(_n: int) -> AsyncIterator[Update]:
    """Synchronous transactions after asynchronous ones, which AG Grid would apply later."""
    yield stream_props("lab", {"children": empty_grid("lab-grid")})
    for transaction in (
        {"add": [{"n": "a", "v": 0}]},
        {"update": [{"n": "a", "v": 1}]},
        {"update": [{"n": "a", "v": 2}], "async": False},
        {"add": [{"n": "b", "v": 0}]},
        {"update": [{"n": "b", "v": 9}], "async": False},
    ):
        yield stream_props("lab-grid", {"rowTransaction": transaction})
    yield stream_props("message", {"children": "all changes sent"})


@event_callback(Input("files", "n_clicks"))
async def files(_n: int) -> AsyncIterator[Update]:
    yield stream_props("lab", {"children": [dcc.Download(id="file"), dcc.Store(id="store")]})
    for n in range(5):
        data = {"filename": f"file{n}.txt", "content": f"content {n}"}
        yield stream_props([("file", {"data": data}), ("store", {"data": data})])
    yield stream_props("message", {"children": "five files"})


@event_callback(Input("once", "n_clicks"), on_disconnect="finish")
async def once(_n: int) -> AsyncIterator[Update]:
    """Commands that run once: a reloaded page must not get them again."""
    drawn = [dcc.Download(id="file"), dcc.ConfirmDialog(id="dialog"), html.Div(id="lab-text")]
    yield stream_props("lab", {"children": drawn})
    data = {"filename": "once.txt", "content": "once"}
    yield stream_props("file", {"data": data})
    yield stream_props("dialog", {"displayed": True, "message": "Once?"})
    yield stream_props("lab-text", {"children": "done once"})
    mark("once is done")
    while not may_end():  # noqa: ASYNC110 - the test makes a file
        await asyncio.sleep(0.02)
    mark("once finally")


@event_callback(Input("refused", "n_clicks"))
async def refused(n: int) -> AsyncIterator[Update]:
    """Points for a missing trace among others; the second click sets a figure."""
    figure = go.Figure([go.Scatter(x=[], y=[]), go.Scatter(x=[], y=[])])
    if n == 1:
        yield stream_props("lab", {"children": dcc.Graph(id="lab-graph", figure=figure)})
        for i in range(20):
            extension = {"x": [[i]], "y": [[i]]}
            trace = 7 if i == 5 else i % 2
            yield stream_props("lab-graph", {"extendData": [extension, [trace]]})
    else:
        figure = go.Figure(go.Scatter(x=["new"], y=[1]))
        yield stream_props("lab-graph", {"figure": figure})
    yield stream_props("message", {"children": f"refused {n}"})


@event_callback(Input("arrays", "n_clicks"))
async def arrays(_n: int) -> AsyncIterator[Update]:
    """Points for figures with arrays that Python's Plotly has encoded, deep in the traces."""
    one, two = np.array([1.0, 2.0]), np.array([[1.0, 2.0], [3.0, 4.0]])
    points = px.scatter(x=one, y=one, color=one, size=one, error_y=one)
    drawn = [dcc.Graph(id="scatter", figure=points), dcc.Graph(id="image", figure=px.imshow(two))]
    yield stream_props("lab", {"children": drawn})
    names = ("x", "y", "marker.color", "marker.size", "error_y.array")
    for value in (3.0, 4.0):
        extension = {name: [[value]] for name in names}
        yield stream_props("scatter", {"extendData": [extension, [0]]})
        yield stream_props("image", {"extendData": [{"z": [[[value, value]]]}, [0]]})
