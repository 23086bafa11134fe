"""Cost of a start, an update and a resume, on the server and in Redis.

docs/performance.md plans larger deployments from these, see benchmarks/capacity.py. Updates are
measured at several sizes, so that it shows whether the cost of one stays the same.
"""

import asyncio
import os
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.clients import Endpoint, Tab, count
from benchmarks.figures import Figure
from benchmarks.processes import cpu_seconds
from tests.support.redis_server import RedisServer, redis_server
from tests.support.server import serving

TITLE = "What one of each costs"
START = "a start with its connection, one update and its end"
ANSWER = "an answer to a heartbeat"
RESUME = "a resume"
BROKERS = ("memory", "Redis")
PAGES = (50, 100, 200)
PER_SECOND = 5
SECONDS = float(os.environ.get("COSTS_SECONDS", "10"))
STARTS = 300
ANSWERS = 300
RESUMES = 300

WORKER, REDIS, WIRE, TRAFFIC = (
    "µs of the worker's CPU",
    "µs of Redis' CPU",
    "bytes to the browser",
    "bytes to and from Redis",
)


@dataclass
class Meter:
    """Returns the CPU time of a worker, and of Redis, since `start`."""

    worker: int
    redis: RedisServer | None
    _before: dict[str, float] = field(default_factory=dict)

    def start(self) -> None:
        self._before = self._now()

    def per(self, count: int) -> dict[str, float]:
        """Returns the cost per operation."""
        return {name: (value - self._before[name]) / count for name, value in self._now().items()}

    def _now(self) -> dict[str, float]:
        used = {WORKER: 1e6 * cpu_seconds(self.worker)}
        if self.redis is not None:
            info: Any = self.redis.client.info()
            used[REDIS] = 1e6 * (info["used_cpu_sys"] + info["used_cpu_user"])
            used[TRAFFIC] = info["total_net_input_bytes"] + info["total_net_output_bytes"]
        return used


def update_of(pages: int) -> str:
    """Returns the name of the work with updates to a number of pages."""
    return f"an update, {pages} pages with {PER_SECOND} a second each"


def measure(rounds: int) -> Iterator[Figure]:
    samples: defaultdict[tuple[str, str, str], list[float]] = defaultdict(list)
    for _ in range(rounds):
        for broker in BROKERS:
            for what, costs in _costs(broker):
                for quantity, value in costs.items():
                    samples[what, broker, quantity].append(value)
    for (what, broker, quantity), values in samples.items():
        yield Figure(what, f"{broker} broker", quantity, tuple(values))


def _costs(broker: str) -> list[tuple[str, dict[str, float]]]:
    with tempfile.TemporaryDirectory() as name, redis_server(Path(name)) as redis:
        url = redis.url if broker == "Redis" else "memory://"
        with serving("benchmarks.apps.load:server", Path(name), FLASH_EVENTS_BROKER=url) as served:
            [worker] = served.workers()
            meter = Meter(worker, redis if broker == "Redis" else None)
            return asyncio.run(_all(Endpoint.of(served.url), meter))


async def _all(at: Endpoint, meter: Meter) -> list[tuple[str, dict[str, float]]]:
    await _start(at)  # the imports of the first request are no cost of a start
    return [
        (START, await _starts(at, meter)),
        *[(update_of(pages), await _updates(at, meter, pages)) for pages in PAGES],
        *await _waiting(at, meter),
    ]


async def _start(at: Endpoint) -> None:
    async with Tab(at).open("burst", {"updates": 1}) as stream:
        await count(stream)


async def _starts(at: Endpoint, meter: Meter) -> dict[str, float]:
    meter.start()
    for _ in range(STARTS):
        await _start(at)
    return meter.per(STARTS)


async def _updates(at: Endpoint, meter: Meter, pages: int) -> dict[str, float]:
    updates = round(PER_SECOND * SECONDS)
    work = {"updates": updates, "pause_seconds": 1 / PER_SECOND}
    sizes: list[int] = []

    async def read(stream: AsyncIterator[bytes]) -> None:
        async def counted() -> AsyncIterator[bytes]:
            async for chunk in stream:
                sizes.append(len(chunk))
                yield chunk

        await count(counted())

    async with AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(Tab(at).open("paced", work)) for _ in range(pages)
        ]
        meter.start()
        await asyncio.gather(*map(read, streams))
        return {**meter.per(pages * updates), WIRE: sum(sizes) / (pages * updates)}


async def _waiting(at: Endpoint, meter: Meter) -> list[tuple[str, dict[str, float]]]:
    tab = Tab(at)
    async with tab.open("idle") as stream:
        await anext(stream)
        meter.start()
        for _ in range(ANSWERS):
            await tab.answer()
        answers = meter.per(ANSWERS)
    meter.start()
    for _ in range(RESUMES):
        async with tab.resume() as again:
            await anext(again)
    return [(ANSWER, answers), (RESUME, meter.per(RESUMES))]
