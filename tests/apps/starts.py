"""An app with special starts: a grid requests rows, panels reach the limit of runs, a token
expires.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import dash_ag_grid as dag
from dash import ALL, MATCH, Dash, Input, Output, ctx, html
from dash.types import RendererHooks

from flash_events import RunState, Update, event_callback, stream_props
from tests.apps.backend import BACKEND, wrap_asgi
from tests.apps.marks import mark

HOOKS: RendererHooks = {
    "request_pre": "body => { (window.before ??= []).push(JSON.parse(JSON.stringify(body))); }",
    "request_post": "(body, answer) => { (window.after ??= []).push([body.output, answer]); }",
    # Its own URL is not guarded.
    "request_refresh_jwt": """async expired => {
        (window.expired ??= []).push(expired);
        return await (await fetch("token")).text();
    }""",
}

app = Dash(__name__, backend=BACKEND, hooks=HOOKS)
server = app.server
PANELS = range(5)


class Guard:
    """Accepts POSTs with the current token; `expire` creates another one.

    Before the first `expire`, and after `open`, no token is required.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._token = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"].rpartition("/")[2]
        if path == "expire":
            self._token += 1
        if path == "open":
            self._token = 0
        if path in ("expire", "open", "token"):
            await _answer(send, 200, f"token {self._token}")
            return
        given = dict(scope["headers"]).get(b"authorization", b"").decode()
        if scope["method"] == "POST" and self._token and given != f"Bearer token {self._token}":
            while (await receive()).get("more_body"):
                pass
            mark("refused", path=path)
            await _answer(send, 401, f"JWT Expired: {given}")
            return
        if scope["method"] == "POST":
            mark("passed", path=path)
        await self._app(scope, receive, send)


async def _answer(send: Any, status: int, text: str) -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": text.encode()})


wrap_asgi(server, Guard)


def panel(index: int) -> html.Div:
    return html.Div(
        [
            html.Button("go", id={"type": "go", "index": index}),
            html.Button("halt", id={"type": "halt", "index": index}),
            html.Span(id={"type": "panel", "index": index}),
        ]
    )


@event_callback(
    Input({"type": "go", "index": MATCH}, "n_clicks"),
    cancel=Input({"type": "halt", "index": MATCH}, "n_clicks"),
)
async def panels(_n: int) -> AsyncIterator[Update]:
    mark("panel", index=ctx.triggered_id["index"])
    n = 0
    while True:
        n += 1
        yield stream_props({"type": "panel", "index": MATCH}, {"children": n})
        await asyncio.sleep(0.02)


@app.callback(Output("states", "children"), Input({"type": "state", "index": ALL}, "state"))
def show_states(states: list[str]) -> str:
    return " ".join(states)


@event_callback(Input("count", "n_clicks"))
async def count(_n: int) -> AsyncIterator[Update]:
    """Counts in a prop that never collapses, so that a missing step is visible."""
    for n in range(1, 10_000):
        yield stream_props("counted", {"children": n})
        await asyncio.sleep(0.02)


@event_callback(Input("grid", "getRowsRequest"))
async def rows(request: Any) -> AsyncIterator[Update]:
    mark("rows", request=request)
    asked = range(request["startRow"], request["endRow"])
    found = [{"n": f"row {n}"} for n in asked]
    yield stream_props("grid", {"getRowsResponse": {"rowData": found, "rowCount": 1000}})


app.layout = html.Div(
    [
        html.Button("count", id="count"),
        html.Div(id="counted"),
        html.Div([panel(index) for index in PANELS]),
        *[RunState(panels, id={"type": "state", "index": n}) for n in PANELS],
        html.Div(id="states"),
        dag.AgGrid(
            id="grid", columnDefs=[{"field": "n"}], rowModelType="infinite", style={"height": 300}
        ),
    ]
)
