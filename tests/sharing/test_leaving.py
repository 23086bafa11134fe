"""Whoever leaves a topic leaves nothing behind, and runs that wait for a message can be stopped."""

import asyncio
import gc
import logging
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from dash import Input
from dash._utils import AttributeDict

from flash_events import Settings, Update, bridge, stream_props
from flash_events.brokers import ConnectionId, PageId, RunId, RunRecord
from flash_events.brokers.memory import MemoryBroker
from flash_events.brokers.messages import Gone
from flash_events.callbacks import event_callback_in
from flash_events.runs.local import LocalRuns
from flash_events.sharing.hub import Hub
from flash_events.sharing.topics import Topic
from flash_events.sharing.values import DeclaredValues
from flash_events.times import STOP_SECONDS
from flash_events.wire.events import Reason
from tests.support.harness import LIMITS, running
from tests.support.server import until

RUNS = 100
"""Number of runs after which nothing is left; so many are enough to see what grows with each."""

RUN, CONNECTION = RunId("R"), ConnectionId("C")


class Worker:
    """Starts runs of one callback, which no page reads."""

    def __init__(self, function: Callable[..., Any], argument: object = 1) -> None:
        self._argument = argument
        registry = bridge.Registry([], {})
        event_callback_in(registry, Input("start", "n_clicks"))(function)
        [self._callback] = registry
        self._broker = MemoryBroker(LIMITS)
        self.runs = LocalRuns(None, Settings(), self._broker)

    def start(self) -> None:
        record = RunRecord(RUN, self._broker.here, CONNECTION, "")
        call = bridge.Call([self._argument], {}, AttributeDict(updated_props={}))
        self.runs.start(record, PageId("P"), self._callback, call, None)


def threads() -> list[str]:
    """Returns the names of the threads of plain generators."""
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.startswith(f"flash_events {__name__}")]


async def cancelled(runs: LocalRuns) -> None:
    await runs.stop((RUN,), "")


async def page_closed(runs: LocalRuns) -> None:
    runs.on_gone(Gone(CONNECTION))


async def drained(runs: LocalRuns) -> None:
    await runs.stop_all(Reason.LOST)


def waiting(topic: Topic, finished: list[str]) -> dict[str, Callable[..., Any]]:
    """Returns event callbacks that wait for messages, by kind."""

    async def loop(_: int) -> AsyncIterator[Update]:
        try:
            async for message in topic.subscribe():
                yield stream_props("out", {"children": message.data})
        finally:
            finished.append("finally")

    async def batches(_: int) -> AsyncIterator[Update]:
        try:
            async for batch in topic.subscribe().batches(0.01):
                yield stream_props("out", {"children": [message.data for message in batch]})
        finally:
            finished.append("finally")

    async def block(_: int) -> AsyncIterator[Update]:
        try:
            async with topic.subscribe() as messages:
                async for message in messages:
                    yield stream_props("out", {"children": message.data})
        finally:
            finished.append("finally")

    def plain(_: int) -> Iterator[Update]:
        try:
            for message in topic.subscribe():
                yield stream_props("out", {"children": message.data})
        finally:
            finished.append("finally")

    def plain_block(_: int) -> Iterator[Update]:
        try:
            with topic.subscribe() as messages:
                for message in messages:
                    yield stream_props("out", {"children": message.data})
        finally:
            finished.append("finally")

    return {one.__name__: one for one in (loop, batches, block, plain, plain_block)}


@pytest.mark.parametrize("kind", ["loop", "batches", "block", "plain", "plain_block"])
@pytest.mark.parametrize("end", [cancelled, page_closed, drained])
async def test_a_run_that_waits_for_a_message_stops_within_a_second(
    hub: Hub, app: DeclaredValues, kind: str, end: Callable[[LocalRuns], Awaitable[None]]
) -> None:
    topic = app.topic("news")
    finished: list[str] = []
    worker = Worker(waiting(topic, finished)[kind])
    worker.start()
    await until(lambda: hub.readers == 1)
    await topic.publish(1)
    [live] = worker.runs
    await until(lambda: live.run.output.updates == 1)  # now it waits for the next message
    async with asyncio.timeout(STOP_SECONDS):
        await end(worker.runs)
        await until(lambda: not len(worker.runs) and not hub.readers)
    assert finished == ["finally"]
    assert (hub.readers, hub.topics) == (0, 0)
    await until(lambda: threads() == [])


