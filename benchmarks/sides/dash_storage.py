"""The shared storage of Dash 4.5: over Redis, or in memory, at the process that was first."""

from collections.abc import AsyncIterator
from typing import Any

from dash._shared_storage import LocalSharedStorage, RedisSharedStorage


async def connect(url: str) -> "Side":
    is_redis = url.startswith("redis")
    storage: Any = (
        RedisSharedStorage(url) if is_redis else LocalSharedStorage(url.replace("/", "-"))
    )
    storage.start()
    return Side(storage)


class Side:
    """One process."""

    def __init__(self, storage: Any) -> None:
        self._storage = storage

    async def publish(self, topic: str, message: Any) -> None:
        await self._storage.apublish(topic, message)

    async def subscribe(self, topic: str) -> AsyncIterator[Any]:
        async for message in self._storage.subscribe(topic):
            yield message

    async def set(self, name: str, value: Any) -> None:
        await self._storage.aset(name, value)

    async def get(self, name: str) -> Any:
        return await self._storage.aget(name)
