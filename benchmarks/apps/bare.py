"""The upper bound: an ASGI app that sends prepared bytes, many events per send."""

import os
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.apps.lifespan import live
from benchmarks.apps.page import MANY

Send = Callable[[dict[str, Any]], Awaitable[None]]

EVENTS_PER_SEND = int(os.environ.get("EVENTS_PER_SEND", "256"))
EVENT = (
    b"id: SMgDk_bN-123456\nevent: update\n"
    b'data: {"run":"KmTPDplXaHSkrAmKBnWelg","n":123456,"set":[["text",{"children":"u123455"}]]}\n\n'
)
"""An event of the same length as one of flash_events."""


async def server(scope: dict[str, Any], receive: Any, send: Send) -> None:
    if scope["type"] == "lifespan":
        return await live(receive, send)
    streams = scope["path"] == "/stream"
    kind = (b"content-type", b"text/event-stream" if streams else b"text/plain")
    await send({"type": "http.response.start", "status": 200, "headers": [kind]})
    left = MANY if streams else 0
    while left:
        events = min(left, EVENTS_PER_SEND)
        body = EVENT * events
        await send({"type": "http.response.body", "body": body, "more_body": True})
        left -= events
    await send({"type": "http.response.body", "body": b""})
