"""Topics: every reader gets every message once and in order, or is told what it has missed."""

import asyncio
import gc
import math
import threading
import time
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from flash_events import CallbackError, Conflict, EncodingError, TopicOverflow, stream_props
from flash_events.sharing.hub import Hub
from flash_events.sharing.topics import Topic
from flash_events.sharing.values import DeclaredValues
from flash_events.updates import Update
from tests.support.server import until


async def take(messages: Any, count: int) -> list[Any]:
    """Returns the data of the next messages."""
    async with asyncio.timeout(5):
        found: list[Any] = []
        async for message in messages:
            found.append(message.data)
            if len(found) == count:
                break
    return found


async def test_a_reader_gets_what_is_published_from_now_on(app: DeclaredValues) -> None:
    topic = app.topic("news")
    await topic.publish("before")
    messages = topic.subscribe()
    async with messages:
        assert await topic.publish({"n": 1}) == 2
        assert await topic.publish([2]) == 3
        assert await take(messages, 2) == [{"n": 1}, [2]]
    assert messages.offset == 3


async def test_what_is_published_right_after_subscribing_is_read(app: DeclaredValues) -> None:
    topic = app.topic("news")
    await topic.publish("before")
    first = topic.subscribe()
    await topic.publish(1)
    second = topic.subscribe()
    await topic.publish(2)
    assert await take(first, 2) == [1, 2]
    assert await take(second, 1) == [2]


async def test_a_message_says_where_and_when_it_was_published(app: DeclaredValues) -> None:
    topic = app.topic("news")
    await topic.publish("before")
    async with topic.subscribe(last=5) as messages:
        await topic.publish("after")
        read = []
        async for message in messages:
            read.append(message)
            if len(read) == 2:
                break
    assert [(one.data, one.offset, one.missed) for one in read] == [
        ("before", 1, 0),
        ("after", 2, 0),
    ]
    assert [one.is_replay for one in read] == [True, False]
    assert all(abs(one.time - time.time()) < 5 for one in read)
    assert all(one.is_mine for one in read)  # outside a page: by this process


async def test_the_last_messages_come_first(app: DeclaredValues) -> None:
    topic = app.topic("news", history=3)
    for n in range(6):
        await topic.publish(n)
    assert await take(topic.subscribe(last=2), 2) == [4, 5]
    assert await take(topic.subscribe(last=100), 3) == [3, 4, 5]


async def test_what_was_gone_before_a_newcomer_is_not_missed(app: DeclaredValues) -> None:
    topic = app.topic("news", history=3)
    for n in range(6):
        await topic.publish(n)
    async for message in topic.subscribe(last=5):
        assert (message.data, message.missed) == (3, 0)
        break


async def test_a_reader_goes_on_after_an_offset(app: DeclaredValues) -> None:
    topic = app.topic("news", history=3)
    for n in range(1, 7):
        await topic.publish(n)
    assert await take(topic.subscribe(since=4), 2) == [5, 6]
    async for message in topic.subscribe(since=1):
        assert (message.data, message.missed) == (4, 2)
        break


async def test_an_offset_of_the_future_is_told_as_lost_memory(app: DeclaredValues) -> None:
    topic = app.topic("news")
    messages = topic.subscribe(since=70)
    async with messages:
        await topic.publish("next")
        async for message in messages:
            assert (message.data, message.missed) == ("next", None)
            break


async def test_a_slow_reader_is_told_how_many_it_has_missed(hub: Hub, app: DeclaredValues) -> None:
    topic = app.topic("news", history=50)
    got, missed = 0, 0
    async with topic.subscribe() as messages:
        for n in range(3000):
            await topic.publish(n)
        async for message in messages:
            got += 1
            missed += message.missed or 0
            assert message.data == message.offset - 1
            if message.offset == 3000:
                break
    assert got + missed == 3000
    assert missed > 0
    assert hub.missed == missed


