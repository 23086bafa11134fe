"""Brokers by URL; a driver is imported on first use."""

from collections.abc import Callable
from functools import partial

from flash_events.brokers.broker import Broker
from flash_events.brokers.log import LogLimits
from flash_events.brokers.memory import MemoryBroker
from flash_events.errors import ConfigurationError
from flash_events.extras import how_to_install

REDIS_SCHEMES = ("redis", "rediss", "unix")


def broker_of(url: str, limits: LogLimits) -> Broker:
    """Return the broker of a URL; it must be opened before it is used.

    Raises:
        ConfigurationError: the URL names no known broker, or its driver is missing.
    """
    return _engine(url)(limits)


def check_broker(url: str) -> None:
    """Raise the error that `broker_of` would raise; create nothing."""
    _engine(url)


def _engine(url: str) -> Callable[[LogLimits], Broker]:
    if url == "memory://":
        return MemoryBroker
    if url.partition("://")[0] in REDIS_SCHEMES:
        try:
            from flash_events.brokers.redis import RedisBroker
        except ImportError as error:
            raise ConfigurationError(
                f"The broker needs redis-py ({error}). {how_to_install('redis')}"
            ) from error
        return partial(RedisBroker, url)
    raise ConfigurationError(
        f"Expected broker to be 'memory://' or 'redis://host:port/db', got {url!r}."
    )
