"""flash_events."""

import asyncio
from collections.abc import AsyncIterator

from dash import Dash, Input, Output

from benchmarks.apps.page import CHANGES, PAUSE_SECONDS, answer, layout
from flash_events import Update, event_callback, stream_props

app = Dash(__name__, backend="quart")
server = app.server
app.layout = layout()
app.callback(
    Output("answer", "children"), Input("ordinary", "n_clicks"), prevent_initial_call=True
)(answer)


def register(work: str) -> None:
    pause = PAUSE_SECONDS.get(work)

    @event_callback(Input(work, "n_clicks"))
    async def stream(_clicks: int) -> AsyncIterator[Update]:
        for component, props in CHANGES[work]():
            yield stream_props(component, props)
            if pause:
                await asyncio.sleep(pause)


for work in CHANGES:
    register(work)
