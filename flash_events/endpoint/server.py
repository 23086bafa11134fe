"""The server side of an app: starts and stops runs, resumes connections, attaches to kept runs."""

import asyncio
import contextlib
import logging
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from dash import Dash

from flash_events import bridge
from flash_events.background import Background
from flash_events.brokers import (
    NOWHERE,
    QUEUED,
    At,
    Broker,
    RunId,
    RunRecord,
    WorkerId,
    broker_of,
)
from flash_events.brokers.ids import NO_PAGE
from flash_events.brokers.messages import Alive, Attach, Failed, Gone, Moved, Signal, Stop
from flash_events.endpoint.backends import Request
from flash_events.endpoint.bodies import Bodies
from flash_events.endpoint.connections import Connection, Connections
from flash_events.endpoint.launches import CallbackLaunch, Launch, SubscriptionLaunch
from flash_events.endpoint.loop_watch import LoopWatch
from flash_events.endpoint.placement import Placement, Placements, unknown_connection
from flash_events.endpoint.probe import Probes
from flash_events.endpoint.replies import Reply, accepted, refused
from flash_events.endpoint.stats import Stats
from flash_events.errors import BrokerError, Refused
from flash_events.identity import owner_of
from flash_events.registration import EventCallback
from flash_events.runs.errors import handle_refusal
from flash_events.runs.local import LocalRuns
from flash_events.runs.remote import RemoteRuns
from flash_events.runs.task_log import TaskLogs
from flash_events.settings import Settings
from flash_events.sharing.hub import Hub
from flash_events.sharing.process import mark_serving, namespace_of
from flash_events.sharing.relay import Relays
from flash_events.sharing.topics import Declared
from flash_events.wire import events, requests
from flash_events.wire.events import Reason

logger = logging.getLogger(__name__)

BROKER_SECONDS = 1.5
"""Maximum wait for the broker before a 503, after which the page retries."""

SENT_SECONDS = 0.5
"""Maximum wait of a stopping worker until the broker has stored the end events of its runs."""

RETRIED_STATUS = HTTPStatus.BAD_GATEWAY
"""Lowest HTTP status after which a page retries a start."""

DRAIN_SECONDS = 1.5
"""Drain timeout: the wait of a stopping worker until clients have left and tasks are cancelled."""