@pytest.mark.parametrize("method", ["publish_sync", "get_sync", "update_sync", "latest_sync"])
async def test_a_plain_generator_that_waits_for_the_store_is_woken_by_a_stop(
    hub: Hub, app: DeclaredValues, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = app.shared_value("count", 0)
    is_waiting = threading.Event()
    finished: list[str] = []

    async def hang(*_: object, **__: object) -> None:
        is_waiting.set()
        await asyncio.Event().wait()

    for name in ("append", "read_last"):
        monkeypatch.setattr(hub.store.logs, name, hang)

    call: Callable[[], object] = {
        "publish_sync": lambda: value.publish_sync(1),
        "get_sync": value.get_sync,
        "update_sync": lambda: value.update_sync(lambda old: old + 1),
        "latest_sync": value.latest_sync,
    }[method]

    def plain(_: int) -> Iterator[Update]:
        try:
            call()
            yield stream_props("out", {})
        finally:
            finished.append("finally")

    worker = Worker(plain)
    worker.start()
    await asyncio.to_thread(is_waiting.wait, 5)
    async with asyncio.timeout(STOP_SECONDS):
        await cancelled(worker.runs)
        await until(lambda: not len(worker.runs))
    assert finished == ["finally"]
    await until(lambda: threads() == [])


async def test_a_plain_generator_publishes_and_gets(hub: Hub, app: DeclaredValues) -> None:
    topic, value = app.topic("news"), app.shared_value("count", 0)

    def plain(_: int) -> Iterator[Update]:
        with topic.subscribe() as messages:
            topic.publish_sync("hello")
            value.set_sync(1)
            yield stream_props("out", {"children": value.update_sync(lambda old: old + 1)})
            for message in messages:
                yield stream_props("out", {"children": message.data})
                break
        yield stream_props("out", {"children": [value.get_sync(), topic.latest_sync()[0].data]})

    async with running(plain, 1) as streamed:
        await streamed.to_end()
    assert [props["children"] for [[_, props]] in streamed.sets] == [2, "hello", [2, "hello"]]
    await until(lambda: hub.readers == 0)


async def test_a_run_that_is_stopped_before_its_thread_waits_does_not_wait(
    hub: Hub, app: DeclaredValues
) -> None:
    topic = app.topic("news")
    is_subscribed, may_wait = threading.Event(), threading.Event()

    def plain(_: int) -> Iterator[Update]:
        messages = topic.subscribe()
        is_subscribed.set()
        may_wait.wait(5)
        for message in messages:
            yield stream_props("out", {"children": message.data})

    worker = Worker(plain)
    worker.start()
    await asyncio.to_thread(is_subscribed.wait, 5)
    [live] = worker.runs
    live.run.stop()
    may_wait.set()
    assert await live.run.stopped(STOP_SECONDS)
    await until(lambda: hub.readers == 0)


kept: list[Any] = []


async def keeps(topic: Topic) -> AsyncIterator[Update]:
    kept.append(topic.subscribe())
    kept.append(aiter(topic.subscribe(last=1)))
    message = await anext(kept[-1])
    yield stream_props("out", {"children": message.data})
    raise LookupError("the exception keeps its frame")


def keeps_plainly(topic: Topic) -> Iterator[Update]:
    kept.append(topic.subscribe())
    kept.append(iter(topic.subscribe(last=1)))
    yield stream_props("out", {"children": next(kept[-1]).data})


@pytest.mark.parametrize("function", [keeps, keeps_plainly])
async def test_the_end_of_a_run_unsubscribes_what_is_kept(
    hub: Hub, app: DeclaredValues, function: Callable[..., Any]
) -> None:
    topic = app.topic("news")
    await topic.publish(1)
    worker = Worker(function, topic)
    worker.start()
    await until(lambda: not len(worker.runs))
    assert len(kept) == 2
    await until(lambda: (hub.readers, hub.topics) == (0, 0))
    kept.clear()


async def test_a_task_may_read_on_after_the_run_that_has_started_it(
    hub: Hub, app: DeclaredValues
) -> None:
    topic = app.topic("news")
    read: list[Any] = []

    async def feed() -> None:
        async for message in topic.subscribe():
            read.append(message.data)

    async def starts(_: int) -> AsyncIterator[Update]:
        kept.append(asyncio.create_task(feed()))
        await asyncio.sleep(0)
        yield stream_props("out", {})

    worker = Worker(starts)
    worker.start()
    await until(lambda: not len(worker.runs))
    await topic.publish("after the end")
    await until(lambda: read == ["after the end"])
    [task] = kept
    task.cancel()
    await asyncio.wait(kept)
    await until(lambda: hub.readers == 0)  # though the task is kept, with the frames of its end
    kept.clear()


async def test_the_next_message_can_be_awaited_without_a_loop(
    hub: Hub, app: DeclaredValues
) -> None:
    topic = app.topic("news")
    messages = topic.subscribe()
    waiting = asyncio.ensure_future(anext(aiter(messages)))
    await asyncio.sleep(0)
    await topic.publish("next")
    async with asyncio.timeout(5):
        assert (await waiting).data == "next"
    await until(lambda: hub.readers == 0)


async def take_one(topic: Topic) -> None:
    async for _ in topic.subscribe(last=1):
        break


async def fail(topic: Topic) -> None:
    try:
        async for message in topic.subscribe(last=1):
            raise LookupError(message.data)
    except LookupError:
        return


async def be_cancelled(topic: Topic) -> None:
    async def wait() -> None:
        async for _ in topic.subscribe():
            pass

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})


