"""Dash's own websocket callbacks."""

import asyncio

from dash import Dash, Input, Output, set_props

from benchmarks.apps.page import CHANGES, PAUSE_SECONDS, answer, layout

app = Dash(__name__, backend="quart")
server = app.server
app.layout = layout()
app.callback(
    Output("answer", "children"), Input("ordinary", "n_clicks"), prevent_initial_call=True
)(answer)


def register(work: str) -> None:
    pause = PAUSE_SECONDS.get(work)

    @app.callback(Input(work, "n_clicks"), websocket=True, prevent_initial_call=True)
    async def stream(_clicks: int) -> None:
        for component, props in CHANGES[work]():
            set_props(component, props)
            if pause:
                await asyncio.sleep(pause)


for work in CHANGES:
    register(work)
