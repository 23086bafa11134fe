"""`redis://`: event logs, run directory and signals that all workers share."""

from flash_events.brokers.redis.broker import RedisBroker

__all__ = ["RedisBroker"]
