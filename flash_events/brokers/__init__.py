"""Where event logs live: configured by URL or by object, the driver imported when it is used."""

from flash_events.brokers.base import Batch, Broker, EventLog, LogLimits
from flash_events.brokers.memory import MemoryBroker
from flash_events.errors import ConfigurationError

__all__ = ["Batch", "Broker", "EventLog", "LogLimits", "open_broker"]


def open_broker(broker: str | Broker, limits: LogLimits) -> Broker:
    """A broker from its URL, or the one that was given.

    Raises:
        ConfigurationError: the URL names no broker that is known.
    """
    if isinstance(broker, Broker):
        return broker
    if broker == "memory://":
        return MemoryBroker(limits)
    raise ConfigurationError(f"Expected broker to be 'memory://' or a Broker, got {broker!r}.")
