"""An app whose ordinary callbacks were meant to be event callbacks; it has no event callback."""

from collections.abc import Iterator
from typing import Any

from dash import Dash, Input, Output, callback, html

from flash_events import stream_props

app = Dash(__name__, backend="quart")
app.layout = html.Div([html.Button("Go", id="go"), html.Div(id="out"), html.Div(id="other")])


@callback(Output("out", "children"), Input("go", "n_clicks"), prevent_initial_call=True)
def yields(_clicks: int) -> Iterator[Any]:
    yield stream_props("out", {"children": 1})


@callback(Output("other", "children"), Input("go", "n_clicks"), prevent_initial_call=True)
def returns(_clicks: int) -> Any:
    return stream_props("other", {"children": 1})


if __name__ == "__main__":
    app.run(debug=True, dev_tools_disable_version_check=True)