async def test_a_display_gets_the_newest_when_it_is_late(app: DeclaredValues) -> None:
    topic = app.topic("news", history=50)
    got = missed = 0
    async with topic.subscribe(overflow="latest") as messages:
        for n in range(3000):
            await topic.publish(n)
        async for message in messages:
            got, missed = got + 1, missed + (message.missed or 0)
            if message.data == 2999:
                break
    assert got + missed == 3000
    assert got < 1500


async def test_a_ledger_fails_when_it_is_late(app: DeclaredValues) -> None:
    topic = app.topic("news", history=50)
    async with topic.subscribe(overflow="error") as messages:
        for n in range(3000):
            await topic.publish(n)
        with pytest.raises(TopicOverflow, match="history") as error:
            await take(messages, 1)
    assert 0 < error.value.missed < 3000


async def test_without_a_history_a_broken_connection_is_counted(app: DeclaredValues) -> None:
    topic = app.topic("news", history=0)
    async with topic.subscribe() as messages:
        for n in range(5):
            await topic.publish(n)
        assert await take(messages, 5) == list(range(5))
    assert await topic.latest() == []
    await topic.publish(5)
    async with topic.subscribe(since=3) as messages:
        await topic.publish("next")
        async for message in messages:
            assert (message.data, message.missed) == ("next", 3)
            break


async def test_a_late_joiner_sees_no_hole_and_no_double(app: DeclaredValues) -> None:
    topic = app.topic("news", history=10_000)
    is_over = asyncio.Event()

    async def publish() -> None:
        while not is_over.is_set():
            await topic.publish("x")
            await asyncio.sleep(0)

    publishers = [asyncio.create_task(publish()) for _ in range(3)]
    for n in range(200):
        expected: int | None = None
        async for message in topic.subscribe(last=n % 7):
            assert message.missed == 0
            assert expected is None or message.offset == expected
            expected = message.offset + 1
            if not message.is_replay:
                break
    is_over.set()
    await asyncio.gather(*publishers)


async def test_the_latest_messages(app: DeclaredValues) -> None:
    topic = app.topic("news", history=3)
    assert await topic.latest() == []
    for n in range(5):
        await topic.publish(n)
    assert [message.data for message in await topic.latest()] == [4]
    assert [message.data for message in await topic.latest(10)] == [2, 3, 4]


async def test_a_cleared_topic_tells_its_readers_and_goes_on(app: DeclaredValues) -> None:
    topic = app.topic("news")
    messages = topic.subscribe()
    async with messages:
        await topic.publish(1)
        await topic.clear()
        await topic.publish(2)
        read = []
        async for message in messages:
            read.append((message.data, message.offset, message.is_cleared, message.missed))
            if message.data == 2:
                break
    assert read == [(1, 1, False, 0), (None, 2, True, 0), (2, 3, False, 0)]
    assert [message.data for message in await topic.latest(10)] == [2]
    assert await take(topic.subscribe(last=10), 1) == [2]


async def test_a_key_publishes_once(app: DeclaredValues) -> None:
    topic = app.topic("news")
    assert await topic.publish("a", key="order 7") == await topic.publish("a", key="order 7") == 1
    assert await topic.publish("b", key="order 8") == 2


async def test_a_publish_that_expects_another_offset_is_a_conflict(app: DeclaredValues) -> None:
    topic = app.topic("news")
    await topic.publish("a", expect=0)
    with pytest.raises(Conflict) as error:
        await topic.publish("b", expect=0)
    assert error.value.offset == 1


async def test_an_update_is_published_as_it_is(app: DeclaredValues) -> None:
    topic = app.topic("news")
    await topic.publish(stream_props("graph", {"extendData": [{"y": [[1]]}, [0]]}))
    [message] = await topic.latest()
    assert isinstance(message.data, Update)
    assert message.data.targets == (("graph", {"extendData": [{"y": [[1]]}, [0]]}),)


