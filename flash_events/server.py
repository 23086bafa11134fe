"""The endpoint: start a run, resume a connection, stop runs."""

import asyncio
import contextvars
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from dash import Dash
from quart import Response, request

from flash_events import bridge, requests
from flash_events.brokers import LogLimits, open_broker
from flash_events.callbacks import EventCallback
from flash_events.connections import Connection, Connections
from flash_events.errors import LogGone, Refused
from flash_events.runs import Run
from flash_events.settings import Settings
from flash_events.siblings import Siblings, family

logger = logging.getLogger(__name__)

REMEMBER_SECONDS = 300.0
"""For so long after its end, a repeated start attaches to its run and starts no second one."""

STREAM_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",
}


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, free of any web framework: JSON fields, or a stream."""

    status: int = 200
    fields: dict[str, Any] | None = None
    stream: AsyncIterator[bytes] | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Live:
    """A run that has not ended, and where its events go."""

    run: Run
    connection: Connection
    page: str


class Server:
    """One app's runs and connections in this worker.

    Args:
        app: whose callbacks are run.
        settings: limits and times.
    """

    def __init__(self, app: Dash, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        limits = LogLimits(
            settings.log_bytes, settings.log_events, settings.replay_bytes, settings.replay_seconds
        )
        broker = open_broker(settings.broker, limits)
        self._connections = Connections(broker, settings, self._on_connection_gone)
        self._live: dict[str, _Live] = {}
        self._connection_of: dict[str, str] = {}
        self._given_up: set[str] = set()
        self._siblings: Siblings | None = None
        self._has_joined = False

    @property
    def is_used(self) -> bool:
        """Whether a page has asked something."""
        return self._has_joined

    async def close(self) -> None:
        """The worker stops: every run's `finally` gets its second."""
        runs = [live.run for live in self._live.values()]
        for run in runs:
            run.stop()
        await asyncio.gather(*(run.stopped() for run in runs))
        if self._siblings is not None:
            self._siblings.leave()

    async def view(self, action: str) -> Response:
        """Answers the current Quart request."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        reply = await self.answer(action, headers, request.get_data)
        if reply.stream is not None:
            response = Response(reply.stream, reply.status, reply.headers)
            response.timeout = None  # Quart's RESPONSE_TIMEOUT would end streams after a minute
            return response
        body = bridge.to_json(reply.fields)
        return Response(body, reply.status, {"Content-Type": "application/json", **reply.headers})

    async def answer(
        self,
        action: str,
        headers: Mapping[str, str],
        read_body: Callable[[], Awaitable[Any]],
    ) -> Reply:
        """Answers a request for `start`, `resume` or `stop`; a refusal is JSON with its status."""
        try:
            requests.check_headers(headers, self._settings)
            await self._join_siblings()
            data = await read_body()
            requests.check_size(len(data), self._settings)
            body = requests.parse_json(data)
            match action:
                case "start":
                    return self._start(requests.parse_start(body))
                case "resume":
                    return self._resume(requests.parse_resume(body))
                case _:
                    return self._stop(requests.parse_stop(body))
        except Refused as refusal:
            fields = {"error": refusal.code, "message": refusal.message}
            headers_out = (
                {"Retry-After": str(refusal.retry_after_seconds)}
                if refusal.retry_after_seconds is not None
                else {}
            )
            return Reply(refusal.status, fields, headers=headers_out)

    def _start(self, request: requests.StartRequest) -> Reply:
        callback = bridge.find(bridge.app_registry(self._app), request.body["output"])
        if callback is None:
            raise Refused(
                404,
                "unknown_callback",
                "No such event callback in this app. The page may be older than the app; reload.",
            )
        connection_id = self._connection_of.get(request.run)
        if connection_id is None:
            if request.connection in self._given_up:
                raise Refused(HTTPStatus.GONE, "lost", "The page has gone away.")
            self._check_limits(callback, request)
            call = bridge.open_call(self._app, request.body)
            connection = self._new_run(request, callback, call)
        else:  # its answer was lost, and the page asks again
            connection = self._existing(connection_id)
        if connection.id in request.connections:
            return Reply(HTTPStatus.ACCEPTED, {"connection": connection.id})
        return self._stream(connection, "")

    def _new_run(
        self, request: requests.StartRequest, callback: EventCallback, call: bridge.Call
    ) -> Connection:
        connection = self._reachable(request.connections) or self._connections.open(
            request.connection
        )
        if connection.runs >= self._settings.max_runs_per_connection:
            raise _too_many("runs of this connection", "max_runs_per_connection")
        replaced = [self._live[run].run for run in request.replaces if run in self._live]
        self._tell_siblings(
            tuple(run for run in request.replaces if run not in self._connection_of), ()
        )
        run = Run(request.run, callback, call, connection.log, self._app, self._settings, replaced)
        self._live[run.id] = _Live(run, connection, request.page)
        self._connection_of[run.id] = connection.id
        connection.hold()
        run.start(self._on_run_ended)
        return connection

    def _resume(self, request: requests.ResumeRequest) -> Reply:
        return self._stream(self._existing(request.connection), request.last_event_id)

    def _existing(self, connection_id: str) -> Connection:
        connection = self._connections.get(connection_id)
        if connection is None:
            if self._siblings is not None and self._siblings.exist():
                _say_once(
                    "A page reconnected to another worker than the one that holds its connection, "
                    "so its runs are lost. Workers can share connections only through a broker."
                )
            raise Refused(404, "lost", "No such connection in this worker.")
        return connection

    def _stop(self, request: requests.StopRequest) -> Reply:
        self._stop_here(request.runs, request.connections)
        elsewhere = tuple(one for one in request.connections if self._connections.get(one) is None)
        for connection in elsewhere:  # its start may be on the way still
            self._given_up.add(connection)
            self._later(self._settings.grace_seconds, self._given_up.discard, connection)
        self._tell_siblings(
            tuple(run for run in request.runs if run not in self._connection_of), elsewhere
        )
        return Reply(HTTPStatus.ACCEPTED, {})

    def _stop_here(self, runs: tuple[str, ...], connections: tuple[str, ...]) -> None:
        for live in list(self._live.values()):
            if live.run.id in runs or live.connection.id in connections:
                live.run.stop()

    def _stream(self, connection: Connection, after: str) -> Reply:
        try:
            connection.log.check(after)
        except LogGone as error:
            raise Refused(410, "lost", str(error)) from None
        return Reply(stream=connection.stream(after), headers=STREAM_HEADERS)

    def _reachable(self, connections: tuple[str, ...]) -> Connection | None:
        for connection_id in connections:
            connection = self._connections.get(connection_id)
            if connection is not None and connection.takes_runs:
                return connection
        return None

    def _check_limits(self, callback: EventCallback, request: requests.StartRequest) -> None:
        staying = [live for run, live in self._live.items() if run not in request.replaces]
        of_page = sum(live.page == request.page for live in staying)
        if of_page >= self._settings.max_runs_per_page:
            raise _too_many("runs of this page", "max_runs_per_page")
        in_threads = sum(not live.run.callback.is_async for live in staying)
        if not callback.is_async and in_threads >= self._settings.max_threads:
            raise _too_many("plain generators in this worker", "max_threads")

    def _on_run_ended(self, run: Run) -> None:
        self._live.pop(run.id).connection.release()
        self._later(REMEMBER_SECONDS, self._connection_of.pop, run.id, None)

    def _later(self, seconds: float, action: Callable[..., object], *args: object) -> None:
        """Calls later; in a context of its own, or the request would be kept until then."""
        loop = asyncio.get_running_loop()
        loop.call_later(seconds, action, *args, context=contextvars.Context())

    def _on_connection_gone(self, connection: Connection) -> None:
        self._stop_here((), (connection.id,))

    async def _join_siblings(self) -> None:
        if self._has_joined:
            return
        self._has_joined = True
        name = family()
        if name is None:
            return
        siblings = Siblings(name, self._stop_here)
        try:
            await siblings.join()
        except OSError as error:
            logger.warning(
                "This worker cannot reach its siblings (%s): a cancel that another worker hears "
                "does not stop its runs. Set TMPDIR to a short path that this user may write to.",
                error,
            )
        else:
            self._siblings = siblings

    def _tell_siblings(self, runs: tuple[str, ...], connections: tuple[str, ...]) -> None:
        if self._siblings is not None and (runs or connections):
            self._siblings.tell(runs, connections)


def _too_many(what: str, setting: str) -> Refused:
    return Refused(
        HTTPStatus.TOO_MANY_REQUESTS,
        "too_many",
        f"Too many {what}; the limit is the setting {setting}.",
        retry_after_seconds=5,
    )


_said: set[str] = set()


def _say_once(message: str) -> None:
    if message not in _said:
        _said.add(message)
        logger.warning(message)
