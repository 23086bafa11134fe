"""What the apps of the tests run on: Quart, or FastAPI where the environment says so."""

import os
from typing import Any
from urllib.parse import urlsplit

from dash import ctx

BACKEND = os.environ.get("BACKEND", "quart")


def wrap_asgi(server: Any, wrap: Any) -> None:
    """Puts an ASGI app around what serves."""
    if BACKEND == "quart":
        server.asgi_app = wrap(server.asgi_app)
    else:
        server.add_middleware(wrap)


def request_path() -> str:
    """The path of the current request, in a run too."""
    if BACKEND == "quart":
        from quart import request

        return request.path
    return str(urlsplit(ctx.path).path)