async def test_what_has_no_json_form_is_refused_with_its_path(app: DeclaredValues) -> None:
    topic = app.topic("news")
    with pytest.raises(EncodingError, match=r"object .* at \$\['a'\]\[1\]"):
        await topic.publish({"a": [1, object()]})
    with pytest.raises(EncodingError, match="max_event_bytes"):
        await topic.publish("x" * 2**20)
    await topic.publish({"at": date(2026, 1, 2)})
    assert (await topic.latest())[0].data == {"at": "2026-01-02"}


async def test_topics_with_parameters_are_logs_of_their_own(app: DeclaredValues) -> None:
    room = app.topic("room/{room}")
    await room("1").publish("one")
    await room(room=2).publish("two")
    assert [message.data for message in await room(1).latest(5)] == ["one"]
    with pytest.raises(CallbackError, match=r"room=\.\.\."):
        await room.publish("nowhere")
    for call in ((), ("1", "2")):
        with pytest.raises(CallbackError, match="Expected room"):
            room(*call)
    with pytest.raises(CallbackError, match="Expected room"):
        room(place="1")
    with pytest.raises(CallbackError, match="printable"):
        room("a\nb")


async def test_namespaces_do_not_see_each_other(app: DeclaredValues) -> None:
    from flash_events.settings import Settings
    from flash_events.sharing.process import Namespace

    other = Namespace("memory://", Settings(namespace="other"))
    await app.topic("news").publish("here")
    assert await DeclaredValues(lambda: other).topic("news").latest() == []


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda app: app.topic("a b\n"), "printable"),
        (lambda app: app.topic(""), "1 to 200"),
        (lambda app: app.topic("x" * 201), "1 to 200"),
        (lambda app: app.topic(7), "got int 7"),
        (lambda app: app.topic("room/{room"), "parameter"),
        (lambda app: app.topic("{a}/{a}"), "each once"),
        (lambda app: app.topic("a", history=-1), "0 to 100,000"),
        (lambda app: app.topic("a", history=True), "history"),
        (lambda app: app.topic("a", ttl=0), "Expected ttl"),
        (lambda app: app.topic("a", ttl=math.inf), "Expected ttl"),
        (lambda app: app.topic("a", max_bytes=0), "max_bytes"),
        (lambda app: app.topic("a", scope="ap"), "Did you mean app"),
        (lambda app: app.topic("a", histroy=3), "Did you mean history"),
        (lambda app: (app.topic("a"), app.topic("a", history=3)), "declared before"),
        (lambda app: (app.topic("a"), app.shared_value("a")), "declared before"),
        (lambda app: app.shared_value("a", codec="pickle"), "codec"),
    ],
)
def test_a_wrong_declaration_says_what_to_write(
    app: DeclaredValues, declare: Callable[[Any], object], message: str
) -> None:
    with pytest.raises(CallbackError, match=message):
        declare(app)


async def test_a_wrong_argument_is_refused(app: DeclaredValues) -> None:
    topic = app.topic("news")
    for arguments in ({"last": -1}, {"last": 1, "since": 1}, {"overflow": "drop"}):
        with pytest.raises(ValueError, match="Expected"):
            topic.subscribe(**arguments)
    with pytest.raises(TypeError, match="whole number"):
        topic.subscribe(last="3")  # type: ignore[arg-type] # wrong on purpose
    with pytest.raises(TypeError, match="key"):
        await topic.publish(1, key="")


async def test_one_name_is_one_topic(app: DeclaredValues) -> None:
    assert app.topic("news") is app.topic("news")


async def test_a_loop_that_is_left_has_unsubscribed(hub: Hub, app: DeclaredValues) -> None:
    topic = app.topic("news")
    await topic.publish(1)

    async def by_break() -> None:
        async for _ in topic.subscribe(last=1):
            break

    async def fail() -> None:
        async for _ in topic.subscribe(last=1):
            raise ZeroDivisionError

    async def by_exception() -> None:
        with pytest.raises(ZeroDivisionError):
            await fail()

    async def by_cancel() -> None:
        reading = asyncio.create_task(take(topic.subscribe(), 1))
        await asyncio.sleep(0.001)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

    async def unused() -> None:
        topic.subscribe()

    for leave in (by_break, by_exception, by_cancel, unused):
        for _ in range(25):
            await leave()
    gc.collect()
    await until(lambda: hub.readers == 0)
    assert hub.topics == 0


