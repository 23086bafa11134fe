"""Adapters for the web frameworks that Dash can stream with."""

from dash import Dash

from flash_events.endpoint.backends.base import Backend, Handler, Request

__all__ = ["Backend", "Handler", "Request", "backend_of"]


def backend_of(app: Dash) -> Backend | None:
    """Return the adapter for an app's web framework; None if it cannot stream."""
    match app.backend.server_type:
        case "quart":
            from flash_events.endpoint.backends.quart import QuartBackend

            return QuartBackend(app.server)
        case "fastapi":
            from flash_events.endpoint.backends.fastapi import FastAPIBackend

            return FastAPIBackend(app.server)
    return None
