"""An app whose pages watch topics, which event callbacks and ordinary callbacks publish to."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from dash import ALL, Dash, Input, Output, State, dcc, html

from flash_events import (
    Subscription,
    Update,
    event_callback,
    shared_value,
    stream_props,
    topic,
)
from tests.apps.backend import BACKEND
from tests.apps.marks import mark

app = Dash(__name__, backend=BACKEND)
app.config.suppress_callback_exceptions = True
server = app.server

points = topic("points", history=5000)
news = topic("news", history=1000)
choice = shared_value("choice", "none yet")

POINTS = 2000


@event_callback(Input("burst", "n_clicks"))
async def burst(_n: int) -> AsyncIterator[Update]:
    for n in range(POINTS):
        extension = [{"x": [[n]], "y": [[n]]}, [0]]
        await points.publish(stream_props("graph", {"extendData": extension}))
    yield stream_props("published", {"children": "burst"})


@event_callback(Input("thirty", "n_clicks"))
async def thirty(n_clicks: int) -> AsyncIterator[Update]:
    for n in range(30):
        await news.publish({"click": n_clicks, "n": n})
    yield stream_props("published", {"children": f"thirty {n_clicks}"})


@event_callback(Input("slowly", "n_clicks"))
async def slowly(_n: int) -> AsyncIterator[Update]:
    for n in range(200):
        await news.publish({"click": 0, "n": n})
        await asyncio.sleep(0.01)
    yield stream_props("published", {"children": "slowly"})


@event_callback(Input("same", "n_clicks"))
async def same(_n: int) -> AsyncIterator[Update]:
    await news.publish("the same")
    yield stream_props("published", {"children": "same"})


@app.callback(Output("published", "children"), Input("choose", "n_clicks"))
async def choose(n_clicks: int | None) -> str:
    if n_clicks:
        await choice.set(f"choice {n_clicks}")
    return "chosen"


@app.callback(
    Output("published", "children", allow_duplicate=True),
    Input("reset", "n_clicks"),
    prevent_initial_call=True,
)
async def reset(_n: int) -> str:
    await choice.delete()
    return "reset"


@app.callback(Output("latest", "children"), Input("news", "message"))
async def show_latest(message: Any) -> str:
    return repr(message)


@app.callback(Output("each-seen", "children"), Input("each", "message"), Input("each", "offset"))
async def see_each(message: Any, offset: int) -> str:
    mark("each", message=message, offset=offset)
    await asyncio.sleep(0.01)
    return repr(message)


@app.callback(Output("choice-seen", "children"), Input("choice", "message"))
async def see_choice(message: Any) -> str:
    return repr(message)


@app.callback(Output("all-seen", "children"), Input({"type": "sub", "index": ALL}, "message"))
async def see_all(messages: list[Any]) -> str:
    return repr(messages)


app.clientside_callback(
    """(messages) => JSON.stringify(
        messages.map(({data, missed, is_mine}) => [data?.n ?? data, missed, is_mine])
    )""",
    Output("window", "children"),
    Input("news", "messages"),
)

app.clientside_callback(
    "(...states) => states.join(' ')",
    Output("states", "children"),
    Input("news", "state"),
    Input("each", "state"),
    Input("choice", "state"),
    Input("news", "missed"),
)


@app.callback(
    Output("place", "children"),
    Input("mount", "n_clicks"),
    State("place", "children"),
    prevent_initial_call=True,
)
async def mount(_n: int, present: list[Any]) -> list[Any]:
    if present:
        return []
    return [Subscription(news, id="mounted", window=1000), html.Div(id="mounted-seen")]


app.clientside_callback(
    "(messages, state) => `${state} ${messages.map(({data}) => data?.n ?? data).join(' ')}`",
    Output("mounted-seen", "children"),
    Input("mounted", "messages"),
    Input("mounted", "state"),
)


@app.callback(Output("stray", "children"), Input("name", "n_clicks"), prevent_initial_call=True)
async def name_a_stranger(_n: int) -> Any:
    """Draws a Subscription of a topic that the app does not have (any more)."""
    made: Any = Subscription(news, id="nobody")
    made.topic = {"name": "nobody", "params": {}}
    return made


app.clientside_callback("state => state", Output("refused", "children"), Input("nobody", "state"))

BUTTONS = ("burst", "thirty", "slowly", "same", "choose", "reset", "mount", "name")
TEXTS = (
    "published",
    "latest",
    "each-seen",
    "choice-seen",
    "all-seen",
    "window",
    "states",
    "refused",
    "stray",
)


app.layout = html.Div(
    [
        html.Div([html.Button(name, id=name) for name in BUTTONS]),
        *[html.Div(id=name) for name in TEXTS],
        html.Div(id="place", children=[]),
        dcc.Graph(id="graph", figure={"data": [{"x": [], "y": []}]}),
        Subscription(points, id="points", last=5000),
        Subscription(news, id="news"),
        Subscription(news, id="each", each=True),
        Subscription(choice, id="choice"),
        *[Subscription(news, id={"type": "sub", "index": index}) for index in "ab"],
    ]
)
