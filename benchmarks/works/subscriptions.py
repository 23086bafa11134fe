"""Memory of a `Subscription` that waits, without its connection.

Pages with one `Subscription` each get many more on their connections. The growth of the worker by
those of the second half is divided by their number.
"""

import asyncio
import os
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

from benchmarks.clients import Endpoint, Tab, subscription
from benchmarks.figures import Figure
from benchmarks.processes import rss_bytes
from tests.support.server import Served, serving

PAGES = int(os.environ.get("SUBSCRIPTIONS_PAGES", "40"))
PER_PAGE = 64
TITLE = f"{PER_PAGE} Subscriptions in each of {PAGES} pages"

SETTLE_SECONDS = 8.0
"""Wait until the requests of the starts are released; see idle.py."""


def measure(rounds: int) -> Iterator[Figure]:
    samples = []
    for _ in range(rounds):
        with (
            tempfile.TemporaryDirectory() as home,
            serving("benchmarks.apps.fan_out:server", Path(home)) as served,
        ):
            samples.append(asyncio.run(_bytes(served)))
    yield Figure(TITLE, "flash_events", "bytes per Subscription", tuple(samples))


async def _bytes(served: Served) -> float:
    """Returns the growth by the second half of the pages: the first requests cost more memory."""
    at = Endpoint.of(served.url)
    async with AsyncExitStack() as stack:
        tabs = [Tab(at) for _ in range(PAGES)]
        for tab in tabs:
            stream = await stack.enter_async_context(tab.send(subscription("news")))
            await anext(stream)
        before = await _filled(served, tabs[: PAGES // 2])
        grown = await _filled(served, tabs[PAGES // 2 :]) - before
        return grown / (PAGES - PAGES // 2) / (PER_PAGE - 1)


async def _filled(served: Served, tabs: list[Tab]) -> int:
    """Returns the worker's memory when each of these pages has all its Subscriptions."""
    [worker] = served.workers()
    for tab in tabs:
        for _ in range(PER_PAGE - 1):
            await tab.join_with(subscription("news"))
    await asyncio.sleep(SETTLE_SECONDS)
    await asyncio.to_thread(lambda: urllib.request.urlopen(f"{served.url}collect").read())
    return rss_bytes(worker)
