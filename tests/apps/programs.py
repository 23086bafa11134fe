"""An app that runs random programs, each in two places of its page."""

from collections.abc import AsyncIterator
from typing import Any

import dash_ag_grid as dag
import dash_mantine_components as dmc
from dash import Dash, Input, Output, dcc, html

from flash_events import Update, event_callback, stream_props
from tests.apps.backend import BACKEND
from tests.support.programs import Program, program

app = Dash(__name__, backend=BACKEND)
server = app.server

app.layout = dmc.MantineProvider(
    [
        html.Button("ready"),
        *[dcc.Store(id=name) for name in ("draw", "burst", "step")],
        *[html.Div(id=name) for name in ("drawn", "done")],
        html.Div(id="places"),
        html.Div(  # so that the scripts of graph and grid are loaded before a program needs them
            [dcc.Graph(id="graph"), dag.AgGrid(id="grid", columnDefs=[], rowData=[])],
            style={"height": "1px", "overflow": "hidden"},
        ),
    ]
)


def programs(order: dict[str, Any]) -> list[tuple[str, Program]]:
    """Returns the requested programs, each with the name of its place."""
    made = []
    for place, seed, keep in order["programs"]:
        kept = None if keep is None else tuple(keep)
        made.append((place, program(seed, place, kept)))
    return made


@app.callback(
    Output("places", "children"),
    Output("drawn", "children"),
    Input("draw", "data"),
    prevent_initial_call=True,
)
def draw(order: dict[str, Any]) -> Any:
    """Draws the initial places of the programs."""
    places = [html.Div(one.layout, id=f"{place}-place") for place, one in programs(order)]
    return places, order["token"]


@event_callback(Input("burst", "data"))
async def burst(order: dict[str, Any]) -> AsyncIterator[Update]:
    """Runs whole programs without a pause."""
    for _, one in programs(order):
        for update in one.updates if order["way"] == "burst" else reversed(one.updates):
            yield update
    yield stream_props("done", {"children": order["token"]})


@event_callback(Input("step", "data"))
async def step(order: dict[str, Any]) -> AsyncIterator[Update]:
    """Runs one update of each program; the page requests the next when it is idle."""
    for _, one in programs(order):
        for update in one.singles[order["step"] : order["step"] + 1]:
            yield update
    yield stream_props("done", {"children": order["token"]})
