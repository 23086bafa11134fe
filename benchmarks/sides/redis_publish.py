"""PUBLISH and SUBSCRIBE of Redis, which keep nothing, and SET and GET."""

import json
from collections.abc import AsyncIterator
from typing import Any

from redis.asyncio import Redis


async def connect(url: str) -> "Side":
    return Side(Redis.from_url(url))


class Side:
    """One process."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def publish(self, topic: str, message: Any) -> None:
        await self._client.publish(topic, json.dumps(message))

    async def subscribe(self, topic: str) -> AsyncIterator[Any]:
        async with self._client.pubsub() as channel:
            await channel.subscribe(topic)
            async for message in channel.listen():
                if message["type"] == "message":
                    yield json.loads(message["data"])

    async def set(self, name: str, value: Any) -> None:
        await self._client.set(name, json.dumps(value))

    async def get(self, name: str) -> Any:
        return json.loads(await self._client.get(name))
