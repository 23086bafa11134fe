"""An hour's updates in one page within minutes; UPDATES sets their number."""

import asyncio
import os
from collections.abc import AsyncIterator

from dash import Dash, Input, html

from flash_events import Update, event_callback, stream_props

UPDATES = int(os.environ.get("UPDATES", "1000000"))
COMPONENTS = 10
PER_TICK = 100
TICK_SECONDS = 0.01
"""10,000 updates a second, if server and page are that fast."""

app = Dash(__name__, backend="quart")
server = app.server
app.layout = html.Div(
    [
        html.Button("Start", id="start"),
        html.Div(id="end"),
        *(html.Div("0", id=f"out-{number}") for number in range(COMPONENTS)),
    ]
)


@event_callback(Input("start", "n_clicks"))
async def texts(click: int) -> AsyncIterator[Update]:
    """Counts, in each component in turn."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    for number in range(UPDATES):
        if number % PER_TICK == 0:
            due = max(due + TICK_SECONDS, loop.time())
            await asyncio.sleep(due - loop.time())
        yield stream_props(f"out-{number % COMPONENTS}", {"children": str(number)})
    yield stream_props("end", {"children": f"end {click}"})
