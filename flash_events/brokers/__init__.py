"""Where event logs live: configured by URL, the driver imported when it is used."""

from flash_events.brokers.base import Batch, Broker, EventLog, LogLimits
from flash_events.brokers.memory import MemoryBroker
from flash_events.errors import ConfigurationError

__all__ = ["Batch", "Broker", "EventLog", "LogLimits", "open_broker"]


def open_broker(url: str, limits: LogLimits) -> Broker:
    """A broker from its URL.

    Raises:
        ConfigurationError: the URL names no broker that is known.
    """
    if url == "memory://":
        return MemoryBroker(limits)
    raise ConfigurationError(f"Expected broker to be 'memory://', got {url!r}.")