async def test_a_second_loop_goes_on_after_the_first(app: DeclaredValues) -> None:
    topic = app.topic("news")
    messages = topic.subscribe()
    async with messages:
        for n in range(4):
            await topic.publish(n)
        assert await take(messages, 2) == [0, 1]
        assert await take(messages, 2) == [2, 3]


async def test_single_messages_are_read_without_a_loop(app: DeclaredValues) -> None:
    topic = app.topic("news")
    messages = topic.subscribe()
    await topic.publish(1)
    assert (await anext(aiter(messages))).data == 1
    await topic.publish(2)
    assert (await anext(aiter(messages))).data == 2


async def test_batches_have_all_messages(app: DeclaredValues) -> None:
    topic = app.topic("news", history=1000)
    messages = topic.subscribe()

    async def publish() -> None:
        for n in range(300):
            await topic.publish(n)
            await asyncio.sleep(0.001)

    publishing = asyncio.create_task(publish())
    read: list[int] = []
    batches = 0
    begun = time.monotonic()
    async for batch in messages.batches(0.05):
        assert batch
        batches += 1
        read += [message.data for message in batch]
        if len(read) == 300:
            break
    await publishing
    assert read == list(range(300))
    assert batches <= (time.monotonic() - begun) / 0.05 + 2


async def test_the_twins_of_threads_publish_and_read(app: DeclaredValues) -> None:
    topic = app.topic("news")
    read: list[int] = []
    is_reading = threading.Event()

    def work() -> None:
        messages = topic.subscribe()
        is_reading.set()
        with messages:
            for message in messages:
                read.append(message.data)
                if message.data == 9:
                    return

    thread = threading.Thread(target=work)
    thread.start()
    await asyncio.to_thread(is_reading.wait)
    for n in range(10):
        await asyncio.to_thread(topic.publish_sync, n)
    await asyncio.to_thread(thread.join, 5)
    assert read == list(range(10))
    assert await asyncio.to_thread(lambda: [one.data for one in topic.latest_sync(2)]) == [8, 9]


async def test_waiting_in_a_thread_is_refused_on_an_event_loop(app: DeclaredValues) -> None:
    topic = app.topic("news")
    with pytest.raises(RuntimeError, match="await the method without _sync"):
        topic.publish_sync(1)
    with pytest.raises(RuntimeError, match="async for"):
        next(iter(topic.subscribe()))


async def test_other_event_loops_publish_and_read(
    app: DeclaredValues, another_app: DeclaredValues
) -> None:
    """As an async callback of Flask does, whose event loop lives for one call."""
    here, there = app.topic("news"), another_app.topic("news")
    messages = here.subscribe()

    async def work() -> list[Any]:
        await there.publish("from elsewhere")
        return await take(there.subscribe(last=1), 1)

    async with messages:
        assert await asyncio.to_thread(asyncio.run, work()) == ["from elsewhere"]
        assert await take(messages, 1) == ["from elsewhere"]


async def test_all_readers_get_the_messages_of_all_publishers_in_one_order(
    app: DeclaredValues, another_app: DeclaredValues
) -> None:
    topics = [app.topic("news", history=10_000), another_app.topic("news", history=10_000)]
    readers = [topics[n % 2].subscribe() for n in range(6)]
    for messages in readers:
        await messages.__aenter__()

    async def publish(topic: Topic, name: str) -> None:
        for n in range(200):
            await topic.publish([name, n])

    reading = [asyncio.create_task(take(messages, 600)) for messages in readers]
    await asyncio.gather(*(publish(topics[n % 2], f"p{n}") for n in range(3)))
    found = await asyncio.gather(*reading)
    assert all(one == found[0] for one in found)
    for n in range(3):
        assert [k for name, k in found[0] if name == f"p{n}"] == list(range(200))
