"""The backend of the test apps: Quart, or FastAPI if the environment says so."""

import os
from typing import Any
from urllib.parse import urlsplit

from dash import ctx

BACKEND = os.environ.get("BACKEND", "quart")


def wrap_asgi(server: Any, wrap: Any) -> None:
    """Wraps the server in an ASGI app."""
    if BACKEND == "quart":
        server.asgi_app = wrap(server.asgi_app)
    else:
        server.add_middleware(wrap)


def request_path() -> str:
    """Returns the path of the current request, even in a run."""
    if BACKEND == "quart":
        from quart import request

        return request.path
    return str(urlsplit(ctx.path).path)
