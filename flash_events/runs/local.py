"""The runs of this worker, those that live and those that a page may still want to see."""

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Awaitable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from dash import Dash

from flash_events import bridge
from flash_events.brokers.broker import Broker
from flash_events.brokers.directory import RunRecord
from flash_events.brokers.expiring import Expiring
from flash_events.brokers.ids import ConnectionId, PageId, RunId
from flash_events.brokers.log import EventLog
from flash_events.brokers.messages import Attach, Gone, Lost, Signal, Stop
from flash_events.errors import BrokerError, too_many
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


@dataclass(slots=True)
class Live:
    """A run that has not ended.

    Attributes:
        run: drives its generator.
        record: what other workers may know of it.
        page: the tab that started it.
        connection: that carries its events now.
        replaces: runs that it takes the place of.
    """

    run: Run
    record: RunRecord
    page: PageId
    connection: ConnectionId
    replaces: list[Run] = field(default_factory=list)

    @property
    def is_in_thread(self) -> bool:
        """Whether a thread of this worker serves it alone."""
        return not self.run.callback.is_async

    async def settled(self) -> None:
        """Waits until it and those that it replaces have stopped, for a second at most."""
        runs = (self.run, *self.replaces)
        await asyncio.gather(*(run.stopped(STOP_SECONDS) for run in runs))


