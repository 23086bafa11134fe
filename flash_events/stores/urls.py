"""Stores by URL; a driver is imported on first use."""

from collections.abc import Callable
from functools import partial

from flash_events.brokers.urls import REDIS_SCHEMES
from flash_events.errors import ConfigurationError
from flash_events.extras import how_to_install
from flash_events.stores.memory import MemoryData, MemoryStore
from flash_events.stores.sqlite import SqliteStore, private_path
from flash_events.stores.store import Store

MEMORY = "memory://"
SQLITE = "sqlite:///"


def store_of(url: str, data: MemoryData, outage_seconds: float) -> Store:
    """Return a new client of a store.

    Args:
        url: `memory://`, `sqlite:////path`, or a URL of Redis.
        data: what the clients of a store in memory share.
        outage_seconds: how long what is asked waits for a Redis that does not answer.

    Raises:
        ConfigurationError: if the URL names no known store, or its driver is missing.
    """
    return _engine(url, data, outage_seconds)()


def check_store(url: str) -> None:
    """Raise the error that `store_of` would raise; create nothing."""
    _engine(url, MemoryData(), 0.0)


def _engine(url: str, data: MemoryData, outage_seconds: float) -> Callable[[], Store]:
    if url == MEMORY:
        return partial(MemoryStore, data)
    if url.partition("://")[0] in REDIS_SCHEMES:
        try:
            from flash_events.stores.redis import RedisStore
        except ImportError as error:
            raise ConfigurationError(
                f"The store needs redis-py ({error}). {how_to_install('redis')}"
            ) from error
        return partial(RedisStore, url, outage_seconds)
    if url.startswith(SQLITE):
        return partial(SqliteStore, url.removeprefix(SQLITE))
    raise ConfigurationError(
        "Expected store to be 'redis://host:port/db', 'sqlite:////path/to/file' or 'memory://', "
        f"got {url!r}."
    )


def workers_store() -> Store | None:
    """Return a new client of the store of this server's workers; None for a single process."""
    path = private_path()
    return None if path is None else SqliteStore(path, is_private=True)
