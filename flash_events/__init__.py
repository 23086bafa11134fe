"""Streaming for Dash: a generator function streams prop updates into the live page."""

from typing import TYPE_CHECKING, Any

from flash_events.callbacks import event_callback
from flash_events.errors import (
    BrokerError,
    CallbackError,
    ConfigurationError,
    EncodingError,
    FlashEventsError,
    RunAborted,
    RunRefused,
    RunTimeout,
    TooManyWaiting,
    UpdateError,
    WorkerLost,
)
from flash_events.plugin import FlashEvents
from flash_events.progress import Progress, track
from flash_events.settings import Settings
from flash_events.updates import Update, stream_props

if TYPE_CHECKING:
    from flash_events.components import ConnectionStatus, RunState

__version__ = "0.1.0"

__all__ = [
    "BrokerError",
    "CallbackError",
    "ConfigurationError",
    "ConnectionStatus",
    "EncodingError",
    "FlashEvents",
    "FlashEventsError",
    "Progress",
    "RunAborted",
    "RunRefused",
    "RunState",
    "RunTimeout",
    "Settings",
    "TooManyWaiting",
    "Update",
    "UpdateError",
    "WorkerLost",
    "event_callback",
    "stream_props",
    "track",
]

_js_dist = [
    {"namespace": "flash_events", "relative_package_path": "static/flash_events_components.js"}
]
"""The scripts that Dash adds to pages once a component of this package was imported."""


def __getattr__(name: str) -> Any:
    """Import the components on first use, because pages load their script after the import."""
    if name in ("ConnectionStatus", "RunState"):
        from flash_events import components

        return getattr(components, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
