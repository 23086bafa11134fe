"""An app whose prop changes have further effects in Dash, which must be preserved."""

import asyncio
from collections.abc import AsyncIterator

from dash import ALL, Dash, Input, Output, dcc, html

from flash_events import Update, event_callback, stream_props
from tests.apps.backend import BACKEND
from tests.apps.marks import may_end

CARDS = 300

app = Dash(__name__, backend=BACKEND, suppress_callback_exceptions=True)
server = app.server

BUTTONS = "fill both empty hear persist load label cards slow"

app.layout = html.Div(
    [
        html.Div([html.Button(name, id=name, n_clicks=0) for name in BUTTONS.split()]),
        *[html.Div(id=name) for name in ("holder", "heard", "heard-cards", "followed")],
        dcc.Input(id="listened"),
        dcc.Input(id="kept", value="first", persistence=True),
        dcc.Loading(html.Div("before", id="loaded"), id="loading", delay_hide=0),
        dcc.Tabs([dcc.Tab(label="old", id="tab", value="tab")], value="tab"),
        html.Div([html.Div("-", id={"card": n}) for n in range(CARDS)]),
    ]
)


@event_callback(Input("fill", "n_clicks"))
async def fill(_n: int) -> AsyncIterator[Update]:
    yield stream_props("holder", {"children": [html.Div("new", id="born"), dcc.Input(id="asked")]})
    for n in range(20):
        yield stream_props(
            [("born", {"children": f"born {n}"}), ("asked", {"value": f"asked {n}"})]
        )
        await asyncio.sleep(0.005)


@event_callback(Input("both", "n_clicks"))
async def both(_n: int) -> AsyncIterator[Update]:
    """Updates a component in a container, and then the container."""
    yield stream_props([("born", {"children": "dying"}), ("holder", {"children": "nothing left"})])


@event_callback(Input("empty", "n_clicks"))
async def empty(_n: int) -> AsyncIterator[Update]:
    yield stream_props("holder", {"children": "nothing"})
    yield stream_props("born", {"children": "not there any more"})
    yield stream_props("holder", {"children": "nothing at all"})


@app.callback(Output("followed", "children"), Input("asked", "value"))
def follow(value: str) -> str:
    return f"followed {value}"


@event_callback(Input("hear", "n_clicks"))
async def hear(_n: int) -> AsyncIterator[Update]:
    for n in range(20):
        yield stream_props([("listened", {"value": f"value {n}"}), ("holder", {"title": f"{n}"})])
        await asyncio.sleep(0.005)


@app.callback(Output("heard", "children"), Input("listened", "value"))
def listen(value: str) -> str:
    return f"heard {value}"


@event_callback(Input("persist", "n_clicks"))
async def persist(_n: int) -> AsyncIterator[Update]:
    yield stream_props("kept", {"value": "streamed"})


@app.callback(Output("loaded", "title"), Input("slow", "n_clicks"), prevent_initial_call=True)
async def slow(_n: int) -> str:
    while not may_end():  # noqa: ASYNC110 - nothing tells when it changes elsewhere
        await asyncio.sleep(0.01)
    return "loaded"


@event_callback(Input("load", "n_clicks"))
async def load(_n: int) -> AsyncIterator[Update]:
    for n in range(20):
        yield stream_props("loaded", {"children": f"loaded {n}"})
        await asyncio.sleep(0.005)


@event_callback(Input("label", "n_clicks"))
async def label(_n: int) -> AsyncIterator[Update]:
    yield stream_props("tab", {"label": "new"})


@event_callback(Input("cards", "n_clicks"))
async def cards(_n: int) -> AsyncIterator[Update]:
    for round_ in range(4):
        for n in range(CARDS):
            yield stream_props({"card": n}, {"children": f"{n} in round {round_}", "title": "t"})
    yield stream_props({"card": ALL}, {"className": "done"})


@app.callback(Output("heard-cards", "children"), Input({"card": ALL}, "className"))
def hear_cards(names: list[str | None]) -> str:
    return f"{names.count('done')} done"
