"""The runs of this worker: live ones, and ended ones that a page may still attach to."""

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from dash import Dash

from flash_events import bridge, context
from flash_events.background import Background
from flash_events.brokers.broker import Broker
from flash_events.brokers.directory import RunRecord
from flash_events.brokers.expiring import Expiring
from flash_events.brokers.ids import ConnectionId, PageId, RunId
from flash_events.brokers.log import EventLog
from flash_events.brokers.messages import Attach, Gone, Lost, Signal, Stop
from flash_events.errors import BrokerError, too_many
from flash_events.identity import hash_of
from flash_events.registration import EventCallback
from flash_events.runs.output import Ending, Output
from flash_events.runs.run import Run
from flash_events.runs.snapshot import Snapshot
from flash_events.runs.task_log import TaskLogs
from flash_events.settings import Settings
from flash_events.times import KEPT_SECONDS, STOP_SECONDS
from flash_events.wire import events
from flash_events.wire.events import Reason

logger = logging.getLogger(__name__)


class Driven(Protocol):
    """Driver of a run: a `Run`, which has a generator, or a relay of a `Subscription`.

    Attributes:
        id: the id of the run.
        output: the output, which takes its events.
        is_in_thread: whether the run has a thread of its own.
    """

    id: RunId
    output: Output

    @property
    def is_in_thread(self) -> bool: ...

    @property
    def name(self) -> str: ...

    def start(self, on_end: Callable[[Any], None]) -> None: ...

    def stop(self, reason: Reason = Reason.CANCELLED) -> None: ...

    async def stopped(self, within_seconds: float = STOP_SECONDS) -> bool: ...


@dataclass(slots=True)
class Live:
    """A run that has not ended.

    Attributes:
        run: what drives the run.
        record: the run's record in the run directory, shared with other workers.
        page: the id of the tab that started the run.
        connection: the id of the connection that carries the run's events now.
        replaces: the earlier runs that this one replaces, until they have stopped.
        is_subscription: whether it is the run of a `Subscription`, which has limits of its own.
    """

    run: Driven
    record: RunRecord
    page: PageId
    connection: ConnectionId
    replaces: Sequence[Driven] = ()
    is_subscription: bool = False

    async def settled(self) -> None:
        """Wait, one second at most, until this run and those that it replaces have stopped."""
        runs = (self.run, *self.replaces)
        await asyncio.gather(*(run.stopped(STOP_SECONDS) for run in runs))


