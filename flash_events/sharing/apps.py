"""The apps of this process, to which topics without an app belong."""

from collections.abc import Callable
from typing import Any, Never
from weakref import WeakKeyDictionary

from flash_events.errors import CallbackError
from flash_events.settings import Settings
from flash_events.sharing.codecs import Codec
from flash_events.sharing.process import Namespace, is_isolated, namespace_of
from flash_events.sharing.topics import Scope, Topic
from flash_events.sharing.values import DeclaredValues, SharedValue

_configured: WeakKeyDictionary[Any, tuple[str, Callable[[], Settings]]] = WeakKeyDictionary()
"""Name and settings of the apps with `FlashEvents(app)`."""


def add_app(app: Any, name: str, settings: Callable[[], Settings]) -> None:
    """Note an app that was configured.

    Args:
        app: the app, which is not kept alive.
        name: its name, for error messages.
        settings: returns its settings.
    """
    _configured[app] = name, settings


def owns_topics(app: Any) -> bool:
    """Return whether topics without an app belong to this one, or may belong to it."""
    return not _configured or list(_configured) == [app]


def only_namespace() -> Namespace:
    """Return the namespace of the only configured app; that of the environment without any.

    In a test with `flash_events.testing.hub()`, several apps are no error: a test may make its own.

    Raises:
        CallbackError: if several apps are configured.
    """
    apps = list(_configured.values())
    if len(apps) > 1 and is_isolated():
        return namespace_of(Settings.load())
    if len(apps) > 1:
        names = ", ".join(sorted(name for name, _ in apps))
        raise CallbackError(
            f"This process has several configured apps ({names}), so it is not clear to which one "
            "this topic or value belongs. Write FlashEvents(app).topic(...) or "
            "FlashEvents(app).shared_value(...)."
        )
    return namespace_of(apps[0][1]() if apps else Settings.load())


declared = DeclaredValues(only_namespace)
"""The topics and shared values without an app."""


def topic(
    name: str,
    *,
    history: int = 100,
    ttl: float | None = 3600.0,
    max_bytes: int = 16 * 2**20,
    scope: Scope = "app",
    **unknown: Never,
) -> Topic:
    """Return the topic of a name: an ordered log of messages that all pages and workers share.

    Nothing is created until somebody publishes. Two calls with one name return the same topic. It
    belongs to the only configured app of the process; with several apps, write
    `FlashEvents(app).topic(...)`.

    Args:
        name: 1 to 200 printable characters. `{...}` marks a parameter:
            `topic("room/{room}")("42")`.
        history: number of messages that are kept for those who come later, 0 to 100,000. With 0
            only those who listen get them, and what a broken connection misses is counted, but not
            replayed.
        ttl: maximum age in seconds of a message that is replayed; None for no limit. The last
            offset is remembered while somebody watches the topic, and for 7 days after.
        max_bytes: maximum size of the history; the oldest messages go first.
        scope: whose topic it is; "app" is one for all.

    Raises:
        CallbackError: if the name or a number is not valid, or the name was declared with other
            options.
    """
    return declared.topic(
        name, history=history, ttl=ttl, max_bytes=max_bytes, scope=scope, **unknown
    )


def shared_value(
    name: str,
    initial: Any = None,
    *,
    scope: Scope = "app",
    ttl: float | None = None,
    codec: Codec | None = None,
    **unknown: Never,
) -> SharedValue:
    """Return the shared value of a name: all pages, workers and apps read and set the same one.

    It is a topic of which only the last message counts. Two calls with one name return the same
    value. It belongs to the only configured app of the process, as a topic does.

    Args:
        name: see `topic`.
        initial: the value before one is set, and after it was deleted.
        scope: whose value it is; "app" is one for all.
        ttl: time in seconds after which it is `initial` again; None for never.
        codec: how it is stored. None chooses by the type of each value that is set. "json" accepts
            only what JSON has, "bytes" only bytes, and "arrow" only data frames: a DataFrame or
            Series of pandas, a DataFrame of polars, or a Table of pyarrow. Those of pandas and
            pyarrow need the extra `arrow`.

    Raises:
        CallbackError: see `topic`.
    """
    return declared.shared_value(name, initial, scope=scope, ttl=ttl, codec=codec, **unknown)
