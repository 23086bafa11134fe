"""One topic for many pages; what it publishes comes from the URL."""

import asyncio

from dash import Dash, html

from benchmarks.apps.texts import TEXT
from flash_events import FlashEvents

app = Dash(__name__, backend="quart")
server = app.server
app.layout = html.Div()
news = FlashEvents(app).topic("news", history=1000)


@server.route("/publish/<int:count>/<float:pause>")
async def publish(count: int, pause: float) -> str:
    """Publishes a number of messages, with a constant pause."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    for _ in range(count):
        await news.publish(TEXT)
        if pause:
            due += pause
            await asyncio.sleep(due - loop.time())
    return "done"
