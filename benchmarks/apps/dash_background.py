"""Dash's background callback: a separate process whose progress the page polls."""

import tempfile
from collections.abc import Callable

import diskcache
from dash import Dash, DiskcacheManager, Input, Output, callback

from benchmarks.apps.page import CHANGES, layout

app = Dash(__name__, backend="quart")
server = app.server
app.layout = layout()


@callback(
    Output("answer", "children"),
    Input("texts", "n_clicks"),
    background=True,
    manager=DiskcacheManager(diskcache.Cache(tempfile.mkdtemp())),
    progress=Output("text", "children"),
    prevent_initial_call=True,
)
def in_the_background(set_progress: Callable[[str], None], _clicks: int) -> str:
    for _, props in CHANGES["texts"]():
        set_progress(props["children"])
    return "done"
