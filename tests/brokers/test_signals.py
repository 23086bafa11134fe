"""The contract of signals; every broker must pass it."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from redis import Redis

from flash_events.brokers import Broker, ConnectionId, EventLog, RunId, WorkerId, broker_of
from flash_events.brokers.messages import (
    Alive,
    Answer,
    Attach,
    Failed,
    Gone,
    Lost,
    Moved,
    Question,
    Readable,
    Room,
    Signal,
    Stop,
    decode,
    encode,
)
from flash_events.brokers.redis.keys import key
from flash_events.errors import NoAnswer, RequestFailed, WorkerGone
from tests.support.broker import LIMITS, new_connection
from tests.support.server import until

HERE, RUN = ConnectionId("C" * 22), RunId("R" * 22)
STOP = Stop((RUN, RunId("é")), "owner")


@pytest.mark.parametrize(
    "signal",
    [
        STOP,
        Gone(HERE),
        Lost(HERE),
        Failed(RUN, "code", "text"),
        Moved(HERE),
        Alive(HERE),
        Attach(RUN, HERE, 7, "request"),
        Readable(HERE),
        Room(HERE, 99),
        Question(3, WorkerId("W"), STOP),
        Answer(3, {"a": [1, None]}),
        Answer(3, None, "KeyError()"),
    ],
)
def test_a_signal_is_the_same_after_its_way_as_json(signal: Signal) -> None:
    assert decode(encode(signal)) == signal
    assert b"\n" not in encode(signal)  # siblings send several in one message


class Worker:
    """A worker that answers requests as it is told to.

    Attributes:
        heard: the signals that have arrived.
        handle: answers requests.
    """

    def __init__(self, url: str) -> None:
        self.broker = broker_of(url, LIMITS)
        self.heard: list[Signal] = []
        self.handle: Callable[[Signal], Awaitable[Any]] = self._echo

    async def open(self) -> None:
        await self.broker.open(self.heard.append, lambda _: None, lambda one: self.handle(one))

    @property
    def id(self) -> WorkerId:
        return self.broker.worker

    async def ask(self, worker: WorkerId, seconds: float = 5.0) -> Any:
        return await self.broker.signals.ask(worker, STOP, seconds)

    async def _echo(self, request: Signal) -> list[Any]:
        return [self.id, type(request).__name__]


@pytest.fixture(params=["memory", "redis"])
async def two(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[list[Worker]]:
    """Two workers; those in memory are siblings."""
    is_memory = request.param == "memory"
    url = "memory://" if is_memory else request.getfixturevalue("redis_url")
    family = f"flash-events-{secrets.token_hex(4)}"
    monkeypatch.setattr("flash_events.brokers.memory.signals.family", lambda: family)
    async with AsyncExitStack() as stack:
        workers = [Worker(url) for _ in range(2)]
        for worker in workers:
            await worker.open()
            stack.push_async_callback(worker.broker.close)
        yield workers


async def test_signals_arrive_in_order_at_the_one_worker(two: list[Worker]) -> None:
    signals = [Gone(ConnectionId(str(n))) for n in range(50)]
    for signal in signals:
        two[0].broker.signals.send(two[1].id, signal)
    await until(lambda: two[1].heard == signals)
    assert two[0].heard == []
    two[0].broker.signals.send(two[0].id, signals[0])
    assert two[0].heard == signals[:1]


async def test_a_request_is_answered_by_the_worker_that_is_asked(two: list[Worker]) -> None:
    for worker in two:
        assert await two[0].ask(worker.id) == [worker.id, "Stop"]


async def test_answers_that_come_in_another_order_find_their_requests(two: list[Worker]) -> None:
    count, all_are_there = 0, asyncio.Event()

    async def last_first(_: Signal) -> int:
        nonlocal count
        count = mine = count + 1
        if count == 5:
            all_are_there.set()
        await all_are_there.wait()
        await asyncio.sleep(0.01 * (5 - mine))
        return mine

    two[1].handle = last_first
    asked = [asyncio.create_task(two[0].ask(two[1].id)) for _ in range(5)]
    assert await asyncio.gather(*asked) == [1, 2, 3, 4, 5]


async def test_a_worker_that_does_not_answer_in_time_is_not_waited_for(two: list[Worker]) -> None:
    may_answer = asyncio.Event()

    async def late(_: Signal) -> None:
        await may_answer.wait()

    for worker in two:
        worker.handle = late
        with pytest.raises(NoAnswer, match=r"Stop within 0\.1 s"):
            await two[0].ask(worker.id, 0.1)
    may_answer.set()
    two[1].handle = two[1]._echo
    assert await two[0].ask(two[1].id) == [two[1].id, "Stop"]  # the late answer is of no use
    assert two[0].broker.signals._asked == {}


async def test_the_error_of_a_handler_reaches_the_worker_that_has_asked(two: list[Worker]) -> None:
    async def fail(_: Signal) -> None:
        raise KeyError("no such run")

    async def answer_with_what_json_lacks(_: Signal) -> object:
        return object()

    two[1].handle = fail
    with pytest.raises(RequestFailed, match=r"KeyError\('no such run'\)"):
        await two[0].ask(two[1].id)
    two[1].handle = answer_with_what_json_lacks
    with pytest.raises(RequestFailed, match="TypeError"):
        await two[0].ask(two[1].id)


async def test_a_worker_without_handler_says_so(broker: Broker) -> None:
    with pytest.raises(RequestFailed, match="answers no Stop"):
        await broker.signals.ask(broker.worker, STOP, 5)


async def test_a_worker_that_has_left_is_gone(two: list[Worker]) -> None:
    assert await two[0].broker.signals.lives(two[1].id)
    assert await two[0].broker.signals.lives(two[0].id)
    await two[1].broker.close()
    with pytest.raises(WorkerGone):
        await two[0].ask(two[1].id)
    assert not await two[0].broker.signals.lives(two[1].id)


async def test_a_worker_that_leaves_before_it_answers_is_gone(two: list[Worker]) -> None:
    is_asked = asyncio.Event()

    async def never(_: Signal) -> None:
        is_asked.set()
        await asyncio.get_running_loop().create_future()

    two[1].handle = never
    asking = asyncio.create_task(two[0].ask(two[1].id, 30))
    await is_asked.wait()
    await two[1].broker.close()
    with pytest.raises(WorkerGone):
        await asking


async def test_a_sign_of_life_is_heard_by_the_holder(
    broker: Broker, log: EventLog, connection: ConnectionId, heard: list[Signal]
) -> None:
    assert await broker.logs.touch(connection, "owner")
    assert not await broker.logs.touch(connection, "somebody else")
    assert not await broker.logs.touch(new_connection(), "owner")
    assert heard == [Alive(connection)]


async def test_a_sign_of_life_travels_to_the_holder(
    two: list[Worker], connection: ConnectionId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flash_events.brokers.memory.siblings.Siblings.exist", lambda _: True)
    holder, other = two
    await holder.broker.logs.open(connection, "owner", RUN, holder.broker.here)
    assert await other.broker.logs.touch(connection, "owner")
    # Siblings pass it on to all, as they do not know which one holds the log.
    await until(lambda: holder.heard == [Alive(connection)])


async def test_a_signal_that_is_sent_as_soon_as_a_worker_has_started_is_heard(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where the thread that renews the lease is slow to run."""
    monkeypatch.setattr("flash_events.brokers.redis.lease.Lease._work", lambda _: None)
    here, there = Worker(redis_url), Worker(redis_url)
    for worker in (here, there):
        await worker.open()
    there.broker.signals.send(here.id, Gone(HERE))
    await until(lambda: here.heard == [Gone(HERE)])
    for worker in (here, there):
        await worker.broker.close()


async def test_signals_that_cannot_be_followed_do_not_deafen_a_worker(redis_url: str) -> None:
    heard: list[Signal] = []

    def hear(signal: Signal) -> None:
        heard.append(signal)
        if len(heard) == 1:
            raise KeyError("a run that is not there")

    here, there = broker_of(redis_url, LIMITS), broker_of(redis_url, LIMITS)
    for broker, on_signal in ((here, hear), (there, heard.append)):
        await broker.open(on_signal, lambda _: None)
    client: Redis = Redis.from_url(redis_url)
    inbox = key(here.worker, "inbox")
    signals = [Stop((RunId(f"run {n}"),), "") for n in range(3)]
    there.signals.send(here.worker, signals[0])
    await until(lambda: len(heard) == 1)
    client.xadd(inbox, {"s": b'{"kind": "OfANewerVersion"}', "k": "once"})
    for signal in signals[1:]:
        there.signals.send(here.worker, signal)
    await until(lambda: len(heard) == 3)
    assert heard == signals
    await here.close()
    await there.close()
    client.close()
