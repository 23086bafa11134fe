"""Baseline of a topic: a bare ASGI app that sends ready bytes, one send per page and message."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from benchmarks.apps.lifespan import live
from benchmarks.apps.texts import TEXT

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]

EVENT = (
    b'id: SMgDk_bN-123456\nevent: update\ndata: {"run":"KmTPDplXaHSkrAmKBnWelg","n":123456,'
    b'"set":[],"news":{"nonce":"0123456789abcdef","messages":[[123456,1750000000.123456,0,0,"%b"]]'
    b"}}\n\n" % TEXT.encode()
)
"""An event of the same length as one of flash_events."""

_pages: set[Send] = set()


async def server(scope: Message, receive: Callable[[], Awaitable[Message]], send: Send) -> None:
    """Streams to POST requests; publishes as the path of a GET says."""
    if scope["type"] == "lifespan":
        return await live(receive, send)
    while (await receive()).get("more_body"):
        pass
    if scope["method"] == "POST":
        await _stream(receive, send)
        return
    if scope["path"].startswith("/publish/"):
        _, _, count, pause = scope["path"].split("/")
        await _publish(int(count), float(pause))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})


async def _stream(receive: Callable[[], Awaitable[Message]], send: Send) -> None:
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b": open\n\n", "more_body": True})
    _pages.add(send)
    try:
        while (await receive())["type"] != "http.disconnect":
            pass
    finally:
        _pages.discard(send)


async def _publish(count: int, pause: float) -> None:
    loop = asyncio.get_running_loop()
    due = loop.time()
    for _ in range(count):
        for send in list(_pages):
            await send({"type": "http.response.body", "body": EVENT, "more_body": True})
        if pause:
            due += pause
            await asyncio.sleep(due - loop.time())
