"""A page with a `Subscription`, without a server."""

import asyncio
import json
from typing import Any

from flash_events.brokers.log import LogLimits
from flash_events.brokers.memory.log import MemoryLog
from flash_events.runs.output import Output
from flash_events.sharing.hub import Hub
from flash_events.sharing.reader import FROM_NOW_ON, Start
from flash_events.sharing.relay import Relay, Relays
from flash_events.sharing.topics import Topic
from tests.support.harness import LIMITS, RUN_ID
from tests.support.wire import parse


class Page:
    """A page with a `Subscription`; it reads its connection when the test says so.

    Attributes:
        news: the messages that it has got: offset, time, missed, flags, data.
        sets: the updates that it would apply.
        numbers: of its updates.
        end: the reason of the run's end.
    """

    def __init__(
        self,
        hub: Hub,
        topic: Topic,
        start: Start = FROM_NOW_ON,
        *,
        limits: LogLimits = LIMITS,
        relays: Relays | None = None,
        origin: str = "page",
    ) -> None:
        self.log = MemoryLog(limits)
        self.news: list[list[Any]] = []
        self.sets: list[Any] = []
        self.numbers: list[int] = []
        self.nonce = ""
        self.end: str | None = None
        self.ended: list[Relay] = []
        self._after = ""
        watch = topic.watch(start, origin=origin)
        self.relay = (relays or Relays(hub)).relay(Output(RUN_ID, self.log), watch)
        self.relay.start(self.ended.append)

    @property
    def data(self) -> list[Any]:
        return [message[4] for message in self.news if len(message) > 4]

    @property
    def flags(self) -> list[int]:
        return [message[3] for message in self.news]

    async def until(self, count: int, seconds: float = 5) -> None:
        """Reads until so many messages have come."""
        async with asyncio.timeout(seconds):
            while len(self.news) < count:
                await self.read()

    async def until_ended(self) -> None:
        async with asyncio.timeout(5):
            while self.end is None:
                await self.read()

    async def read(self) -> None:
        batch = await self.log.read(self._after)
        self._after = batch.last or self._after
        for event in parse(batch.data):
            fields = json.loads(event.data)
            if event.event == "update":
                self.numbers.append(fields["n"])
                self.sets += fields["set"]
                self.news += fields["news"]["messages"]
                self.nonce = fields["news"]["nonce"]
            elif event.event == "end":
                self.end = fields["reason"]
