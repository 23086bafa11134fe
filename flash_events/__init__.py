"""Streaming for Dash: an async generator streams prop updates into the live page."""

from flash_events.callbacks import event_callback
from flash_events.errors import (
    CallbackError,
    ConfigurationError,
    EncodingError,
    FlashEventsError,
    RunTimeout,
    UpdateError,
)
from flash_events.plugin import FlashEvents
from flash_events.progress import Progress, track
from flash_events.settings import Settings
from flash_events.updates import Update, stream_props

__version__ = "0.1.0"

__all__ = [
    "CallbackError",
    "ConfigurationError",
    "EncodingError",
    "FlashEvents",
    "FlashEventsError",
    "Progress",
    "RunTimeout",
    "Settings",
    "Update",
    "UpdateError",
    "event_callback",
    "stream_props",
    "track",
]
