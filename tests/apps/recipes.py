"""The recipes of how-to/sharing.md, each unchanged, as pages of one app."""

from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import dash
from dash import Dash, html

from tests.support.listings import NAMED, text_of

PAGE = "how-to/sharing.md"
RECIPES = ("sharing", "global_variable", "file", "dcc_store", "hidden_div", "aggregations")

app = Dash(__name__, backend="quart", use_pages=True, pages_folder="")
server = app.server
app.layout = html.Div([html.Button("Ready"), dash.page_container])
listings = dict(NAMED.findall(text_of(PAGE)))
for name in RECIPES:
    module: dict[str, Any] = {"__name__": name}
    with patch("dash.Dash", lambda *_args, **_options: SimpleNamespace(server=server)):
        exec(compile(listings[name], f"{PAGE}: {name}", "exec"), module)
    dash.register_page(name, path=f"/{name}", layout=module["app"].layout)
