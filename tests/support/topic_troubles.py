"""Troubles of pages with a `Subscription`, at any size."""

import itertools
import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.support.page import opened
from tests.support.proxy import proxied
from tests.support.server import Served, serving, wait_until
from tests.support.socket_client import Stream
from tests.support.topic_pages import END, TopicPage, news_of, publish_behind, publish_until_begun
from tests.support.unread import MIB, resident_bytes

APP = "tests.apps.shared_topics:server"
FIRST_BYTES, LAST_BYTES = 2_000, 5_000
"""Number of bytes between two cuts."""


def cut_often(served: Served, store: str, count: int, cuts: int) -> None:
    """Cuts the connection of a page again and again while messages are published."""
    topic = news_of(store)
    somewhere = random.Random(11)
    with opened(served) as http, proxied(served.url) as proxy, ThreadPoolExecutor(1) as pool:
        page = TopicPage(http, proxy.url)

        def cut_soon() -> None:
            if proxy.cuts < cuts:
                proxy.cut_after(somewhere.randint(FIRST_BYTES, LAST_BYTES))

        following = pool.submit(page.follow, cut_soon)
        publish_until_begun(topic, page)
        publish_behind(topic, page, count)
        following.result(60)
        assert proxy.cuts == cuts
    assert page.numbers == list(range(count))
    assert page.missed == 0
    print(f"\n{cuts} cuts in {count} messages: {page.resumes} resumes, {page.starts} starts")


def kill_workers(
    survivor: Served, store: str, directory: Path, count: int, kills: int = 1, **environment: Any
) -> None:
    """Kills the worker of a page again and again while messages are published."""
    topic = news_of(store)
    with ExitStack() as stack:
        http = stack.enter_context(opened(survivor))
        victims = []
        for n in range(kills):
            (directory / str(n)).mkdir()
            victims.append(stack.enter_context(serving(APP, directory / str(n), **environment)))
        proxy = stack.enter_context(proxied(victims[0].url))
        pool = stack.enter_context(ThreadPoolExecutor(2))
        page = TopicPage(http, proxy.url)
        following = pool.submit(page.follow)
        publish_until_begun(topic, page)
        publishing = pool.submit(publish_behind, topic, page, count)
        for n, victim in enumerate(victims):
            wanted = count * (n + 1) // (kills + 1)
            wait_until(lambda: len(page.numbers) >= wanted, 60, "messages")  # noqa: B023
            proxy.aim(victims[n + 1].url if n + 1 < kills else survivor.url)
            for pid in (*victim.workers(), victim.process.pid):
                os.kill(pid, signal.SIGKILL)
        publishing.result(60)
        following.result(60)
    assert page.numbers == list(range(count))
    assert page.missed == 0
    assert page.starts >= kills + 1
    print(f"\n{kills} workers killed in {count} messages: {page.starts} starts")


def read_nothing(
    served: Served, store: str, seconds: float, rate: int = 200, warm: int = 1000
) -> None:
    """A page that reads nothing disturbs nobody, and catches up or is told."""
    topic = news_of(store)
    count = int(seconds * rate)
    text = "x" * 1000
    [worker] = served.workers()[-1:]
    with opened(served) as http, opened(served) as other, ThreadPoolExecutor(1) as pool:
        quick = TopicPage(http, served.url)
        silent = TopicPage(other, served.url, receive_bytes=4096)
        following = pool.submit(quick.follow)
        publish_until_begun(topic, quick)
        for _ in range(warm):  # the caches of the store do not count as growth
            topic.publish_sync(text)
        stream = Stream(
            f"{served.url}_dash-flash-events/start", silent.start_body(), silent.receive_bytes
        )
        base = most = resident_bytes(worker)
        pause = threading.Event()
        lag = 0
        begun = time.monotonic()
        begun_at = topic.publish_sync("it begins")
        for n in range(count):
            pause.wait(max(0.0, begun + n / rate - time.monotonic()))
            topic.publish_sync([n, text])
            if n % rate == 0:
                most = max(most, resident_bytes(worker))
                lag = max(lag, n - len(quick.messages))
        end = topic.publish_sync(END)
        following.result(30)
        assert [data[0] for data in quick.data if isinstance(data, list)] == list(range(count))
        assert quick.missed == 0
        assert most - base < 20 * MIB
        silent.read(stream)
        stream.close()
    first = silent.messages[0][0] - silent.messages[0][2]
    assert len(silent.messages) + silent.missed == end - first + 1
    assert first <= begun_at
    offsets = [message[0] for message in silent.messages]
    assert all(one < two for one, two in itertools.pairwise(offsets))
    print(
        f"\nread nothing for {seconds:g} s: {(most - base) / MIB:.1f} MiB more, got "
        f"{len(silent.messages)}, missed {silent.missed}; the other page was {lag} behind at most"
    )


def malformed() -> list[dict[str, Any]]:
    """Values that a page may send in place of a topic."""
    return [
        {"last": -1},
        {"last": "3"},
        {"last": True},
        {"last": 1.5},
        {"since": {"offset": -1, "nonce": ""}},
        {"since": {"offset": 1}},
        {"since": {"offset": 1, "nonce": "x" * 10_000}},
        {"since": {"offset": 1, "nonce": 7}},
        {"since": [1, "a"]},
        {"overflow": "error"},
        {"overflow": None},
        {"params": {"a": 1}},
        {"params": []},
        {"name": None},
        {"name": {"$ne": ""}},
    ]
