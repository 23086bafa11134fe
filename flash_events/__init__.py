"""Streaming for Dash: a generator function streams prop updates into the live page."""

from typing import TYPE_CHECKING, Any

from flash_events.callbacks import event_callback
from flash_events.errors import (
    BrokerError,
    CallbackError,
    ConfigurationError,
    Conflict,
    EncodingError,
    FlashEventsError,
    RunAborted,
    RunRefused,
    RunTimeout,
    StoreUnavailable,
    TooManyWaiting,
    TopicOverflow,
    UpdateError,
    WorkerLost,
)
from flash_events.plugin import FlashEvents
from flash_events.progress import Progress, track
from flash_events.settings import Settings
from flash_events.sharing.apps import shared_value, topic
from flash_events.sharing.messages import Message, Messages
from flash_events.sharing.topics import Topic
from flash_events.sharing.values import SharedValue
from flash_events.updates import Update, stream_props

if TYPE_CHECKING:
    from flash_events.components import ConnectionStatus, RunState, Subscription

__version__ = "0.1.0"

__all__ = [
    "BrokerError",
    "CallbackError",
    "ConfigurationError",
    "Conflict",
    "ConnectionStatus",
    "EncodingError",
    "FlashEvents",
    "FlashEventsError",
    "Message",
    "Messages",
    "Progress",
    "RunAborted",
    "RunRefused",
    "RunState",
    "RunTimeout",
    "Settings",
    "SharedValue",
    "StoreUnavailable",
    "Subscription",
    "TooManyWaiting",
    "Topic",
    "TopicOverflow",
    "Update",
    "UpdateError",
    "WorkerLost",
    "event_callback",
    "shared_value",
    "stream_props",
    "topic",
    "track",
]

_js_dist = [
    {"namespace": "flash_events", "relative_package_path": "static/flash_events_components.js"}
]
"""The scripts that Dash adds to pages once a component of this package was imported."""


def __getattr__(name: str) -> Any:
    """Import the components on first use, because pages load their script after the import."""
    if name in ("ConnectionStatus", "RunState", "Subscription"):
        from flash_events import components

        return getattr(components, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