class LocalRuns:
    """The runs of this worker, by id: starts, stops, and attaching pages.

    Args:
        app: the app that owns the callbacks.
        settings: the limits.
        broker: the broker that reaches other workers.
        task_logs: the logs that runs read Celery tasks from; None without a shared broker.
    """

    def __init__(
        self,
        app: Dash | None,
        settings: Settings,
        broker: Broker,
        task_logs: TaskLogs | None = None,
    ) -> None:
        self._app = app
        self._settings = settings
        self._broker = broker
        self._task_logs = task_logs
        self._by_id: dict[RunId, Live] = {}
        self._of_page: Counter[PageId] = Counter()
        self._subscriptions_of_page: Counter[PageId] = Counter()
        self.subscriptions = 0
        self._subscription_starts = 0
        self._of_connection: defaultdict[ConnectionId, set[RunId]] = defaultdict(set)
        self._in_threads = 0
        self._background = Background()
        self._ended: Expiring[RunId, Ending] = Expiring(
            KEPT_SECONDS, settings.max_ended_bytes, lambda ending: ending.size
        )
        self._ends: Counter[Reason] = Counter()
        self._subscriptions_lost = 0
        self._updates = 0
        self._collapsed = 0

    def __len__(self) -> int:
        return len(self._by_id) - self.subscriptions

    def __iter__(self) -> Iterator[Live]:
        return iter(list(self._by_id.values()))

    def has(self, run: RunId) -> bool:
        """Return whether this worker has a live run with this id."""
        return run in self._by_id

    def counters(self) -> dict[str, int]:
        """Return the number of updates and of ends, by reason, since the worker started.

        Subscriptions are counted apart.
        """
        outputs = [live.run.output for live in self if not live.is_subscription]
        return {
            "updates": self._updates + sum(output.updates for output in outputs),
            "collapsed_updates": self._collapsed + sum(output.collapsed for output in outputs),
            **{f"ends_{reason}": self._ends[reason] for reason in Reason},
            "subscription_starts": self._subscription_starts,
            "subscriptions_lost": self._subscriptions_lost,
        }

    def check_limits(
        self, callback: EventCallback, page: PageId, replaces: Iterable[RunId]
    ) -> None:
        """Raise `Refused` (429) if another run of this callback would exceed a limit.

        Args:
            callback: the event callback to start.
            page: the id of the tab that asks.
            replaces: ids of runs that end when the new one starts, and so do not count.
        """
        going = self._going(replaces, is_subscription=False)
        settings = self._settings
        if len(self) - len(going) >= settings.max_runs:
            raise too_many("runs in this worker", "max_runs")
        of_page = self._of_page[page] - sum(live.page == page for live in going)
        if of_page >= settings.max_runs_per_page:
            raise too_many("runs of this page", "max_runs_per_page")
        in_threads = self._in_threads - sum(live.run.is_in_thread for live in going)
        is_in_thread = not callback.is_async and callback.queue is None
        if is_in_thread and in_threads >= settings.max_threads:
            raise too_many("plain generators in this worker", "max_threads")

    def check_subscriptions(self, page: PageId, replaces: Iterable[RunId]) -> None:
        """Raise `Refused` (429) if another `Subscription` of a page would exceed a limit."""
        going = self._going(replaces, is_subscription=True)
        if self.subscriptions - len(going) >= self._settings.max_subscriptions:
            raise too_many("subscriptions in this worker", "max_subscriptions")
        of_page = self._subscriptions_of_page[page] - sum(live.page == page for live in going)
        if of_page >= self._settings.max_subscriptions_per_page:
            raise too_many("subscriptions of this page", "max_subscriptions_per_page")

    def most_runs(self, connections: Iterable[ConnectionId]) -> int:
        """Return the maximum number of runs of a connection, with the subscriptions on it.

        These do not count towards `max_runs_per_connection`, but are runs for its log.

        Args:
            connections: the connections of a page.
        """
        runs = [run for one in connections for run in self._of_connection.get(one, ())]
        subscriptions = sum(self._by_id[run].is_subscription for run in runs)
        return self._settings.max_runs_per_connection + subscriptions

    def subscribe(
        self, record: RunRecord, page: PageId, relay: Driven, replaces: tuple[RunId, ...]
    ) -> None:
        """Start the run of a `Subscription`, which replaces earlier ones.

        Args:
            record: the run's record in the run directory.
            page: the id of the tab that asks.
            relay: drives the run.
            replaces: the ids of the runs that it replaces.
        """
        if replaces:
            self._background.start(self.replace(replaces, record.owner))
        self._add(Live(relay, record, page, record.connection, is_subscription=True))
        self._subscription_starts += 1
        relay.start(self._on_ended)

    def start(
        self,
        record: RunRecord,
        page: PageId,
        callback: EventCallback,
        call: bridge.Call,
        log: EventLog | None,
        replaces: tuple[RunId, ...] = (),
        attempt: int = 1,
    ) -> Run:
        """Start a run, which waits until the runs that it replaces have stopped.

        Args:
            record: the run's record in the run directory.
            page: the id of the tab that asks.
            callback: the event callback.
            call: the arguments and the context of the call.
            log: the log that the run writes to; None if no page watches it.
            replaces: the ids of the runs that this one replaces.
            attempt: 1, or more if earlier workers died while they drove the run.
        """
        settings = self._settings
        snapshot = (
            Snapshot(settings.max_kept_bytes, settings.command_props) if callback.is_kept else None
        )
        output = Output(record.run, log, snapshot, is_again=attempt > 1)
        replaces = tuple(dict.fromkeys(replaces))
        here = self._owned(replaces, record.owner)
        elsewhere = tuple(run for run in replaces if run not in self._by_id)
        # A replaced run may itself still wait for the runs that it replaces.
        replaced = [run for live in here for run in (live.run, *live.replaces)]

        async def before() -> None:
            for run in replaced:
                run.stop()
            stops: list[Awaitable[object]] = [run.stopped(STOP_SECONDS) for run in replaced]
            if elsewhere:
                stops.append(self._stop_elsewhere(elsewhere, record.owner))
            await asyncio.gather(*stops)
            live.replaces = ()

        run = Run(
            callback,
            call,
            output,
            self._app,
            settings,
            before if replaced or elsewhere else None,
            attempt,
            self._task_logs,
        )
        live = Live(run, record, page, record.connection, replaced)
        self._add(live)
        context.page.set(hash_of(page))  # the run's task inherits it
        run.start(self._on_ended)
        return run

    async def replace(self, runs: tuple[RunId, ...], owner: str) -> None:
        """Stop an owner's runs on all workers; wait for their `finally`, one second at most."""
        here, elsewhere = self._by_worker(runs)
        lives = self._owned(here, owner)
        for live in lives:
            live.run.stop()
        stops: list[Awaitable[object]] = [live.settled() for live in lives]
        if elsewhere:
            stops.append(self._stop_elsewhere(elsewhere, owner))
        await asyncio.gather(*stops)

    async def stop(self, runs: tuple[RunId, ...], owner: str) -> None:
        """Stop an owner's runs on all workers."""
        here, elsewhere = self._by_worker(runs)
        for live in self._owned(here, owner):
            live.run.stop()
        if elsewhere:
            located = await self._broker.directory.locate(elsewhere, owner)
            for worker, runs in located.items():
                self._broker.signals.send(worker, Stop(runs, owner))

    async def stop_here(self, signal: Stop) -> None:
        """Stop an owner's runs of this worker; wait for their `finally`, one second at most."""
        lives = self._owned(signal.runs, signal.owner)
        for live in lives:
            live.run.stop()
        await asyncio.gather(*(live.settled() for live in lives))

    async def stop_all(self, reason: Reason) -> None:
        """Stop all runs of this worker; wait for their `finally`, one second at most."""
        lives = list(self)
        for live in lives:
            live.run.stop(reason)
        await asyncio.gather(*(live.settled() for live in lives))

    def on_signal(self, signal: Signal) -> None:
        """Handle a signal from another worker; ignore those that do not concern runs."""
        match signal:
            case Stop():
                self.on_stop(signal)
            case Gone():
                self.on_gone(signal)
            case Lost():
                self.on_lost(signal)
            case Attach():
                self.on_attach(signal)

    def on_stop(self, signal: Stop) -> None:
        """Stop runs that another worker asks to stop."""
        for live in self._owned(signal.runs, signal.owner):
            live.run.stop()

    def on_gone(self, signal: Gone) -> None:
        """Stop the runs of a vanished connection; kept runs go on without it."""
        for run in list(self._of_connection.get(signal.connection, ())):
            live = self._by_id[run]
            if not live.run.output.detach():
                live.run.stop()

    def on_closed(self, connection: ConnectionId) -> None:
        """Stop the runs of a connection that the broker closed because it knew of no runs on it.

        The broker has lost such a run, so it ends as `lost`. A kept run goes on, and its page
        attaches to it again.
        """
        for run in list(self._of_connection.get(connection, ())):
            live = self._by_id[run]
            if live.run.output.has_ended:
                continue
            logger.warning("The broker has lost a run of %s.", live.run.name)
            if not live.run.output.detach():
                live.run.stop(Reason.LOST)

    def on_lost(self, signal: Lost) -> None:
        """Stop the runs of a connection whose log is lost; kept runs go on without it."""
        for run in list(self._of_connection.get(signal.connection, ())):
            live = self._by_id[run]
            if not live.run.output.lose():
                live.run.stop(Reason.LOST)

    def on_attach(self, signal: Attach) -> None:
        """Attach a page to a run of this worker, live or ended."""
        log = self._broker.logs.writer(signal.connection, signal.run)
        live = self._by_id.get(signal.run)
        ending = self._ended.get(signal.run)
        if live is not None:
            is_attached = live.run.output.attach(log, signal.seen, signal.request)
        else:
            is_attached = ending is not None and ending.attach(signal.run, log, signal.seen)
        if not is_attached:
            # Only the page gets `lost`; a kept run still goes on to its end.
            log.leave(signal.run, events.encode(events.Ended(signal.run, 0, Reason.LOST)))
        elif live is not None:
            self._leave_connection(live)
            live.connection = signal.connection
            self._of_connection[live.connection].add(live.run.id)

    def _by_worker(self, runs: tuple[RunId, ...]) -> tuple[list[RunId], tuple[RunId, ...]]:
        runs = tuple(dict.fromkeys(runs))
        here = [run for run in runs if run in self._by_id]
        return here, tuple(run for run in runs if run not in self._by_id)

    def _owned(self, runs: Iterable[RunId], owner: str) -> list[Live]:
        """Return those of these runs that are live in this worker and belong to this owner."""
        lives = [self._by_id[run] for run in runs if run in self._by_id]
        return [live for live in lives if live.record.owner == owner]

    async def _stop_elsewhere(self, runs: tuple[RunId, ...], owner: str) -> None:
        """Stop runs of other workers; wait for their `finally`, one second at most."""
        signals = self._broker.signals
        with suppress(TimeoutError, BrokerError):
            async with asyncio.timeout(STOP_SECONDS):
                located = await self._broker.directory.locate(runs, owner)
                stops = (
                    signals.ask(worker, Stop(those, owner), STOP_SECONDS)
                    for worker, those in located.items()
                )
                # A worker that fails or does not answer must not keep the new run from starting.
                await asyncio.gather(*stops, return_exceptions=True)

    def _going(self, runs: Iterable[RunId], is_subscription: bool) -> list[Live]:
        """Return those of these runs that are live in this worker, and of this kind."""
        lives = [self._by_id[run] for run in set(runs) if run in self._by_id]
        return [live for live in lives if live.is_subscription is is_subscription]

    def _add(self, live: Live) -> None:
        self._by_id[live.run.id] = live
        of_page = self._subscriptions_of_page if live.is_subscription else self._of_page
        of_page[live.page] += 1
        self._of_connection[live.connection].add(live.run.id)
        self.subscriptions += live.is_subscription
        self._in_threads += live.run.is_in_thread

    def _remove(self, run: Driven) -> Live:
        live = self._by_id.pop(run.id)
        of_page = self._subscriptions_of_page if live.is_subscription else self._of_page
        of_page[live.page] -= 1
        if not of_page[live.page]:
            del of_page[live.page]
        self._leave_connection(live)
        self.subscriptions -= live.is_subscription
        self._in_threads -= live.run.is_in_thread
        return live

    def _leave_connection(self, live: Live) -> None:
        runs = self._of_connection[live.connection]
        runs.discard(live.run.id)
        if not runs:
            del self._of_connection[live.connection]

    def _on_ended(self, run: Driven) -> None:
        live = self._remove(run)
        if live.is_subscription:
            self._subscriptions_lost += run.output.reason is Reason.LOST
        else:
            self._ends[run.output.reason] += 1
            self._updates += run.output.updates
            self._collapsed += run.output.collapsed
        self._broker.directory.retire(live.record)
        ending = run.output.ending()
        if ending is not None:
            self._ended.add(run.id, ending)
