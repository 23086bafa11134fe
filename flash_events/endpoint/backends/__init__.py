"""The web frameworks that Dash runs on, and that can stream."""

from dash import Dash

from flash_events.endpoint.backends.base import Backend, Handler, Request

__all__ = ["Backend", "Handler", "Request", "backend_of"]


def backend_of(app: Dash) -> Backend | None:
    """What an app runs on; None where that cannot stream."""
    match app.backend.server_type:
        case "quart":
            from flash_events.endpoint.backends.quart import QuartBackend

            return QuartBackend(app.server)
        case "fastapi":
            from flash_events.endpoint.backends.fastapi import FastAPIBackend

            return FastAPIBackend(app.server)
    return None
