"""Baseline of a connection: a bare ASGI app that sends one event and then nothing."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from benchmarks.apps.lifespan import live

Message = MutableMapping[str, Any]

EVENT = b'event: update\ndata: {"run":"0123456789012345678901","n":1,"set":[["out",{}]]}\n\n'


async def server(
    scope: Message,
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """Streams to POST requests; answers other requests at once."""
    if scope["type"] == "lifespan":
        return await live(receive, send)
    is_stream = scope["method"] == "POST"
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"text/event-stream" if is_stream else b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send(
        {
            "type": "http.response.body",
            "body": EVENT if is_stream else b"[]",
            "more_body": is_stream,
        }
    )
    while is_stream and (await receive())["type"] != "http.disconnect":
        pass
