"""Runs: one execution of an event callback, driven into an event log."""

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
"""A generator that never awaits gives way to the worker's other work this often."""

GIVE_UP_SECONDS = 9.0
"""After this further time a cancelled run counts as ended, whatever its generator does."""


class Run:
    """One execution of an event callback.

    Args:
        callback: whose generator is driven.
        call: its arguments and context.
        output: takes its events.
        app: for its error handler.
        settings: limits, and whether errors show their text.
        before: awaited first: that the runs which it replaces have stopped.
        attempt: how often it has begun, this time included.
        task_logs: for what its generator streams of tasks; None without a shared broker.
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

    def start(self, on_end: Callable[["Run"], None]) -> None:
        """Begins to drive the generator; `on_end` is called once, when it has stopped."""
        self._on_end = on_end
        self._task = asyncio.create_task(self._drive(), name=f"flash_events {self.callback.name}")
        self._task.add_done_callback(self._on_stopped)

    def stop(self, reason: Reason = Reason.CANCELLED) -> None:
        """Cancels the run: its generator's `finally` runs, then its `end` event is sent."""
        if self._task is None or self._task.done() or self._stopper is not None:
            return
        self._stop_reason = reason
        self._task.cancel()
        self._stopper = asyncio.create_task(self._insist(self._task))

    async def ended(self) -> None:
        """Waits until the generator has stopped, however long that takes."""
        if self._task is not None:
            await asyncio.wait({self._task})

    async def stopped(self, within_seconds: float = STOP_SECONDS) -> bool:
        """Waits until the generator has stopped; says whether it has."""
        if self._task is None:
            return True
        done, _ = await asyncio.wait({self._task}, timeout=within_seconds)
        return bool(done)

    def _on_stopped(self, task: asyncio.Task[None]) -> None:
        if not self.output.has_ended:  # it may never have begun
            unasked = Reason.LOST if task.cancelled() else Reason.ERROR
            self.output.end(self._stop_reason or unasked)
        # Task and call refer to the run, which is not to wait for the garbage collector.
        self._task = None
        self._call.deactivate()
        self._on_end(self)

    async def _insist(self, task: asyncio.Task[None]) -> None:
        if await self.stopped():
            return
        # No second cancel yet: the generator may be in its `finally`, which must not be cut short.
        logger.warning(
            "%s goes on %.0f s after it was cancelled. A plain generator stops at its next yield; "
            "an async one must let asyncio.CancelledError pass.",
            self.callback.name,
            STOP_SECONDS,
        )
        if not await self.stopped(GIVE_UP_SECONDS):
            logger.error("%s does not stop; its updates are no longer sent.", self.callback.name)
            self.output.end(self._stop_reason or Reason.CANCELLED)
            task.cancel()

    async def _drive(self) -> None:
        """Runs the generator to its end, whatever that is, and sends one `end` event.

        The reason is `cancelled` only if somebody asked for that (`stop`). A `CancelledError` says
        nothing: the body may have raised it, or awaited something that a library had cancelled.
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
        except BaseException as error:  # a generator may raise what it likes, SystemExit, too
            if not is_running(task):
                raise
            if _ends_process(error):  # somebody has asked for that
                self._stop_reason = self._stop_reason or Reason.CANCELLED
                raise
            if self._stop_reason is None and ends_task(error, task) and _loop_ends():
                self._stop_reason = Reason.LOST
            if self._stop_reason is None:
                while task.cancelling():  # by the body itself, or by a library
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
                    return  # the generator swallowed its cancellation, and is closed now
                if perf_counter() > turn_ends:
                    if self._is_late():  # soon enough: a time-out takes longer than a turn
                        return
                    await asyncio.sleep(0)
                    turn_ends = perf_counter() + TURN_SECONDS
        finally:
            await generator.aclose()

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
                await asyncio.sleep(0)  # more may be there already

    def _activate(self) -> None:
        """Sets what the generator's code finds around it: `dash.ctx`, and the variables of a run.

        Updates that do not come by `yield` are pushed, encoded.
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
            late.__cause__ = error  # its traceback says where the generator was
            error, code = late, "timeout"
        elif isinstance(error, asyncio.CancelledError):
            error = _aborted("Something that the generator awaits was cancelled.", error)
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
    """Whether the event loop is about to end: every task of it is cancelled then."""
    return all(task.cancelling() for task in asyncio.all_tasks())


def _ends_process(error: BaseException) -> bool:
    """Returns whether a signal handler, which has interrupted the body, has called `sys.exit`.

    The process is to end then, as the processes of a Celery worker do when they are terminated. A
    handler gets the frame that it has interrupted, and no other function does.
    """
    return isinstance(error, SystemExit) and any(
        isinstance(frame.f_locals.get(name), FrameType)
        for frame, _ in walk_tb(error.__traceback__)
        for name in frame.f_code.co_varnames[: frame.f_code.co_argcount]
    )
