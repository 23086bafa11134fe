"""A page with many components, streamed to in bursts or at a steady pace; for Chromium.

COMPONENTS and UPDATES come from the environment, because a click carries nothing but its number.
"""

import asyncio
import os
from collections.abc import AsyncIterator

from dash import Dash, Input, dcc, html

from flash_events import Update, event_callback, stream_props

COMPONENTS = int(os.environ.get("COMPONENTS", "20"))
UPDATES = int(os.environ.get("UPDATES", "2000"))
PER_TICK = int(os.environ.get("PER_TICK", "20"))
"""Number of updates between two pauses."""
TICK_SECONDS = 0.01

app = Dash(__name__, backend="quart")
server = app.server
app.layout = html.Div(
    [
        *(html.Button(name, id=name) for name in ("burst", "paced", "points")),
        html.Div(id="end"),
        *(
            [dcc.Graph(id="graph", figure={"data": [{"x": [], "y": []}]})]
            if COMPONENTS < 100
            else []
        ),
        *(html.Div(id=f"out-{number}") for number in range(COMPONENTS)),
    ]
)


def texts(click: int) -> list[Update]:
    """Returns an update to each component in turn; all differ."""
    return [
        stream_props(f"out-{number % COMPONENTS}", {"children": f"{click}-{number}"})
        for number in range(UPDATES)
    ]


@event_callback(Input("burst", "n_clicks"))
async def burst(click: int) -> AsyncIterator[Update]:
    for update in texts(click):
        yield update
    yield stream_props("end", {"children": f"end {click}"})


@event_callback(Input("paced", "n_clicks"))
async def paced(click: int) -> AsyncIterator[Update]:
    async for number in ticking():
        yield stream_props(f"out-{number % COMPONENTS}", {"children": f"{click}-{number}"})
    yield stream_props("end", {"children": f"end {click}"})


@event_callback(Input("points", "n_clicks"))
async def points(click: int) -> AsyncIterator[Update]:
    async for number in ticking():
        point = {"x": [[number]], "y": [[number % 100]]}
        yield stream_props("graph", {"extendData": [point, [0], 1000]})
    yield stream_props("end", {"children": f"end {click}"})


async def ticking() -> AsyncIterator[int]:
    """Counts up to UPDATES in fixed steps per tick, without accumulating delays."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    for number in range(UPDATES):
        if number % PER_TICK == 0:
            await asyncio.sleep(max(0, due - loop.time()))
            due += TICK_SECONDS
        yield number
