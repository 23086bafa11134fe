"""An app in development mode: `python -m tests.apps.debug`."""

import asyncio
import os
from collections.abc import AsyncIterator
from itertools import count

from dash import Dash, Input, Output, html

from flash_events import Subscription, Update, event_callback, stream_props, topic
from tests.apps.backend import BACKEND
from tests.apps.marks import mark

app = Dash(__name__, backend=BACKEND)
app.layout = html.Div(
    [
        html.Button("start", id="start"),
        html.Button("fail", id="fail"),
        html.Button(id="endless"),
        html.Button("watch", id="watch"),
        html.Button("publish", id="publish"),
        html.Div(id="out"),
        html.Div(id="place"),
    ]
)

news = topic("debug/news", history=10)


@event_callback(Input("start", "n_clicks"))
async def start(n: int) -> AsyncIterator[Update]:
    yield stream_props("out", {"children": f"clicked {n}"})


@event_callback(Input("fail", "n_clicks"))
async def fail(_n: int) -> AsyncIterator[Update]:
    yield stream_props("out", {"children": "about to fail"})
    raise ValueError("shown to the developer")


@event_callback(Input("endless", "n_clicks"))
async def endless(_n: int) -> AsyncIterator[Update]:
    try:
        for n in count(1):
            yield stream_props("out", {"children": n})
            await asyncio.sleep(0.02)
    finally:
        await asyncio.sleep(0)  # awaiting code needs a running loop
        mark("endless finally")


@app.callback(Output("place", "children"), Input("watch", "n_clicks"), prevent_initial_call=True)
async def watch(n: int) -> list[Subscription]:
    return [Subscription(news, id="news"), Subscription(news, id={"type": "sub", "index": n})]


@event_callback(Input("publish", "n_clicks"))
async def publish(_n: int) -> AsyncIterator[Update]:
    for n in range(50):
        await news.publish({"n": n})
    yield stream_props("out", {"children": "published"})


if __name__ == "__main__":
    # The version check of Dash uses the internet.
    app.run(debug=True, port=os.environ["PORT"], dev_tools_disable_version_check=True)
