"""The numbers of topics in `stats()`: subscriptions and runs are counted apart."""

import asyncio
from collections.abc import AsyncIterator

from dash import Input
from dash._utils import AttributeDict

from flash_events import Settings, Update, bridge, stream_props
from flash_events.brokers import ConnectionId, PageId, RunId, RunRecord
from flash_events.brokers.log import LogLimits
from flash_events.brokers.memory import MemoryBroker
from flash_events.callbacks import event_callback_in
from flash_events.endpoint.connections import Connections
from flash_events.endpoint.stats import Stats
from flash_events.runs.local import LocalRuns
from flash_events.runs.output import Output
from flash_events.sharing.hub import Hub
from flash_events.sharing.process import Namespace
from flash_events.sharing.relay import Relays
from flash_events.sharing.topics import Topic
from flash_events.sharing.values import DeclaredValues
from flash_events.wire.events import Reason
from tests.support.server import until

SMALL = LogLimits(100_000, 10, 2**20, 60)
SETTINGS = Settings()


class Worker:
    """The runs and subscriptions of one app, and its numbers."""

    def __init__(self, namespace: Namespace) -> None:
        self.broker = MemoryBroker(SMALL)
        self.runs = LocalRuns(None, SETTINGS, self.broker)
        self.relays = Relays(namespace.hub())
        connections = Connections(SETTINGS, lambda _: None, lambda _: None, lambda: False)
        self.stats = Stats(self.runs, connections, namespace)

    async def subscribe(self, run: str, topic: Topic) -> None:
        connection = ConnectionId(run)
        log = await self.broker.logs.open(connection, "", RunId(run), self.broker.here)
        assert log is not None
        record = RunRecord(RunId(run), self.broker.here, connection, "")
        relay = self.relays.relay(Output(RunId(run), log), topic.watch(origin=""))
        self.runs.subscribe(record, PageId("P"), relay, ())

    def has(self, **wanted: int) -> bool:
        now = self.stats.snapshot()
        return {name: now[name] for name in wanted} == wanted


async def test_a_subscription_is_not_a_run(namespace: Namespace, app: DeclaredValues) -> None:
    worker = Worker(namespace)
    topic = app.topic("news")
    for run in ("1", "2", "3"):
        await worker.subscribe(run, topic)
    await worker.subscribe("4", app.shared_value("filter"))
    await topic.publish(1)
    await until(lambda: worker.runs.subscriptions == 4)
    assert worker.has(subscriptions=4, subscription_starts=4, topics=2, readers=0, published=1)
    assert worker.has(runs=0, starts=0, updates=0, subscriptions_lost=0)
    await worker.runs.stop((RunId("1"),), "")
    await worker.runs.stop_all(Reason.LOST)
    assert worker.has(subscriptions=0, subscription_starts=4, subscriptions_lost=3, topics=0)
    assert worker.has(ends_cancelled=0, ends_lost=0, updates=0)


async def test_a_run_that_reads_is_a_run_with_a_reader(
    namespace: Namespace, app: DeclaredValues
) -> None:
    worker = Worker(namespace)
    topic = app.topic("news")
    registry = bridge.Registry([], {})

    @event_callback_in(registry, Input("start", "n_clicks"))
    async def show(_: int) -> AsyncIterator[Update]:
        async for message in topic.subscribe():
            yield stream_props("out", {"children": message.data})

    [callback] = registry
    record = RunRecord(RunId("R"), worker.broker.here, ConnectionId("C"), "")
    call = bridge.Call([1], {}, AttributeDict(updated_props={}))
    worker.runs.start(record, PageId("P"), callback, call, None)
    await until(lambda: worker.has(readers=1))
    assert worker.has(runs=1, subscriptions=0, topics=1)
    await worker.runs.stop_all(Reason.CANCELLED)
    await asyncio.sleep(0)
    assert worker.has(runs=0, readers=0, topics=0, ends_cancelled=1)


async def test_the_lag_is_that_of_the_one_furthest_behind(
    namespace: Namespace, hub: Hub, app: DeclaredValues
) -> None:
    worker = Worker(namespace)
    topic = app.topic("news", history=50)
    await worker.subscribe("slow", topic)  # its page reads nothing
    async with topic.subscribe() as messages:
        for _ in range(1500):
            await topic.publish("x" * 1000)
        assert worker.has(readers=1, subscriptions=1, subscriptions_behind=1)
        assert 1300 < worker.stats.snapshot()["lag"] <= 1500
        async for message in messages:
            if message.offset == 1500:
                break
    await asyncio.sleep(0)
    assert worker.has(readers=0, subscriptions=1)
    assert hub.missed == worker.stats.snapshot()["missed"] > 0


async def test_apps_of_one_namespace_have_the_same_numbers_of_topics(
    namespace: Namespace, app: DeclaredValues
) -> None:
    one, two = Worker(namespace), Worker(namespace)
    await one.subscribe("1", app.topic("news"))
    await app.topic("news").publish(1)
    assert one.has(subscriptions=1, topics=1, published=1)
    assert two.has(subscriptions=0, topics=1, published=1)
    await one.runs.stop_all(Reason.CANCELLED)
