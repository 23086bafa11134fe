"""Crowds of publishers and readers, at any size."""

import asyncio
import os
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from celery import Celery

from flash_events.sharing.values import DeclaredValues
from tests.support.celery_worker import working as celery_working
from tests.support.topic_work import work_together, working


@dataclass(frozen=True)
class Place:
    """Where a crowd meets.

    Attributes:
        kind: "memory", "sqlite" or "redis".
        app: declares the topics of this process.
        store: the URL for other processes; None for threads of this one.
        directory: for logs.
    """

    kind: str
    app: DeclaredValues
    store: str | None
    directory: Path


def report(text: str, place: Place, seconds: float) -> None:
    """Prints a figure, which `pytest -s` shows."""
    print(f"\n{place.kind}: {text} in {seconds:.1f} s (load {os.getloadavg()[0]:.1f})")


async def publish_and_read(
    place: Place, count: int, readers: int, processes: int, celery_url: str = ""
) -> None:
    """Three publishers, and a Celery task if there is a URL; all readers get all in one order."""
    publishers = [("publish", f"p{n}", count) for n in range(3)]
    total = 3 * count
    begun = time.monotonic()
    with ExitStack() as stack:
        if celery_url:
            total += count
            options = ("--pool", "prefork", "--concurrency", "1")
            stack.enter_context(
                celery_working(
                    place.directory,
                    *options,
                    app="tests.support.topic_task:celery_app",
                    CELERY_URL=celery_url,
                    FLASH_EVENTS_STORE=place.store or "",
                )
            )
            begun = time.monotonic()
            celery: Any = Celery("topics", broker=celery_url, backend=celery_url)
            celery.send_task("tests.support.topic_task.publish", ("celery", count))
        reads = [("read", readers // processes, total)] * processes
        results = await work_together(place.app, place.store, *publishers, *reads)
    digests = [digest for result in results[3:] for digest in result]
    assert len(digests) == readers
    assert len(set(digests)) == 1
    longest = max(results[:3])
    text = f"{readers} readers got {total} messages each; the slowest publish took {longest:.3f} s"
    report(text, place, time.monotonic() - begun)


async def join_late(place: Place, times: int) -> None:
    """Late joiners race publishers; nobody sees a hole or a double."""
    begun = time.monotonic()
    if place.store is None:
        topic = place.app.topic("news", history=100_000, ttl=None, max_bytes=2**30)
        is_over = False

        async def publish() -> None:
            while not is_over:
                await topic.publish("x")
                await asyncio.sleep(0)

        publishers = [asyncio.create_task(publish()) for _ in range(3)]
        counts = await work_together(place.app, None, *[("join", times // 2)] * 2)
        is_over = True
        await asyncio.gather(*publishers)
    else:
        with working(place.store, *[("publish_for_ever", f"p{n}") for n in range(2)]) as works:
            for work in works:
                assert await asyncio.to_thread(work.line) == "begun"
            counts = await work_together(place.app, place.store, *[("join", times // 2)] * 2)
    report(f"{times} joined late, and read {sum(counts)}", place, time.monotonic() - begun)


async def update_together(place: Place, processes: int, count: int) -> None:
    """So many concurrent updates of one value in each process are all there."""
    begun = time.monotonic()
    results = await work_together(place.app, place.store, *[("update", count)] * processes)
    every = sorted(result for one in results for result in one)
    assert every == list(range(1, processes * count + 1))
    report(f"{processes} x {count} updates", place, time.monotonic() - begun)


async def share_large_values(place: Place, megabytes: int, times: int) -> None:
    """Two set a large value in turn while two others get it, always whole."""
    begun = time.monotonic()
    sets = [("set_large", letter, megabytes, times) for letter in "ab"]
    gets = [("get_large", megabytes, 2 * times)] * 2
    results = await work_together(place.app, place.store, *sets, *gets)
    text = f"2 x {times} values of {megabytes} MB; the slowest get took {max(results[2:]):.2f} s"
    report(text, place, time.monotonic() - begun)


async def mix_sizes(place: Place, count: int, readers: int) -> None:
    """Large messages between small ones reach all readers in order."""
    begun = time.monotonic()
    publishers = [("publish_mixed", f"p{n}", count) for n in range(2)]
    reads = [("read", readers // 2, 2 * count)] * 2
    results = await work_together(place.app, place.store, *publishers, *reads)
    assert len({digest for result in results[2:] for digest in result}) == 1
    text = f"{readers} readers got {2 * count} messages of up to 1 MB"
    report(text, place, time.monotonic() - begun)
