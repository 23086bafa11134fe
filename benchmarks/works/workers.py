"""Cost of sharing streams between workers: a burst through Redis, and through memory.

Two servers of one worker each stand for `hypercorn -w 2`, so that it is known where a run lives: on
the worker that holds its connection, or on the other one.
"""

import asyncio
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.clients import Endpoint, Tab, count
from benchmarks.figures import Figure
from tests.support.redis_server import redis_server
from tests.support.server import serving

UPDATES = int(os.environ.get("WORKERS_UPDATES", "100000"))
TITLE = f"One run, {UPDATES:,} updates, between workers"

GIVE_UP_SECONDS = 120.0

MEMORY = "memory broker, one worker"
HERE = "Redis, the run on the connection's worker"
ELSEWHERE = "Redis, the run on the other worker"


def measure(rounds: int) -> Iterator[Figure]:
    samples: defaultdict[str, list[float]] = defaultdict(list)
    notes: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as name, redis_server(Path(name)) as redis:
        for number in range(rounds):
            for contender in (MEMORY, HERE, ELSEWHERE):
                home = Path(name) / f"{number} {contender}"
                broker = "memory://" if contender == MEMORY else redis.url
                with _servers(home, broker, 1 if contender == MEMORY else 2) as servers:
                    rate, note = asyncio.run(_burst(servers[0], servers[contender == ELSEWHERE]))
                redis.client.flushall()  # clear the replay buffer for the next round
                if rate:
                    samples[contender].append(rate)
                if note:
                    notes[contender] = note
    for contender in (MEMORY, HERE, ELSEWHERE):
        rates = tuple(samples[contender])
        yield Figure(TITLE, contender, "updates/s", rates, notes.get(contender, ""))


@contextmanager
def _servers(home: Path, broker: str, how_many: int) -> Iterator[list[Endpoint]]:
    """Single-worker servers that share a broker."""
    with ExitStack() as stack:
        servers = []
        for number in range(how_many):
            directory = home / str(number)
            directory.mkdir(parents=True)
            served = stack.enter_context(
                serving("benchmarks.apps.load:server", directory, FLASH_EVENTS_BROKER=broker)
            )
            servers.append(Endpoint.of(served.url))
        yield servers


async def _burst(connected: Endpoint, runs_at: Endpoint) -> tuple[float, str]:
    """Returns the updates a second of a run that is started on an open connection, and the missing
    ones.
    """
    tab = Tab(connected)
    async with tab.open("idle") as stream:
        await anext(stream)  # it is open
        begun = time.perf_counter()
        try:
            async with asyncio.timeout(GIVE_UP_SECONDS):
                await tab.join("burst", {"updates": UPDATES}, runs_at)
                got = await count(stream)
        except TimeoutError:
            return 0, f"not done after {GIVE_UP_SECONDS:.0f} s"
        rate = got / (time.perf_counter() - begun)
        # An update of the idle run may arrive as well.
        return rate, "" if got >= UPDATES else f"{got:,} of {UPDATES:,} arrive"
