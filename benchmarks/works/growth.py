"""Growth of the cost with the number of runs, components, bytes and workers.

Each size is a contender of its own, named by its number first, so that a report can draw a line.
"""

import asyncio
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, ExitStack, suppress
from pathlib import Path
from typing import Any

from playwright.sync_api import TimeoutError as PlaywrightTimeout

from benchmarks.browser import chromium, opened, press
from benchmarks.clients import Endpoint, Tab, count, events
from benchmarks.figures import Figure
from benchmarks.processes import allow_files
from tests.support.redis_server import redis_server
from tests.support.server import serving

TITLE = "How cost grows"
APP = "benchmarks.apps.load:server"

RUNS = (1, 10, 100, 1_000)
RUNS_PER_PAGE = 10
BURST_UPDATES = 50_000
"""Total number of updates of all runs."""

STEADY_PER_SECOND = 1_000
STEADY_SECONDS = 5.0

COMPONENTS = (10, 100, 1_000, 5_000)
SPREAD_UPDATES = 2_000

BYTES = (10, 100, 1_000, 10_000, 100_000, 1_000_000)
BYTES_UPDATES = 20_000
BYTES_IN_ALL = 200_000_000
"""Total size of the updates; larger ones are fewer."""

WORKERS = (1, 2, 3, 4)
WORKERS_RUNS = 4
WORKERS_UPDATES = 50_000
"""Total number of updates of all runs."""

WARM_UPDATES = 1_000
"""Number of updates before a measurement, as a warm-up."""

GIVE_UP_SECONDS = 60.0

PARTS = os.environ.get("GROWTH_PARTS", "runs components bytes workers").split()

Samples = defaultdict[tuple[str, str], list[float]]
"""Samples by contender and quantity."""


def measure(rounds: int) -> Iterator[Figure]:
    allow_files(max(RUNS) + 1000)
    for part in PARTS:
        samples: Samples = defaultdict(list)
        for _ in range(rounds):
            GROW[part](samples)
        for (contender, quantity), numbers in samples.items():
            got = tuple(number for number in numbers if number)
            note = "" if len(got) == len(numbers) else "not done in time"
            yield Figure(f"growth: {part}", contender, quantity, got, note)


def _grow_runs(samples: Samples) -> None:
    for runs in RUNS:
        contender = f"{runs:,} run{'s' * (runs > 1)}"
        with tempfile.TemporaryDirectory() as home, serving(APP, Path(home)) as served:
            at = Endpoint.of(served.url)
            _timed(_burst([at], 1, WARM_UPDATES))
            rate = _timed(_burst([at], runs, BURST_UPDATES // runs))
            samples[contender, "updates/s, as fast as they are taken"].append(rate)
            latencies = asyncio.run(_steady(at, runs)) or [0.0]
        work = f"at {STEADY_PER_SECOND:,} updates/s in all"
        samples[contender, f"ms, median, {work}"].append(statistics.median(latencies))
        p99 = statistics.quantiles(latencies, n=100)[-1] if len(latencies) > 1 else 0.0
        samples[contender, f"ms, p99, {work}"].append(p99)


def _grow_components(samples: Samples) -> None:
    app = "benchmarks.apps.many:server"
    with chromium() as browser:
        for components in COMPONENTS:
            environment: Any = {"COMPONENTS": str(components), "UPDATES": str(SPREAD_UPDATES)}
            milliseconds: float | None = None
            # Dash's own time to show a page grows with the square of its ids: minutes for 5,000.
            with (
                suppress(PlaywrightTimeout),
                tempfile.TemporaryDirectory() as home,
                serving(app, Path(home), **environment) as served,
                opened(browser, served.url, "#burst") as page,
            ):
                press(page, "burst", "end 1", GIVE_UP_SECONDS)  # warm-up
                milliseconds = press(page, "burst", "end 2", GIVE_UP_SECONDS)
            quantity = f"ms until {SPREAD_UPDATES:,} updates are in the DOM"
            samples[f"{components:,} components", quantity].append(milliseconds or 0.0)


def _grow_bytes(samples: Samples) -> None:
    with tempfile.TemporaryDirectory() as home, serving(APP, Path(home)) as served:
        at = Endpoint.of(served.url)
        _timed(_burst([at], 1, WARM_UPDATES))
        for size in BYTES:
            updates = min(BYTES_UPDATES, BYTES_IN_ALL // size)
            rate = _timed(_burst([at], 1, updates, size))
            samples[f"{size:,} bytes", "updates/s"].append(rate)
            samples[f"{size:,} bytes", "MB/s"].append(rate * size / 1e6)


def _grow_workers(samples: Samples) -> None:
    with tempfile.TemporaryDirectory() as name, redis_server(Path(name)) as redis:
        for workers in WORKERS:
            with ExitStack() as stack:
                ats = []
                for number in range(workers):
                    home = Path(name) / f"{time.monotonic_ns()} {number}"
                    home.mkdir()
                    server = serving(APP, home, FLASH_EVENTS_BROKER=redis.url)
                    ats.append(Endpoint.of(stack.enter_context(server).url))
                _timed(_burst(ats, workers, WARM_UPDATES))
                rate = _timed(_burst(ats, WORKERS_RUNS, WORKERS_UPDATES // WORKERS_RUNS))
            redis.client.flushall()
            contender = f"{workers} worker{'s' * (workers > 1)}"
            samples[contender, f"updates/s of {WORKERS_RUNS} runs, Redis"].append(rate)


def _timed(burst: Coroutine[Any, Any, float]) -> float:
    """Returns a burst's rate; 0 if it does not end."""

    async def bounded() -> float:
        try:
            async with asyncio.timeout(GIVE_UP_SECONDS):
                return await burst
        except TimeoutError:
            return 0.0

    return asyncio.run(bounded())


async def _burst(ats: list[Endpoint], runs: int, updates: int, size: int = 10) -> float:
    """Returns the updates a second of all runs, each in a page of its own, distributed over these
    servers.
    """
    work = {"updates": updates, "bytes": size}
    async with AsyncExitStack() as stack:
        begun = time.perf_counter()

        async def read(number: int) -> int:
            stream = await stack.enter_async_context(
                Tab(ats[number % len(ats)]).open("burst", work)
            )
            return await count(stream)

        got = sum(await asyncio.gather(*(read(number) for number in range(runs))))
        return got / (time.perf_counter() - begun)


async def _steady(at: Endpoint, runs: int) -> list[float]:
    """Returns the milliseconds from yield to client of each update."""
    per_run = STEADY_PER_SECOND / runs
    work = {"updates": round(STEADY_SECONDS * per_run), "pause_seconds": 1 / per_run}
    latencies: list[float] = []

    async def visit(first: int) -> None:
        tab = Tab(at)
        here = min(RUNS_PER_PAGE, runs - first)
        async with tab.open("paced", work) as stream:
            join = asyncio.gather(*(tab.join("paced", work) for _ in range(here - 1)))
            ended = 0
            async for name, data in events(stream):
                if name == "update":
                    [[_, props]] = data["set"]
                    latencies.append(1000 * (time.monotonic() - props["children"]))
                elif name == "end" and (ended := ended + 1) == here:
                    break
            await join

    try:
        async with asyncio.timeout(GIVE_UP_SECONDS):
            await asyncio.gather(*(visit(first) for first in range(0, runs, RUNS_PER_PAGE)))
    except TimeoutError:
        return []
    return latencies


GROW: dict[str, Callable[[Samples], None]] = {
    "runs": _grow_runs,
    "components": _grow_components,
    "bytes": _grow_bytes,
    "workers": _grow_workers,
}
