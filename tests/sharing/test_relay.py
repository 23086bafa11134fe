"""Relays: a page gets every message of a topic once and in order, without a task of its own."""

import asyncio
import tracemalloc

from flash_events import stream_props
from flash_events.brokers.log import LogLimits
from flash_events.settings import Settings
from flash_events.sharing.hub import Hub
from flash_events.sharing.reader import Start
from flash_events.sharing.relay import CLEARED, MINE, REPLAY, UPDATE, Relays
from flash_events.sharing.values import DeclaredValues
from flash_events.stores import Position
from flash_events.wire.events import Reason
from tests.support.server import until
from tests.support.subscribed import Page


async def test_a_page_gets_what_is_published_after_it_has_come(
    hub: Hub, app: DeclaredValues
) -> None:
    topic = app.topic("news")
    await topic.publish("before")
    page = Page(hub, topic)
    for n in range(5):
        await topic.publish({"n": n})
    await page.until(5)
    assert page.data == [{"n": n} for n in range(5)]
    assert [message[:1] + message[2:4] for message in page.news] == [[n, 0, 0] for n in range(2, 7)]
    assert page.numbers == list(range(1, len(page.numbers) + 1))


async def test_a_page_gets_the_last_messages_first(hub: Hub, app: DeclaredValues) -> None:
    topic = app.topic("news")
    for n in range(10):
        await topic.publish(n)
    page = Page(hub, topic, Start(last=3))
    await topic.publish(10)
    await page.until(4)
    assert page.data == [7, 8, 9, 10]
    assert page.flags == [REPLAY, REPLAY, REPLAY, 0]


async def test_a_page_that_was_lost_goes_on_after_its_last_message(
    hub: Hub, app: DeclaredValues
) -> None:
    topic = app.topic("news", history=4)
    page = Page(hub, topic)
    await topic.publish(1)
    await page.until(1)
    page.relay.stop(Reason.LOST)
    for n in range(2, 8):
        await topic.publish(n)
    since = Position(page.news[-1][0], page.nonce)
    again = Page(hub, topic, Start(since=since))
    await again.until(4)
    assert again.data == [4, 5, 6, 7]
    assert [message[2] for message in again.news] == [2, 0, 0, 0]
    unknown = Page(hub, topic, Start(since=Position(7, "of another life")))
    await unknown.until(4)
    assert [message[2] for message in unknown.news] == [None, 0, 0, 0]


async def test_an_update_is_passed_on_as_the_runs_own(hub: Hub, app: DeclaredValues) -> None:
    topic = app.topic("news")
    page = Page(hub, topic)
    await topic.publish(1)
    await topic.publish(stream_props("graph", {"extendData": [{"y": [[1]]}, [0]]}))
    await topic.publish(2)
    await page.until(3)
    assert page.sets == [["graph", {"extendData": [{"y": [[1]]}, [0]]}]]
    assert page.flags == [0, UPDATE, 0]
    assert page.data == [1, 2]


async def test_a_page_knows_its_own_messages(hub: Hub, app: DeclaredValues) -> None:
    topic = app.topic("news")
    relays = Relays(hub)
    mine, other = (
        Page(hub, topic, relays=relays, origin=origin) for origin in (hub.origin, "other")
    )
    for n in range(3):
        await topic.publish(n)
    await mine.until(3)
    await other.until(3)
    assert (mine.flags, other.flags) == ([MINE] * 3, [0] * 3)


async def test_a_page_that_goes_on_learns_that_the_value_was_deleted(
    hub: Hub, app: DeclaredValues
) -> None:
    value = app.shared_value("choice", "none")
    page = Page(hub, value)
    await value.set("north")
    await page.until(1)
    page.relay.stop(Reason.LOST)
    await value.delete()
    since = Position(page.news[-1][0], page.nonce)
    again = Page(hub, value, Start(since=since))
    await again.until(1)
    assert (again.data, again.flags) == (["none"], [REPLAY | CLEARED])
    async for message in value.subscribe(since=1):
        assert (message.data, message.is_cleared) == ("none", True)
        break


