"""Which workers live, for leads and members."""

import asyncio
from collections.abc import Callable, Iterable

from flash_events.brokers.redis.keys import key
from flash_events.brokers.redis.lease import Lease
from flash_events.brokers.redis.pipe import Pipe
from flash_events.stores.redis.answers import answer


class Life:
    """The sign of life of this worker, which is given from its first use on, and that of others.

    Args:
        url: of Redis.
        worker: this worker.
        pipe: to Redis.
    """

    def __init__(self, url: str, worker: str, pipe: Pipe) -> None:
        self._worker = worker
        self._pipe = pipe
        self._lease = Lease(url, key(worker, "lease"))
        self._begun: asyncio.Task[None] | None = None
        self.on_forgotten: Callable[[], object] = lambda: None
        """Called on the loop when Redis has lost the sign of life."""

    async def begin(self) -> None:
        """Give signs of life from now on; return when others see them."""
        if self._begun is None:
            loop = asyncio.get_running_loop()

            def on_forgotten() -> None:
                loop.call_soon_threadsafe(self.on_forgotten)

            self._begun = asyncio.create_task(asyncio.to_thread(self._lease.start, on_forgotten))
        await asyncio.shield(self._begun)

    async def end(self) -> None:
        """Give no more signs of life; others see that at once."""
        if self._begun is not None:
            await self._begun
            await asyncio.to_thread(self._lease.stop)
            self._pipe.tell("DEL", key(self._worker, "lease"))

    async def dead(self, workers: Iterable[str]) -> set[str]:
        """Return those of some workers that have died.

        None while leases may be missing because Redis was away.
        """
        others = sorted(set(workers) - {self._worker})
        asked = [self._pipe.call("EXISTS", key(worker, "lease")) for worker in others]
        alive = await answer(asyncio.gather(*asked))
        if self._lease.is_disturbed:
            return set()
        return {worker for worker, lives in zip(others, alive, strict=True) if not lives}