async def batch(topic: Topic) -> None:
    async for _ in topic.subscribe(last=1).batches(0):
        break


async def ends(topic: Topic) -> AsyncIterator[Update]:
    messages = topic.subscribe(last=1)
    async for message in messages:
        yield stream_props("out", {"children": message.data})
        return


async def fails(topic: Topic) -> AsyncIterator[Update]:
    messages = topic.subscribe(last=1)
    async for message in messages:
        yield stream_props("out", {"children": message.data})
        raise LookupError(message.data)


async def waits(topic: Topic) -> AsyncIterator[Update]:
    async for message in topic.subscribe(last=1):
        yield stream_props("out", {"children": message.data})


async def forgets(topic: Topic) -> AsyncIterator[Update]:
    messages = topic.subscribe(last=1)
    await messages.__aenter__()
    yield stream_props("out", {"children": messages.offset})


def ends_plainly(topic: Topic) -> Iterator[Update]:
    for message in topic.subscribe(last=1):
        yield stream_props("out", {"children": message.data})
        break


def fails_plainly(topic: Topic) -> Iterator[Update]:
    messages = topic.subscribe(last=1)
    for message in messages:
        yield stream_props("out", {"children": message.data})
        raise LookupError(message.data)


def waits_plainly(topic: Topic) -> Iterator[Update]:
    for message in topic.subscribe(last=1):
        yield stream_props("out", {"children": message.data})


def objects() -> Counter[str]:
    """Returns the number of objects by type, of those that subscribing makes."""
    gc.collect()
    types = Counter(type(one) for one in gc.get_objects())
    return Counter(
        {
            one.__qualname__: count
            for one, count in types.items()
            if str(one.__module__).startswith(("flash_events", "asyncio", "_asyncio", "threading"))
            or one.__name__ in ("frame", "coroutine", "async_generator", "generator")
        }
    )


async def nothing_is_left(hub: Hub, leave: Callable[[], Awaitable[None]], times: int) -> None:
    """Checks that to leave many times leaves no more behind than to leave a few times."""

    async def repeat(times: int) -> Counter[str]:
        for _ in range(times):
            await leave()
        await until(lambda: (hub.readers, hub.topics) == (0, 0))
        await until(lambda: threads() == [])
        return objects()

    tasks = len(asyncio.all_tasks())
    before = await repeat(20)
    grown = await repeat(times) - before
    del grown["TimerHandle"]  # those that were cancelled stay in the event loop for a while
    assert {one: count for one, count in grown.items() if count >= times // 5} == {}
    await until(lambda: len(asyncio.all_tasks()) <= tasks)


in_memory = pytest.mark.parametrize("new_namespace", ["memory"], indirect=True)


@in_memory
@pytest.mark.parametrize("leave", [take_one, fail, be_cancelled, batch])
async def test_nothing_is_left_of_a_thousand_loops(
    hub: Hub, app: DeclaredValues, leave: Callable[[Topic], Awaitable[None]]
) -> None:
    topic = app.topic("news")
    await topic.publish(1)
    await nothing_is_left(hub, lambda: leave(topic), 1000)


@in_memory
@pytest.mark.parametrize(
    "function",
    [ends, fails, waits, forgets, ends_plainly, fails_plainly, waits_plainly],
)
async def test_nothing_is_left_of_many_runs(
    hub: Hub,
    app: DeclaredValues,
    function: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Pytest would keep what is logged, and so the exceptions with their frames.
    monkeypatch.setattr(logging.getLogger("flash_events.runs.errors"), "disabled", True)
    topic = app.topic("news")
    await topic.publish(1)
    worker = Worker(function, topic)

    async def run() -> None:
        worker.start()
        [live] = worker.runs
        await until(lambda: live.run.output.updates == 1)
        if "waits" in function.__name__:
            live.run.stop()
        assert await live.run.stopped(5)

    await nothing_is_left(hub, run, RUNS)
