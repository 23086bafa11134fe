"""Where event logs live: configured by URL, the driver imported when it is used."""

from collections.abc import Callable
from functools import partial

from flash_events.brokers.base import Batch, Broker, EventLog, LogLimits, RunRecord
from flash_events.brokers.memory import MemoryBroker
from flash_events.errors import ConfigurationError
from flash_events.extras import how_to_install

__all__ = ["Batch", "Broker", "EventLog", "LogLimits", "RunRecord", "check_broker", "open_broker"]

REDIS_SCHEMES = ("redis", "rediss", "unix")


def open_broker(url: str, limits: LogLimits) -> Broker:
    """A broker from its URL; it is not reached before it starts.

    Raises:
        ConfigurationError: the URL names no broker that is known, or its driver is missing.
    """
    return _engine(url)(limits)


def check_broker(url: str) -> None:
    """Raises what `open_broker` would raise, and opens nothing."""
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
