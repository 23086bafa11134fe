"""Many pages at once: latency of an update from its `yield` to the client, and its cost.

Browsers for a hundred pages are more than a small machine has room for, so plain clients stand for
them, all in this process, one core's worth at most: each parses every message's JSON, as a page's
handler gets it. The value of an update is the time at which it was yielded.
"""

import asyncio
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.clients import Endpoint, Tab, events
from benchmarks.figures import Figure
from benchmarks.processes import cpu_seconds
from benchmarks.websocket import connected
from tests.support.server import serving

PAGES = 100
SECONDS = float(os.environ.get("PAGES_SECONDS", "60"))
PAUSE_SECONDS = 0.05
UPDATES = round(SECONDS / PAUSE_SECONDS)
"""Number of updates of each page."""

TITLE = f"{PAGES} runs in {PAGES} pages, 20 updates/s each, {SECONDS:.0f} s"
WORK = {"updates": UPDATES, "pause_seconds": PAUSE_SECONDS}

OPEN_SECONDS = 2.0
"""Time within which pages start, so that they do not all yield at the same instant."""

GIVE_UP_SECONDS = 30.0


@dataclass
class Seen:
    """Measurements of the pages.

    Attributes:
        latencies_ms: of each update.
        cpu_seconds: that the server has used.
    """

    latencies_ms: list[float] = field(default_factory=list)
    cpu_seconds: float = 0.0

    def add(self, yielded: float) -> None:
        """Records the arrival of an update."""
        self.latencies_ms.append(1000 * (time.monotonic() - yielded))


Visit = Callable[[Endpoint, Seen], Coroutine[Any, Any, None]]


async def _stream(at: Endpoint, seen: Seen) -> None:
    async with Tab(at).open("paced", WORK) as stream:
        async for name, data in events(stream):
            if name == "update":
                [[_, props]] = data["set"]
                seen.add(props["children"])
            elif name == "end":
                return


async def _websocket(at: Endpoint, seen: Seen, *, is_compressed: bool) -> None:
    async with connected(at, is_compressed) as socket:
        socket.start(at.body("websocket", WORK))
        async for message in socket.messages():
            if message["type"] == "set_props":
                seen.add(message["payload"]["props"]["children"])
            elif message["type"] == "callback_response":
                return


VISITS: dict[str, Visit] = {
    "flash_events": _stream,
    "Dash websocket": partial(_websocket, is_compressed=False),
    "Dash websocket, compressed": partial(_websocket, is_compressed=True),
}
"""Contenders; the last one has compression, as Dash's users do."""


def measure(rounds: int) -> Iterator[Figure]:
    samples: defaultdict[str, list[Seen]] = defaultdict(list)
    for _ in range(rounds):
        for name, visit in VISITS.items():
            samples[name].append(_visit(visit))
    for name, seen in samples.items():
        note = _note(seen)
        got = [one for one in seen if len(one.latencies_ms) > 1]
        yield Figure(TITLE, name, "ms, median", tuple(map(_median, got)), note)
        yield Figure(TITLE, name, "ms, p99", tuple(map(_p99, got)), note)
        cpu = tuple(1e6 * one.cpu_seconds / len(one.latencies_ms) for one in got)
        yield Figure(TITLE, name, "µs of the server's CPU per update", cpu, note)


def _note(seen: list[Seen]) -> str:
    least = min(len(one.latencies_ms) for one in seen)
    wanted = PAGES * UPDATES
    return "" if least == wanted else f"{least:,} of {wanted:,} arrive"


def _median(seen: Seen) -> float:
    return statistics.median(seen.latencies_ms)


def _p99(seen: Seen) -> float:
    return statistics.quantiles(seen.latencies_ms, n=100)[-1]


def _visit(visit: Visit) -> Seen:
    with (
        tempfile.TemporaryDirectory() as home,
        serving("benchmarks.apps.load:server", Path(home)) as served,
    ):
        [worker] = served.workers()
        return asyncio.run(_visit_all(visit, Endpoint.of(served.url), worker))


async def _visit_all(visit: Visit, at: Endpoint, worker: int) -> Seen:
    seen = Seen()
    delays = Random(0)

    async def come() -> None:
        await asyncio.sleep(delays.uniform(0, OPEN_SECONDS))
        await visit(at, seen)

    before = cpu_seconds(worker)
    pages = [asyncio.create_task(come()) for _ in range(PAGES)]
    done, late = await asyncio.wait(pages, timeout=OPEN_SECONDS + SECONDS + GIVE_UP_SECONDS)
    seen.cpu_seconds = cpu_seconds(worker) - before
    for page in late:
        page.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    for page in done:
        page.result()
    return seen
