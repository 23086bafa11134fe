"""`redis://`: a store that all workers on all machines share."""

from flash_events.stores.redis.store import RedisStore

__all__ = ["RedisStore"]
