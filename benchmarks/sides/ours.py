"""flash_events, as in a worker of a server: the store's client lives on the running event loop."""

from collections.abc import AsyncIterator
from typing import Any

from flash_events.settings import Settings
from flash_events.sharing.process import namespace_of
from flash_events.sharing.values import DeclaredValues


async def connect(url: str) -> "Side":
    namespace = namespace_of(Settings.load(store=url))
    await namespace.serve()
    return Side(DeclaredValues(lambda: namespace))


class Side:
    """One process."""

    def __init__(self, declared: DeclaredValues) -> None:
        self._declared = declared

    async def publish(self, topic: str, message: Any) -> None:
        await self._declared.topic(topic).publish(message)

    async def subscribe(self, topic: str) -> AsyncIterator[Any]:
        async for message in self._declared.topic(topic).subscribe():
            yield message.data

    async def set(self, name: str, value: Any) -> None:
        await self._declared.shared_value(name).set(value)

    async def get(self, name: str) -> Any:
        return await self._declared.shared_value(name).get()
