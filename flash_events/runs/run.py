"""A run: one execution of an event callback, from start to end event."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from time import perf_counter
from traceback import walk_tb
from types import FrameType
from typing import Any

from dash import Dash
from dash.exceptions import PreventUpdate

from flash_events import bridge, context
from flash_events.errors import LogGone, RunAborted, RunTimeout
from flash_events.registration import EventCallback
from flash_events.runs import task_log
from flash_events.runs.encoder import Encoder
from flash_events.runs.errors import ends_task, handle, is_running, shows_errors
from flash_events.runs.output import Output
from flash_events.runs.pushed import PushedUpdates
from flash_events.runs.thread import GeneratorThread
from flash_events.runs.traces import text_of
from flash_events.settings import Settings
from flash_events.times import STOP_SECONDS
from flash_events.updates import Update, stream_props
from flash_events.wire.events import Failure, Reason

logger = logging.getLogger(__name__)

TURN_SECONDS = 0.005
"""Maximum time that a generator which never awaits keeps the event loop."""

GIVE_UP_SECONDS = 9.0
"""Further wait, after STOP_SECONDS, until a cancelled run that does not stop counts as ended."""


class Run:
    """One execution of an event callback.

    Args:
        callback: the event callback.
        call: the arguments and the context of the call.
        output: the run's output, which takes its events.
        app: the app, for its error handler.
        settings: the limits, and whether the browser gets error details.
        before: awaited first; waits until the runs that this one replaces have stopped.
        attempt: number of starts of this run, this one included.
        task_logs: the logs that the generator reads Celery tasks from; None without a shared
            broker.
    """

    def __init__(
        self,
        callback: EventCallback,
        call: bridge.Call,
        output: Output,
        app: Dash | None,
        settings: Settings,
        before: Callable[[], Awaitable[object]] | None = None,
        attempt: int = 1,
        task_logs: task_log.TaskLogs | None = None,
    ) -> None:
        self.id = output.run
        self.callback = callback
        self.output = output
        self._call = call
        self._app = app
        self._settings = settings
        self._before = before
        self._attempt = attempt
        self._task_logs = task_logs
        self._encoder = Encoder(callback, settings, shows_errors(app, settings))
        self._side_updates = PushedUpdates(output.offer, settings.log_events, settings.log_bytes)
        self._push: Callable[[bytes], None] = self._side_updates.add
        self._limit: asyncio.Timeout | None = None
        self._stop_reason: Reason | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopper: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """Module and name of the callback's function, for log messages."""
        return self.callback.name

    @property
    def is_in_thread(self) -> bool:
        """Whether the run has a thread of its own."""
        return not self.callback.is_async

    def start(self, on_end: Callable[["Run"], None]) -> None:
        """Start the generator; `on_end` is called once, when it has stopped."""
        self._on_end = on_end
        self._task = asyncio.create_task(self._drive(), name=f"flash_events {self.callback.name}")
        self._task.add_done_callback(self._on_stopped)

    def stop(self, reason: Reason = Reason.CANCELLED) -> None:
        """Cancel the run: its generator's `finally` runs, then its `end` event is sent."""
        if self._task is None or self._task.done() or self._stopper is not None:
            return
        self._stop_reason = reason
        self._task.cancel()
        self._stopper = asyncio.create_task(self._give_up_unless_stopped(self._task))

    async def ended(self) -> None:
        """Wait until the generator has stopped, without a timeout."""
        if self._task is not None:
            await asyncio.wait({self._task})

    async def stopped(self, within_seconds: float = STOP_SECONDS) -> bool:
        """Wait until the generator has stopped, or the timeout is over; return whether it has."""
        if self._task is None:
            return True
        done, _ = await asyncio.wait({self._task}, timeout=within_seconds)
        return bool(done)

    def _on_stopped(self, task: asyncio.Task[None]) -> None:
        if not self.output.has_ended:  # the task was cancelled before its first step
            reason = Reason.LOST if task.cancelled() else Reason.ERROR
            self.output.end(self._stop_reason or reason)
        # Task and call refer to the run; without these cycles it needs no garbage collector.
        self._task = None
        self._call.deactivate()
        self._on_end(self)

    async def _give_up_unless_stopped(self, task: asyncio.Task[None]) -> None:
        if await self.stopped():
            return
        # No second cancel yet: the generator may be in its `finally`, which must not be cut short.
        logger.warning(
            "%s is still running %.0f s after it was cancelled. A plain generator stops at its "
            "next yield; an async generator must let asyncio.CancelledError pass.",
            self.callback.name,
            STOP_SECONDS,
        )
        if not await self.stopped(GIVE_UP_SECONDS):
            logger.error("%s does not stop; its updates are dropped.", self.callback.name)
            self.output.end(self._stop_reason or Reason.CANCELLED)
            task.cancel()

    async def _drive(self) -> None:
        """Run the generator to its end, and send one `end` event.

        The reason is `cancelled` only after a call of `stop`. A `CancelledError` alone is no proof:
        the body may have raised it, or awaited something that a library had cancelled.
        """
        task = asyncio.current_task()
        assert task is not None
        reason = Reason.DONE
        failure: Failure | None = None
        body: bytes | None = None
        try:
            if self._before is not None:
                await self._before()
            await self.output.start()
            consume = self._consume if self.callback.is_async else self._consume_in_thread
            if self.callback.timeout is None:
                await consume()
            else:
                async with asyncio.timeout(self.callback.timeout) as self._limit:
                    await consume()
                if self._is_late():  # the generator swallowed its cancellation
                    raise TimeoutError
        except PreventUpdate:
            pass
        except LogGone:
            self._stop_reason = Reason.LOST
        except BaseException as error:  # a generator may raise anything, even SystemExit
            if not is_running(task):
                raise
            if _ends_process(error):
                self._stop_reason = self._stop_reason or Reason.CANCELLED
                raise
            if self._stop_reason is None and ends_task(error, task) and _loop_ends():
                self._stop_reason = Reason.LOST
            if self._stop_reason is None:
                while task.cancelling():  # the body itself, or a library, has cancelled the task
                    task.uncancel()
                reason = Reason.ERROR
                failure, body = await self._handle(error)
            elif not isinstance(error, asyncio.CancelledError):
                logger.exception("%s failed while it was cancelled", self.callback.name)
        self.output.end(self._stop_reason or reason, self._side_updates.drain(), failure, body)

    def _is_late(self) -> bool:
        return self._limit is not None and self._limit.expired()

    async def _consume(self) -> None:
        self._activate()
        opened = context.Opened()
        context.opened.set(opened)
        generator = self.callback.function(*self._call.args, **self._call.kwargs)
        assert isinstance(generator, AsyncGenerator)
        encode = self._encoder.encode_yielded
        output, side_updates = self.output, self._side_updates
        turn_ends = perf_counter() + TURN_SECONDS
        try:
            async for item in generator:
                body = encode(item, generator)
                if body is not None:
                    if side_updates.is_waiting:
                        for side_update in side_updates.drain():
                            await output.send(side_update)
                    if not output.offer(body):
                        await output.send(body)
                if self._stop_reason:
                    return  # the generator swallowed its cancellation; `finally` closes it
                if perf_counter() > turn_ends:
                    if self._is_late():  # a check per turn is enough: turns are short
                        return
                    await asyncio.sleep(0)
                    turn_ends = perf_counter() + TURN_SECONDS
        finally:
            try:
                await generator.aclose()
            finally:
                opened.close()

    async def _consume_in_thread(self) -> None:
        generator = self.callback.function(*self._call.args, **self._call.kwargs)
        assert isinstance(generator, Generator)
        self._activate()

        def convert(item: Any) -> bytes | None:
            return self._encoder.encode_yielded(item, generator)

        thread = GeneratorThread(generator, convert, f"flash_events {self.callback.name}")
        self._push = thread.push
        async with thread:
            async for bodies in thread:
                for body in bodies:
                    if not self.output.offer(body):
                        await self.output.send(body)
                await asyncio.sleep(0)  # `thread` may not suspend while it has items

    def _activate(self) -> None:
        """Set `dash.ctx`, `dash.set_props` and this package's context variables for the generator.

        Updates from calls (rather than `yield`) are encoded at once and pushed.
        """
        self._call.activate(self._set_props)
        context.stream_aside.set(self._stream_aside)
        context.attempt.set(self._attempt)
        task_log.task_logs.set(self._task_logs)

    def _set_props(self, component_id: str, props: dict[str, Any]) -> None:
        self._stream_aside(stream_props(component_id, props))

    def _stream_aside(self, update: Update) -> None:
        body = self._encoder.encode_called(update)
        if body is not None:
            self._push(body)

    async def _handle(self, error: BaseException) -> tuple[Failure, bytes | None]:
        code = "callback_error"
        if isinstance(error, TimeoutError) and self._is_late():
            late = RunTimeout(f"It ran longer than timeout={self.callback.timeout} seconds.")
            late.__cause__ = error  # its traceback shows where the generator was
            error, code = late, "timeout"
        elif isinstance(error, asyncio.CancelledError):
            error = _aborted("The generator awaited something that was cancelled.", error)
        elif not isinstance(error, Exception):
            error = _aborted(f"The body raised {text_of(error)}", error)
        return await handle(
            error, code, self.callback, self._app, self._settings, self._call.activate
        )


def _aborted(message: str, cause: BaseException) -> RunAborted:
    error = RunAborted(message)
    error.__cause__ = cause
    return error


def _loop_ends() -> bool:
    """Return whether the event loop is shutting down: then all of its tasks are being cancelled."""
    return all(task.cancelling() for task in asyncio.all_tasks())


def _ends_process(error: BaseException) -> bool:
    """Return whether a signal handler that interrupted the body has called `sys.exit`.

    The process must exit then, as the processes of a Celery worker do when they are terminated.
    A signal handler is recognised by its argument, the interrupted frame.
    """
    return isinstance(error, SystemExit) and any(
        isinstance(frame.f_locals.get(name), FrameType)
        for frame, _ in walk_tb(error.__traceback__)
        for name in frame.f_code.co_varnames[: frame.f_code.co_argcount]
    )
