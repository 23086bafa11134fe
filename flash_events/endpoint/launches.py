"""Launches: a start request starts a run of an event callback, or the relay of a `Subscription`."""

from abc import ABC, abstractmethod
from functools import partial
from http import HTTPStatus

from dash import Dash

from flash_events import bridge
from flash_events.brokers import CallbackId, EventLog, RunRecord
from flash_events.brokers.ids import NO_CALLBACK
from flash_events.endpoint.placement import UNLIMITED
from flash_events.errors import Refused
from flash_events.identity import hash_of
from flash_events.registration import EventCallback
from flash_events.runs.local import LocalRuns
from flash_events.runs.output import Output
from flash_events.runs.remote import RemoteRuns
from flash_events.sharing.reader import Start
from flash_events.sharing.relay import Relays
from flash_events.sharing.topics import Topic
from flash_events.stores import Position
from flash_events.wire.requests import StartRequest, SubscriptionRequest


class Launch(ABC):
    """The part of a start that differs by what is started.

    Attributes:
        callback: the id for the run's record.
        is_kept: whether the run goes on without a viewer.
        is_queued: whether a worker of a task queue drives it.
        is_run: whether it is a run, not a subscription.
    """

    is_run: bool = True
    callback: CallbackId = NO_CALLBACK
    is_kept: bool = False
    is_queued: bool = False

    @property
    def most_runs(self) -> int | None:
        """Maximum number of runs and subscriptions of the connection; None for the setting."""
        return None

    @abstractmethod
    def open(self) -> None:
        """Check the limits and the arguments.

        Raises:
            Refused: if a limit is reached, or the arguments do not fit.
        """

    @abstractmethod
    def start(self, record: RunRecord, log: EventLog) -> None:
        """Start it."""


class CallbackLaunch(Launch):
    """Starts a run of an event callback.

    Args:
        callback: the event callback.
        request: the start request.
        app: the app.
        runs: the runs of this worker.
        remote: the runs of task queues.
    """

    def __init__(
        self,
        callback: EventCallback,
        request: StartRequest,
        app: Dash,
        runs: LocalRuns,
        remote: RemoteRuns,
    ) -> None:
        self.callback = CallbackId(callback.id)
        self.is_kept = callback.is_kept
        self.is_queued = callback.queue is not None
        self._callback = callback
        self._request = request
        self._app = app
        self._runs = runs
        self._remote = remote

    @property
    def most_runs(self) -> int | None:
        return self._runs.most_runs(self._request.connections)

    def open(self) -> None:
        request = self._request
        replaces = (*request.replaces, request.run)
        self._runs.check_limits(self._callback, request.page, replaces)
        self._call = bridge.open_call(self._app, request.body)

    def start(self, record: RunRecord, log: EventLog) -> None:
        page, replaces = self._request.page, self._request.replaces
        if self.is_queued:
            before = partial(self._runs.replace, replaces, record.owner)
            self._remote.start(record, self._callback, self._call, before)
        else:
            self._runs.start(record, page, self._callback, self._call, log, replaces)


class SubscriptionLaunch(Launch):
    """Starts the relay of a `Subscription`.

    Args:
        topic: the declared topic; None if there is none of this name.
        wanted: what the page asks for.
        request: the start request.
        runs: the runs of this worker.
        relays: makes the relay.
    """

    is_run = False
    most_runs = UNLIMITED

    def __init__(
        self,
        topic: Topic | None,
        wanted: SubscriptionRequest,
        request: StartRequest,
        runs: LocalRuns,
        relays: Relays,
    ) -> None:
        self._topic = topic
        self._wanted = wanted
        self._request = request
        self._runs = runs
        self._relays = relays

    def open(self) -> None:
        request, wanted = self._request, self._wanted
        self._runs.check_subscriptions(request.page, (*request.replaces, request.run))
        if self._topic is None or self._topic.is_parametrised or wanted.parameters:
            raise Refused(
                HTTPStatus.NOT_FOUND,
                "unknown_topic",
                "No such topic in this app. The page may be older than the app; reload.",
            )
        since = None if wanted.since is None else Position(*wanted.since)
        start = Start(wanted.last, since)
        self._watch = self._topic.watch(start, wanted.overflow, origin=hash_of(request.page))

    def start(self, record: RunRecord, log: EventLog) -> None:
        replaces = self._request.replaces
        relay = self._relays.relay(Output(record.run, log), self._watch)
        self._runs.subscribe(record, self._request.page, relay, replaces)
