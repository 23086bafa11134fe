"""One topic for many pages; what it publishes comes from the URL."""

import asyncio
import gc
from typing import Any

from dash import Dash, html

from benchmarks.apps.texts import TEXT
from flash_events import FlashEvents

app = Dash(__name__, backend="quart")
server: Any = app.server
app.layout = html.Div()
news = FlashEvents(app).topic("news", history=1000)


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


async def collect() -> str:
    """Removes what requests have left in cycles."""
    gc.collect()
    return "done"


server.add_url_rule("/publish/<int:count>/<float:pause>", view_func=publish)
server.add_url_rule("/collect", view_func=collect)