async def test_a_cleared_value_is_told_with_the_initial_one(hub: Hub, app: DeclaredValues) -> None:
    value = app.shared_value("filter", {"year": 2026})
    page = Page(hub, value, Start(last=1))
    await value.set({"year": 2025})
    await value.delete()
    await page.until(2)
    assert page.data == [{"year": 2025}, {"year": 2026}]
    assert page.flags == [0, CLEARED]
    again = Page(hub, value, Start(since=Position(1)))
    await again.until(1)
    assert (again.data, again.flags) == ([{"year": 2026}], [REPLAY | CLEARED])
    late = Page(hub, value, Start(last=1))
    await value.set(1)
    await late.until(1)
    assert late.data == [1]


async def test_a_page_that_reads_nothing_catches_up_or_is_told(
    hub: Hub, app: DeclaredValues
) -> None:
    topic = app.topic("news", history=500)
    slow = Page(hub, topic, limits=LogLimits(4_000, 20, 2**20, 60))
    quick = Page(hub, topic)
    for n in range(3000):
        await topic.publish(n)
        if n % 100 == 0:
            await quick.until(n + 1)
    await quick.until(3000)
    assert quick.data == list(range(3000))
    assert slow.log.waiting < 200_000
    async with asyncio.timeout(5):
        while not slow.news or slow.news[-1][0] != 3000:
            await slow.read()
    assert len(slow.news) + sum(message[2] for message in slow.news) == 3000
    assert len(slow.news) < 3000
    await topic.publish("live again")
    await slow.until(len(slow.news) + 1)
    assert slow.data[-1] == "live again"


async def test_a_page_that_reads_nothing_costs_little_memory(hub: Hub, app: DeclaredValues) -> None:
    topic = app.topic("news")
    slow = Page(hub, topic, limits=Settings().log_limits)
    await until(lambda: slow.log.waiting > 0)
    tracemalloc.start()
    try:
        for n in range(1000):
            await topic.publish(f"{n:10000}")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert slow.relay.output.updates < 1000
    assert peak < 5_000_000, f"{peak:,} bytes for 10,000,000 bytes of messages"


async def test_a_burst_reaches_many_pages_whole(hub: Hub, app: DeclaredValues) -> None:
    topic = app.topic("news", history=2000)
    relays = Relays(hub)
    pages = [Page(hub, topic, relays=relays) for _ in range(20)]
    await topic.publish(0)
    await asyncio.gather(*(page.until(1) for page in pages))
    late = Page(hub, topic, Start(last=2000), relays=relays)
    for n in range(1, 2000):
        await topic.publish(n)
    for page in (*pages, late):
        await page.until(2000)
        assert page.data == list(range(2000))
        assert all(message[2] == 0 for message in page.news)


async def test_a_stopped_relay_leaves_nothing_behind(hub: Hub, app: DeclaredValues) -> None:
    topic = app.topic("news")
    pages = [Page(hub, topic) for _ in range(10)]
    await topic.publish(1)
    for page in pages[:5]:
        page.relay.stop()
        page.relay.stop()
    for page in pages[5:]:
        await page.until(1)
        page.relay.stop(Reason.LOST)
    for page in pages:
        await page.until_ended()
        assert page.ended == [page.relay]
    assert [page.end for page in pages] == ["cancelled"] * 5 + ["lost"] * 5
    assert (hub.readers, hub.topics) == (0, 0)


async def test_a_relay_ends_with_its_connection(hub: Hub, app: DeclaredValues) -> None:
    topic = app.topic("news")
    page = Page(hub, topic)
    await topic.publish(1)
    await page.until(1)
    page.log.drop()
    await topic.publish(2)
    await until(lambda: bool(page.ended))
    assert hub.readers == 0
