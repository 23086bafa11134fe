"""An app full of mistakes in development mode: `python -m tests.apps.mistaken`.

Tests look for the lines that end in a comment.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator

import dash
import dash_mantine_components as dmc
import uvicorn
from dash import ALL, Dash, Input, Output, State, html

from flash_events import Update, event_callback, stream_props
from tests.apps.backend import BACKEND

app = Dash(__name__, backend=BACKEND)
BUTTONS = "go stop raises raises-plain unsendable pushes nothing late bad-handler ends ends-plain"
app.layout = dmc.MantineProvider(
    [
        *[html.Button(name, id=name) for name in BUTTONS.split()],
        html.Div(id="out"),
        dmc.Text(id="text"),
    ]
)


def button(name: str) -> Input:
    return Input(name, "n_clicks")


@event_callback(
    button("go"),
    State("text", "childern"),
    State({"type": "none", "index": ALL}, "value"),
    cancel=button("sotp"),
    reset_props=[("ou", {"children": ""})],
    running=[(Output("go", "disable"), True, False)],
)
async def targets(clicks: int, *_: object) -> AsyncIterator[Update]:
    for n in range(3):
        yield stream_props("outt", {"children": n})  # a wrong id
        dash.set_props("outt", {"title": n})  # a wrong id that is pushed
        yield stream_props("out", {"chidren": n, "data-n": n, "aria-label": "n"})  # a wrong prop
        yield stream_props("text", {"colour": "red", "data-n": n})
    yield stream_props("text", {"children": f"streamed {clicks}"})


@event_callback(button("raises"))
async def raises(_n: int) -> AsyncIterator[Update]:
    yield stream_props("out", {"children": "about to fail"})
    raise ValueError("shown to the developer")  # raises


@event_callback(button("raises-plain"))
def raises_plain(_n: int) -> Iterator[Update]:
    yield stream_props("out", {"children": "about to fail"})
    raise ValueError("shown to the developer")  # raises in a thread


@event_callback(button("unsendable"))
async def unsendable(_n: int) -> AsyncIterator[Update]:
    yield stream_props("out", {"children": object()})  # unsendable


def inner() -> Iterator[object]:
    yield "nothing"  # no update


@event_callback(button("nothing"))
def nothing(_n: int) -> Iterator[object]:
    yield from inner()


@event_callback(button("pushes"))
async def pushes(_n: int) -> AsyncIterator[Update]:
    dash.set_props("out", {"children": object()})  # unsendable and pushed
    yield stream_props("out", {})


@event_callback(button("late"), timeout=0.1)
async def late(_n: int) -> AsyncIterator[Update]:
    yield stream_props("out", {"children": "waits"})
    await asyncio.Event().wait()  # too late


def on_error(_error: Exception) -> None:
    raise LookupError("the handler itself")  # on_error


@event_callback(button("bad-handler"), on_error=on_error)
async def bad_handler(_n: int) -> AsyncIterator[Update]:
    raise ValueError("before the handler")
    yield


@event_callback(button("ends"), cancel=button("stop"))
async def ends(_n: int) -> AsyncIterator[Update]:
    try:
        yield stream_props("out", {"children": "ends can be stopped"})
        await asyncio.Event().wait()
    finally:
        raise LookupError("while it is cancelled")  # finally


@event_callback(button("ends-plain"), cancel=button("stop"))
def ends_plain(_n: int) -> Iterator[Update]:
    try:
        while True:
            yield stream_props("out", {"children": "ends-plain can be stopped"})
    finally:
        raise LookupError("while it is cancelled")  # finally in a thread


if __name__ == "__main__":
    port = int(os.environ["PORT"])
    # The version check of Dash uses the internet.
    if BACKEND == "quart":
        app.run(debug=True, port=port, dev_tools_disable_version_check=True)
    else:  # app.run would start a server in another process, and not stop it
        app.enable_dev_tools(debug=True, dev_tools_disable_version_check=True)
        uvicorn.run(app.server, port=port)
