"""Answers of a bare ASGI app when its server starts and stops."""

from collections.abc import Awaitable, Callable
from typing import Any


async def live(
    receive: Callable[[], Awaitable[Any]], send: Callable[[dict[str, Any]], Awaitable[None]]
) -> None:
    """Confirms every message until the server stops."""
    kind = ""
    while kind != "lifespan.shutdown":
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
