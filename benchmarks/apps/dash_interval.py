"""Polling: the page requests new values ten times a second, and shows the latest."""

from collections import deque
from typing import Any

from dash import Dash, Input, Output, dcc, html, no_update

from benchmarks.apps.page import CHANGES, layout

app = Dash(__name__, backend="quart")
server = app.server
app.layout = html.Div([layout(), dcc.Interval(id="interval", interval=100)])

new: deque[str] = deque()


@app.callback(Output("answer", "children"), Input("texts", "n_clicks"), prevent_initial_call=True)
async def fill(_clicks: int) -> str:
    new.extend(props["children"] for _, props in CHANGES["texts"]())
    return "done"


@app.callback(Output("text", "children"), Input("interval", "n_intervals"))
async def poll(_n: int) -> Any:
    if not new:
        return no_update
    last = new[-1]
    new.clear()
    return last