class Server:
    """One app's runs and connections in this worker.

    Args:
        app: the app.
        settings: limits and times.
        declared: the topics that the app may use; None for no topics.

    Attributes:
        settings: limits and times.
        stats: counters and gauges of this worker.
    """

    def __init__(self, app: Dash, settings: Settings, declared: Declared | None = None) -> None:
        self._app = app
        self._declared = declared
        self._namespace = namespace_of(settings)
        self._hub: Hub | None = None
        self._joining = asyncio.Lock()
        self._relays: Relays | None = None
        self.settings = settings
        self._broker: Broker = broker_of(settings.broker, settings.log_limits)
        self._connections = Connections(
            settings,
            self._on_connection_gone,
            self._on_connection_closed,
            must_wait=lambda: self._broker.is_away,
        )
        self._placements = Placements(settings, self._broker, self._connections)
        self._task_logs = TaskLogs(self._broker) if self._broker.is_shared else None
        self._runs = LocalRuns(app, settings, self._broker, self._task_logs)
        self._remote = RemoteRuns(app, settings, self._broker)
        self._probes = Probes(settings.heartbeat_seconds)
        self._bodies = Bodies(settings)
        self._starts: dict[RunId, asyncio.Future[None]] = {}
        """Start requests in progress, by run."""
        self._losing: set[RunId] = set()
        """Runs of dead workers that are being ended."""
        self._background = Background()
        self._watch: LoopWatch | None = None
        self._starting: asyncio.Task[None] | None = None
        self._draining: asyncio.Task[None] | None = None
        self.stats = Stats(self._runs, self._connections, self._namespace)

    @property
    def is_serving(self) -> bool:
        """Whether it has started to serve and has not ended."""
        return self._starting is not None and not self.has_ended

    @property
    def has_ended(self) -> bool:
        """Whether it is draining or drained, or its event loop is closed."""
        starting = self._starting
        return self._draining is not None or (
            starting is not None and starting.get_loop().is_closed()
        )

    @property
    def is_elsewhere(self) -> bool:
        """Whether it was started on another event loop than the running one."""
        starting = self._starting
        return starting is not None and starting.get_loop() is not asyncio.get_running_loop()

    def check(self) -> None:
        """Raise `ConfigurationError` if the app's callbacks need another broker."""
        self._remote.check()

    async def start(self) -> None:
        """Connect to the broker, unless that has been done.

        Raises:
            ConfigurationError: if the broker cannot be reached, or `check` fails.
        """
        if self._starting is None:
            self.check()
            self._starting = asyncio.create_task(self._start_up())
            self._watch = LoopWatch()
        await asyncio.shield(self._starting)

    async def _start_up(self) -> None:
        mark_serving()
        await self._broker.open(self._on_signal, self._on_worker_lost, self._on_request)
        if self._declared:
            await self._join()

    async def drain(self) -> bool:
        """Drain the worker: refuse starts, end runs as `lost`, send clients to other workers.

        Return whether all clients have left.
        """
        if self._starting is not None:
            if self._draining is None:
                self._draining = asyncio.create_task(self._drain())
            await asyncio.shield(self._draining)
        return not any(connection.is_read for connection in self._connections)

    async def _drain(self) -> None:
        self._probes.close()
        await self._runs.stop_all(Reason.LOST)
        with contextlib.suppress(TimeoutError):  # clients must get the end events before `drain`
            async with asyncio.timeout(SENT_SECONDS):
                await asyncio.gather(*(connection.log.sent() for connection in self._connections))
        for connection in self._connections:
            connection.drain()
        left = [connection.drained() for connection in self._connections]
        left += [
            self._remote.finish(),
            *([self._task_logs.background.finish()] if self._task_logs else []),
        ]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                await asyncio.gather(*left)
        await self._broker.close()
        if self._hub is not None:
            await self._namespace.end(self._hub)
        if self._watch is not None:
            self._watch.close()

    async def answer(self, action: str, request: Request) -> Reply:
        """Return the response to a request; a refusal is JSON with an error status.

        If the page has another origin, or `identify` does not accept the user, the body is not read
        and `on_error` is not called.

        Args:
            action: the last part of the URL: start, ask, resume, attach, probe, alive or stop.
            request: the request.
        """
        try:
            requests.check_headers(request.headers, self.settings)
            await self.start()
            owner = await owner_of(request.native, self.settings.identify)
        except Refused as refusal:
            return self._refuse(refusal)
        try:
            async with self._bodies.read(request, action == "start") as data:
                return await self._answer(action, requests.parse_json(data), request, owner)
        except Refused as refusal:
            return self._refuse(refusal, await self._on_refused(action, request, refusal))

    async def _answer(self, action: str, body: Any, request: Request, owner: str) -> Reply:
        try:
            async with asyncio.timeout(BROKER_SECONDS):
                return await self._act(action, body, request, owner)
        except (TimeoutError, BrokerError) as error:
            logger.warning("A %s is refused because the broker does not answer. %s", action, error)
            raise Refused(
                HTTPStatus.SERVICE_UNAVAILABLE, "broker", "The server is busy; try again.", 1
            ) from None

    def _refuse(self, refusal: Refused, body: bytes | None = None) -> Reply:
        self.stats.refusals += 1
        return refused(refusal, body)

    async def _on_refused(self, action: str, request: Request, refusal: Refused) -> bytes | None:
        """Return the encoded update of `on_error` for a start that the page will not retry.

        None for other requests, and if there is no update.
        """
        waits = refusal.status == HTTPStatus.TOO_MANY_REQUESTS
        retries = refusal.status >= RETRIED_STATUS and not requests.is_last_try(request.headers)
        if action not in ("start", "ask") or waits or retries or refusal.code == "lost":
            return None
        callback_id = requests.callback_of(request.headers)
        callback = bridge.find(bridge.app_registry(self._app), callback_id)
        if callback is None:
            return None
        return await handle_refusal(refusal, callback, self._app, self.settings)

    async def _act(self, action: str, body: Any, request: Request, owner: str) -> Reply:
        match action:
            case "start":
                return await self._start(requests.parse_start(body), owner)
            case "ask":
                return self._ask(*requests.parse_ask(body), request)
            case "resume":
                self.stats.resumes += 1
                return await self._resume(requests.parse_resume(body), owner)
            case "attach":
                return await self._attach(requests.parse_attach(body), owner)
            case "probe":
                return self._probes.reply(requests.parse_probe(body))
            case "alive":
                return await self._alive(requests.parse_alive(body), owner)
            case _:
                return await self._stop(requests.parse_stop(body), owner)

    async def _start(self, request: requests.StartRequest, owner: str) -> Reply:
        self._placements.require_broker()
        while (earlier := self._starts.get(request.run)) is not None:
            await asyncio.wait({earlier})  # this is a retry, as the first response was late
        done = self._starts[request.run] = asyncio.get_running_loop().create_future()
        try:
            return await self._start_once(request, owner)
        finally:
            del self._starts[request.run]
            done.set_result(None)

    def _ask(self, start: requests.StartRequest, size: int, request: Request) -> Reply:
        """Return a 202 if the page may send a large start; raise `Refused` if not."""
        self._bodies.check(size, request, is_start=True)
        self._placements.require_broker()
        callback = self._find(start)
        self._refuse_while_draining()
        self._runs.check_limits(callback, start.page, (*start.replaces, start.run))
        return accepted()

    def _find(self, request: requests.StartRequest) -> EventCallback:
        callback: EventCallback | None = bridge.find(
            bridge.app_registry(self._app), request.body["output"]
        )
        if callback is None:
            raise Refused(
                HTTPStatus.NOT_FOUND,
                "unknown_callback",
                "No such event callback in this app. The page may be older than the app; reload.",
            )
        return callback

    async def _prepare(self, request: requests.StartRequest) -> Launch:
        """Return what a start request starts."""
        wanted = requests.parse_subscription(request.body)
        if wanted is None:
            return CallbackLaunch(self._find(request), request, self._app, self._runs, self._remote)
        topic = self._declared.find(wanted.name) if self._declared is not None else None
        return SubscriptionLaunch(topic, wanted, request, self._runs, await self._relaying())

    async def _relaying(self) -> Relays:
        """Return the relays of this worker's hub."""
        hub = await self._join()
        if self._relays is None:
            self._relays = Relays(hub)
        return self._relays

    async def _join(self) -> Hub:
        """Return the hub that the app uses, until it is drained."""
        async with self._joining:
            if self._hub is None:
                self._hub = await self._namespace.serve()
        return self._hub

    async def _start_once(self, request: requests.StartRequest, owner: str) -> Reply:
        launch = await self._prepare(request)
        self._refuse_while_draining()
        [known] = await self._broker.directory.find([request.run])
        if known is not None:  # this is a retry, as the first response was lost
            return await self._start_again(known, request, owner)
        launch.open()
        kept_by = (owner or request.page) if launch.is_kept else ""
        at = QUEUED if launch.is_queued else self._broker.here
        record = RunRecord(request.run, at, request.connection, owner, kept_by, launch.callback)
        connections = (*request.connections, request.connection)
        place: Placement | None = None
        try:
            place = await self._placements.place(
                record, request.page, request.connections, most_runs=launch.most_runs
            )
            record = replace(record, connection=place.connection)
            known = await self._broker.directory.claim(record)
            if known is None:
                self._refuse_while_draining()
        except Refused:
            if place is not None:
                self._broker.directory.withdraw(record, connections)
            [known] = await self._broker.directory.find([request.run])
            if known is None:
                raise
        except BaseException:  # cleanup after a timeout or a cancellation, too
            self._broker.directory.withdraw(record, connections)
            raise
        if known is not None:  # a concurrent retry has claimed the run
            if place is not None and known.connection != place.connection:
                place.log.leave(request.run)
            return await self._start_again(known, request, owner)
        assert place is not None
        launch.start(record, place.log)
        self._remote.terminate_unless_stopped(request.replaces, owner)
        self.stats.starts += launch.is_run
        return place.reply()

    async def _start_again(
        self, known: RunRecord, request: requests.StartRequest, owner: str
    ) -> Reply:
        if known.owner != owner:
            raise unknown_connection()
        if known.place == NOWHERE:
            raise Refused(HTTPStatus.GONE, "lost", "The page has gone away.")
        if known.connection in request.connections:
            return accepted(connection=known.connection)
        return await self._placements.resume(known.connection, owner, request.page, "")

    async def _resume(self, request: requests.ResumeRequest, owner: str) -> Reply:
        self._refuse_while_draining()
        return await self._placements.resume(
            request.connection, owner, NO_PAGE, request.last_event_id
        )

    async def _attach(self, request: requests.AttachRequest, owner: str) -> Reply:
        self._refuse_while_draining()
        self._placements.require_broker()
        await self._give_up_connections(request, owner)
        records = await self._broker.directory.find(list(request.runs))
        connections = request.connections
        place: Placement | None = None
        for (run, seen), found in zip(request.runs.items(), records, strict=True):
            is_known = found is not None and found.owner == owner and found.kept_by
            record = (
                found if found and is_known else RunRecord(run, NOWHERE, request.connection, owner)
            )
            record = replace(record, connection=request.connection)
            place = await self._placements.place(record, request.page, connections, place)
            attach = Attach(run, place.connection, seen, request.connection)
            now = await self._remote.show(record, attach, place.log)
            if now is None:
                continue
            match now.place:
                case At(worker):
                    self._broker.signals.send(worker, attach)
                case _:
                    end = events.Ended(run, 0, Reason.LOST)
                    place.log.leave(run, events.encode(end))
        if place is None:
            raise Refused(HTTPStatus.BAD_REQUEST, "bad_request", "Expected at least one run.")
        return place.reply()

    async def _give_up_connections(self, request: requests.AttachRequest, owner: str) -> None:
        """Drop connections that the page has left, if all of their runs are in this request.

        Otherwise each would keep parts of snapshots until the end of its grace period.
        """
        open_ones = (request.connection, *request.connections)
        for connection in self._connections:
            is_pages = (connection.page, connection.owner) == (request.page, owner)
            runs = connection.log.runs
            carries_more = not runs or not runs.keys() <= request.runs.keys()
            if is_pages and connection.id not in open_ones and not carries_more:
                self._connections.release(connection.id)
                await self._drop(connection)

    async def _alive(self, request: requests.AliveRequest, owner: str) -> Reply:
        connection = self._connections.get(request.connection)
        if connection is not None and connection.owner == owner:
            connection.alive()  # needs no broker
        elif not await self._broker.logs.touch(request.connection, owner):
            raise unknown_connection()
        return accepted()

    async def _stop(self, request: requests.StopRequest, owner: str) -> Reply:
        runs = request.runs
        if request.callbacks:
            runs += await self._broker.directory.kept(owner or request.page, request.callbacks)
        await self._runs.stop(runs, owner)
        self._remote.terminate_unless_stopped(runs, owner)
        return accepted()

    def _refuse_while_draining(self) -> None:
        if self._draining is not None:
            raise Refused(
                HTTPStatus.SERVICE_UNAVAILABLE, "draining", "This worker is stopping; try again.", 1
            )

    def _on_signal(self, signal: Signal) -> None:
        match signal:
            case Stop():
                self._background.start(self._stop_here(signal))
            case Alive(connection):
                if (held := self._connections.get(connection)) is not None:
                    held.alive()
            case Failed():
                self._remote.on_failed(signal)
            case Moved(connection):
                self._connections.release(connection)
            case _:
                self._runs.on_signal(signal)

    async def _on_request(self, request: Signal) -> None:
        """Stop runs at the request of another worker; returning is the answer."""
        if not isinstance(request, Stop):
            raise NotImplementedError(f"A web worker cannot answer {type(request).__name__}.")
        await self._stop_here(request)

    async def _stop_here(self, stop: Stop) -> None:
        """Stop an owner's runs: of this worker, queued ones, and those that are being started."""
        starting = [self._starts[run] for run in stop.runs if run in self._starts]
        stops = [self._runs.stop_here(stop), self._remote.stop(stop)]
        await asyncio.gather(*stops, *([asyncio.wait(starting)] if starting else []))
        if starting:
            await self._runs.stop_here(stop)

    def _on_connection_gone(self, connection: Connection) -> None:
        self._background.start(self._drop(connection))

    def _on_connection_closed(self, connection: Connection) -> None:
        self._runs.on_closed(connection.id)

    async def _drop(self, connection: Connection) -> None:
        runs = await self._broker.logs.drop(connection.id)
        for place in set(runs.values()):
            if isinstance(place, At):
                self._broker.signals.send(place.worker, Gone(connection.id))
        await self._remote.on_gone(runs)

    def _on_worker_lost(self, worker: WorkerId) -> None:
        if self._task_logs is not None:
            self._task_logs.on_worker_lost(worker)
        for connection in self._connections:
            for run, place in connection.log.runs.items():
                if place == At(worker) and run not in self._losing:
                    self._losing.add(run)
                    self._background.start(self._lose(connection, run, worker))

    async def _lose(self, connection: Connection, run: RunId, worker: WorkerId) -> None:
        try:
            event = await self._remote.last_event(run)
            if event is None:
                return
            if await self._broker.logs.end_run(connection.id, run, At(worker), event):
                self.stats.lost_with_worker += 1
                # If the worker is alive after all, its events are refused, so the run must stop.
                self._broker.signals.send(worker, Stop((run,), connection.owner))
        finally:
            self._losing.discard(run)