class LocalRuns:
    """Starts, finds and stops the runs of this worker.

    Args:
        app: whose callbacks are run.
        settings: limits.
        broker: tells other workers.
        task_logs: for what the runs stream of tasks; None without a shared broker.
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
        self._of_connection: defaultdict[ConnectionId, set[RunId]] = defaultdict(set)
        self._in_threads = 0
        self._ended: Expiring[RunId, Ending] = Expiring(
            KEPT_SECONDS, settings.max_ended_bytes, lambda ending: ending.size
        )
        self._ends: Counter[Reason] = Counter()
        self._updates = 0
        self._collapsed = 0

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Live]:
        return iter(list(self._by_id.values()))

    def has(self, run: RunId) -> bool:
        """Whether this worker has a run that lives."""
        return run in self._by_id

    def counted(self) -> dict[str, int]:
        """Updates and ends, so far."""
        outputs = [live.run.output for live in self]
        return {
            "updates": self._updates + sum(output.updates for output in outputs),
            "collapsed_updates": self._collapsed + sum(output.collapsed for output in outputs),
            **{f"ends_{reason}": self._ends[reason] for reason in Reason},
        }

    def check_limits(
        self, callback: EventCallback, page: PageId, replaces: Iterable[RunId]
    ) -> None:
        """Raises `Refused` (429) where another run of this callback is too many."""
        going = [self._by_id[run] for run in set(replaces) if run in self._by_id]
        settings = self._settings
        if len(self) - len(going) >= settings.max_runs:
            raise too_many("runs in this worker", "max_runs")
        of_page = self._of_page[page] - sum(live.page == page for live in going)
        if of_page >= settings.max_runs_per_page:
            raise too_many("runs of this page", "max_runs_per_page")
        in_threads = self._in_threads - sum(live.is_in_thread for live in going)
        is_in_thread = not callback.is_async and callback.queue is None
        if is_in_thread and in_threads >= settings.max_threads:
            raise too_many("plain generators in this worker", "max_threads")

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
        """Starts a run that writes to `log`, once those that it replaces have stopped.

        `attempt` is 2 or more where another worker has had it, and died.
        """
        settings = self._settings
        snapshot = (
            Snapshot(settings.max_kept_bytes, settings.command_props) if callback.is_kept else None
        )
        output = Output(record.run, log, snapshot, is_again=attempt > 1)
        replaces = tuple(dict.fromkeys(replaces))
        here = self._owned(replaces, record.owner)
        elsewhere = tuple(run for run in replaces if run not in self._by_id)
        # What the replaced runs wait for themselves must have stopped, too.
        replaced = [run for live in here for run in (live.run, *live.replaces)]

        async def before() -> None:
            for run in replaced:
                run.stop()
            stops: list[Awaitable[object]] = [run.stopped(STOP_SECONDS) for run in replaced]
            if elsewhere:
                stops.append(self._stop_elsewhere(elsewhere, record.owner))
            await asyncio.gather(*stops)
            live.replaces.clear()

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
        run.start(self._on_ended)
        return run

    async def replace(self, runs: tuple[RunId, ...], owner: str) -> None:
        """Stops runs wherever they live and waits for their `finally`, for a second at most."""
        here, elsewhere = self._sorted(runs)
        lives = self._owned(here, owner)
        for live in lives:
            live.run.stop()
        stops: list[Awaitable[object]] = [live.settled() for live in lives]
        if elsewhere:
            stops.append(self._stop_elsewhere(elsewhere, owner))
        await asyncio.gather(*stops)

    async def stop(self, runs: tuple[RunId, ...], owner: str) -> None:
        """Stops runs wherever they live, if they are this owner's."""
        here, elsewhere = self._sorted(runs)
        for live in self._owned(here, owner):
            live.run.stop()
        if elsewhere:
            located = await self._broker.directory.locate(elsewhere, owner)
            for worker, runs in located.items():
                self._broker.signals.send(worker, Stop(runs, owner))

    async def stop_here(self, signal: Stop) -> None:
        """Stops runs of this worker and waits for their `finally`, for a second at most."""
        lives = self._owned(signal.runs, signal.owner)
        for live in lives:
            live.run.stop()
        await asyncio.gather(*(live.settled() for live in lives))

    async def stop_all(self, reason: Reason) -> None:
        """Stops every run of this worker and waits for its `finally`, for a second at most."""
        lives = list(self)
        for live in lives:
            live.run.stop(reason)
        await asyncio.gather(*(live.settled() for live in lives))

    def on_signal(self, signal: Signal) -> None:
        """Another worker tells something that may be about these runs."""
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
        """Another worker wants runs stopped."""
        for live in self._owned(signal.runs, signal.owner):
            live.run.stop()

    def on_gone(self, signal: Gone) -> None:
        """The viewer of these runs has vanished."""
        for run in self._of_connection.get(signal.connection, ()):
            live = self._by_id[run]
            if not live.run.output.detach():
                live.run.stop()

    def on_closed(self, connection: ConnectionId) -> None:
        """The broker knew of no run of a connection, and has closed it.

        A run that is left here was forgotten by the broker. It is lost; a kept one goes on, and its
        page attaches to it.
        """
        for run in self._of_connection.get(connection, ()):
            live = self._by_id[run]
            if live.run.output.has_ended:
                continue
            logger.warning("The broker has lost a run of %s.", live.run.callback.name)
            if not live.run.output.detach():
                live.run.stop(Reason.LOST)

    def on_lost(self, signal: Lost) -> None:
        """The log of these runs is lost."""
        for run in list(self._of_connection.get(signal.connection, ())):
            live = self._by_id[run]
            if not live.run.output.lose():
                live.run.stop(Reason.LOST)

    def on_attach(self, signal: Attach) -> None:
        """A page wants to see a run of this worker."""
        log = self._broker.logs.writer(signal.connection, signal.run)
        live = self._by_id.get(signal.run)
        ending = self._ended.get(signal.run)
        if live is not None:
            is_attached = live.run.output.attach(log, signal.seen, signal.request)
        else:
            is_attached = ending is not None and ending.attach(signal.run, log, signal.seen)
        if not is_attached:
            # The page is told; the run goes on to its end, as was promised.
            log.leave(signal.run, events.encode(events.Ended(signal.run, 0, Reason.LOST)))
        elif live is not None:
            self._leave_connection(live)
            live.connection = signal.connection
            self._of_connection[live.connection].add(live.run.id)

    def _sorted(self, runs: tuple[RunId, ...]) -> tuple[list[RunId], tuple[RunId, ...]]:
        runs = tuple(dict.fromkeys(runs))
        here = [run for run in runs if run in self._by_id]
        return here, tuple(run for run in runs if run not in self._by_id)

    def _owned(self, runs: Iterable[RunId], owner: str) -> list[Live]:
        """Those of these runs that live here and are this owner's."""
        lives = [self._by_id[run] for run in runs if run in self._by_id]
        return [live for live in lives if live.record.owner == owner]

    async def _stop_elsewhere(self, runs: tuple[RunId, ...], owner: str) -> None:
        """Stops runs of other workers and waits for their `finally`, for a second at most."""
        signals = self._broker.signals
        with suppress(TimeoutError, BrokerError):
            async with asyncio.timeout(STOP_SECONDS):
                located = await self._broker.directory.locate(runs, owner)
                stops = (
                    signals.ask(worker, Stop(those, owner), STOP_SECONDS)
                    for worker, those in located.items()
                )
                # Whatever keeps a worker from an answer, the new run waits no longer than this.
                await asyncio.gather(*stops, return_exceptions=True)

    def _add(self, live: Live) -> None:
        self._by_id[live.run.id] = live
        self._of_page[live.page] += 1
        self._of_connection[live.connection].add(live.run.id)
        self._in_threads += live.is_in_thread

    def _remove(self, run: Run) -> Live:
        live = self._by_id.pop(run.id)
        self._of_page[live.page] -= 1
        if not self._of_page[live.page]:
            del self._of_page[live.page]
        self._leave_connection(live)
        self._in_threads -= live.is_in_thread
        return live

    def _leave_connection(self, live: Live) -> None:
        runs = self._of_connection[live.connection]
        runs.discard(live.run.id)
        if not runs:
            del self._of_connection[live.connection]

    def _on_ended(self, run: Run) -> None:
        live = self._remove(run)
        self._ends[run.output.reason] += 1
        self._updates += run.output.updates
        self._collapsed += run.output.collapsed
        self._broker.directory.retire(live.record)
        ending = run.output.ending()
        if ending is not None:
            self._ended.add(run.id, ending)
