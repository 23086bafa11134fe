"""An app without event callbacks, with the package installed: `python -m tests.apps.unused`."""

import os

from dash import Dash, Input, Output, callback, html

app = Dash(__name__)
app.layout = html.Div([html.Button("click", id="click"), html.Div(id="out")])


@callback(Output("out", "children"), Input("click", "n_clicks"))
def clicked(n: int | None) -> str:
    return f"clicked {n or 0}"


if __name__ == "__main__":
    # The version check of Dash uses the internet.
    app.run(
        debug=True,
        port=os.environ["PORT"],
        use_reloader=False,
        dev_tools_disable_version_check=True,
    )
