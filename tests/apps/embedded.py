"""Two Dash apps on one Quart server, under prefixes and a strict Content-Security-Policy."""

import asyncio
from collections.abc import AsyncIterator

from dash import Dash, Input, html
from quart import Quart, Response

from flash_events import FlashEvents, Update, stream_props

server = Quart(__name__)

LAYOUT = [html.Button("start", id="start"), html.Button("stop", id="stop"), html.Div(id="out")]


def add_callback(app: Dash, name: str) -> None:
    @FlashEvents(app).event_callback(
        Input("start", "n_clicks"),
        cancel=Input("stop", "n_clicks"),
        reset_props={"out": {"children": f"{name} was reset"}},
    )
    async def ticks(_n: int) -> AsyncIterator[Update]:
        n = 0
        while True:
            n += 1
            yield stream_props("out", {"children": f"{name} {n}"})
            await asyncio.sleep(0.02)


# Dash accepts the servers of all its backends here, but its annotation has Flask only.
one = Dash("one", server=server, url_base_pathname="/one/")  # type: ignore[arg-type]
one.layout = html.Div(LAYOUT)
add_callback(one, "one")

two = Dash("two", backend="quart", server=False, url_base_pathname="/two/")
# Dash 4.4 gives the WebSocket routes of all apps one name, which Quart refuses the second time.
two.backend.websocket_capability = False
two.layout = html.Div([*LAYOUT, html.Button("only here", id="only-here")])
add_callback(two, "two")


@FlashEvents(two).event_callback(Input("only-here", "n_clicks"))
async def only_here(_n: int) -> AsyncIterator[Update]:
    yield stream_props("out", {"children": "of app two"})


two.init_app(server)


@server.after_request
async def add_policy(response: Response) -> Response:
    hashes = {script for app in (one, two) for script in app.csp_hashes()}
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; script-src 'self' {' '.join(sorted(hashes))}; connect-src 'self'; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; "
        "worker-src 'self'; base-uri 'none'; form-action 'none'"
    )
    return response
