"""Marks the opening and closing of event streams on the server: a page cannot see a worker's."""

from typing import Any

from tests.apps.marks import mark


def noting_streams(app: Any) -> Any:
    """An ASGI app that marks `stream opened`, `stream closed`, and the requested actions."""

    async def noting(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or "_dash-flash-events/" not in scope["path"]:
            await app(scope, receive, send)
            return
        mark("asked", path=scope["path"], query=scope["query_string"].decode())
        is_stream = False

        async def sending(message: Any) -> None:
            nonlocal is_stream
            if message["type"] == "http.response.start":
                headers = dict(message["headers"])
                is_stream = headers.get(b"content-type", b"").startswith(b"text/event-stream")
                if is_stream:
                    mark("stream opened")
            await send(message)

        try:
            await app(scope, receive, sending)
        finally:
            if is_stream:
                mark("stream closed")

    return noting
