"""Cost of idle runs: memory and CPU of one worker with thousands of them.

Bytes per run are what the worker grows by, less what the same connections cost a bare ASGI app
under the same hypercorn, over the number of runs.
"""

import asyncio
import os
import tempfile
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.clients import Endpoint, Tab
from benchmarks.figures import Figure
from benchmarks.processes import allow_files, cpu_seconds, rss_bytes
from tests.support.server import serving

TITLE = "Runs that wait"
PER_CONNECTION, PER_RUN, CPU = (
    "bytes per connection",
    "bytes per run over bare ASGI's connection",
    "% of a core",
)

SIZES = tuple(int(size) for size in os.environ.get("IDLE_SIZES", "500 1000 2000").split())
"""Numbers of connections, ascending: the same server is filled further."""

IDLE_SECONDS = 15.0
"""Duration of the CPU measurement: one heartbeat interval."""

SETTLE_SECONDS = 8.0
"""Wait after the last start, until its request is released: hypercorn's keep-alive timer refers to
it for 5 s, even after it was closed.
"""

AT_ONCE = 20
"""Number of connections that are opened at the same time; a server's backlog has 100 places."""

Open = Callable[[AsyncExitStack, Endpoint], Coroutine[Any, Any, None]]


async def _bare(stack: AsyncExitStack, at: Endpoint) -> None:
    _, reader = await stack.enter_async_context(at.post("start", {}))
    await reader.readuntil(b"\n\n")


def _runs(count: int) -> Open:
    async def open_one(stack: AsyncExitStack, at: Endpoint) -> None:
        tab = Tab(at)
        stream = await stack.enter_async_context(tab.open("idle"))
        await anext(stream)
        for _ in range(count - 1):
            await tab.join("idle")

    return open_one


@dataclass(frozen=True)
class Contender:
    """A server to connect to.

    Attributes:
        name: in the table.
        app: `module:server`.
        runs: of each connection.
        open: opens one.
    """

    name: str
    app: str
    runs: int
    open: Open


BARE = Contender("bare ASGI", "benchmarks.apps.bare_idle:server", 0, _bare)
OURS = [
    Contender(
        f"flash_events, {runs} a connection", "benchmarks.apps.load:server", runs, _runs(runs)
    )
    for runs in (1, 5)
]


@dataclass(frozen=True)
class Filled:
    """A worker with a number of idle connections.

    Attributes:
        rss_bytes: that it has grown by since it had none.
        cpu: its share of a core.
    """

    rss_bytes: int
    cpu: float


def work_of(size: int) -> str:
    """Returns the name of the work with a number of connections."""
    return f"{TITLE}: {size:,} connections"


def measure(rounds: int) -> Iterator[Figure]:
    allow_files(max(SIZES) + 1000)
    samples: defaultdict[tuple[str, int], list[Filled]] = defaultdict(list)
    for _ in range(rounds):
        for contender in (BARE, *OURS):
            for size, filled in _fill(contender).items():
                samples[contender.name, size].append(filled)
    for size in SIZES:
        work = work_of(size)
        bare = samples[BARE.name, size]
        per_connection = tuple(filled.rss_bytes / size for filled in bare)
        yield Figure(work, BARE.name, PER_CONNECTION, per_connection)
        yield Figure(work, BARE.name, CPU, tuple(100 * one.cpu for one in bare))
        for ours in OURS:
            held = samples[ours.name, size]
            per_run = tuple(
                (one.rss_bytes - base.rss_bytes) / size / ours.runs
                for one, base in zip(held, bare, strict=True)
            )
            yield Figure(work, ours.name, PER_RUN, per_run)
            yield Figure(work, ours.name, CPU, tuple(100 * one.cpu for one in held))


def _fill(contender: Contender) -> dict[int, Filled]:
    with (
        tempfile.TemporaryDirectory() as home,
        serving(
            contender.app, Path(home), FLASH_EVENTS_MAX_CONNECTIONS=str(max(SIZES) + 1)
        ) as served,
    ):
        [worker] = served.workers()
        return asyncio.run(_fill_worker(contender, Endpoint.of(served.url), worker))


async def _fill_worker(contender: Contender, at: Endpoint, worker: int) -> dict[int, Filled]:
    filled = {}
    async with AsyncExitStack() as warm:  # the imports of the first request are no cost of a run
        await contender.open(warm, at)
    before = rss_bytes(worker)
    async with AsyncExitStack() as stack:
        here = 0
        for size in SIZES:
            while here < size:
                more = min(AT_ONCE, size - here)
                await asyncio.gather(*(contender.open(stack, at) for _ in range(more)))
                here += more
            await asyncio.sleep(SETTLE_SECONDS)
            grown = rss_bytes(worker) - before
            cpu = cpu_seconds(worker)
            await asyncio.sleep(IDLE_SECONDS)
            filled[size] = Filled(grown, (cpu_seconds(worker) - cpu) / IDLE_SECONDS)
    return filled
