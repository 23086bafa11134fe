"""Errors of runs: logged in full, passed to error handlers, sent to the browser without details."""

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import replace
from inspect import isawaitable
from typing import Any

from dash import Dash

from flash_events import bridge
from flash_events.errors import EncodingError, Refused, RunRefused
from flash_events.registration import EventCallback
from flash_events.runs.encoder import Encoder
from flash_events.runs.traces import shown_trace, text_of
from flash_events.settings import Settings
from flash_events.updates import Update, as_update, stream_props
from flash_events.wire.events import Failure

logger = logging.getLogger(__name__)

OnSetProps = Callable[[str, dict[str, Any]], None]


async def handle(
    error: Exception,
    code: str,
    callback: EventCallback,
    app: Dash | None,
    settings: Settings,
    activate: Callable[[OnSetProps], object] | None = None,
) -> tuple[Failure, bytes | None]:
    """Log an error and call the error handler of its callback or app.

    Args:
        error: the exception that ended the run.
        code: a short, stable word for the kind of error, such as "timeout".
        callback: the event callback that failed.
        app: the app, whose `on_error` is the fallback handler.
        settings: the limits, and whether the browser gets error details.
        activate: makes `dash.ctx` and `dash.set_props` work in the handler. Without it, the handler
            gets a `dash.ctx` that has no Inputs.

    Returns:
        The failure as the browser may see it, and the handler's encoded update or None.
    """
    ref = secrets.token_hex(4)
    logger.error("%s failed (ref %s)", callback.name, ref, exc_info=error)
    failure = Failure(code, ref)
    if is_shown := shows_errors(app, settings):
        failure = _shown(failure, error, callback, app)
    activate = activate or bridge.empty_call().activate
    body, raised = await _answer(error, ref, callback, app, settings, activate)
    if raised is not None and is_shown:
        also = shown_trace(
            raised, callback.on_error or callback.function, bridge.prunes_errors(app)
        )
        failure = replace(failure, trace=f"{failure.trace}\nThen on_error failed: {also}")
    return failure, body


async def handle_refusal(
    refusal: Refused, callback: EventCallback, app: Dash, settings: Settings
) -> bytes | None:
    """Call the error handler of a callback or app for a start that was refused.

    Returns:
        The handler's update, encoded by `encode_update`; None if it sets nothing.
    """
    ref, error = secrets.token_hex(4), RunRefused(refusal.code, refusal.message)
    error.__cause__ = refusal.__cause__
    message = "A start of %s was refused as %s (ref %s). %s"
    logger.warning(message, callback.name, error.code, ref, error.message)
    activate = bridge.empty_call().activate
    body, _ = await _answer(error, ref, callback, app, settings, activate)
    return body


async def _answer(
    error: Exception,
    ref: str,
    callback: EventCallback,
    app: Dash | None,
    settings: Settings,
    activate: Callable[[OnSetProps], object],
) -> tuple[bytes | None, BaseException | None]:
    """Return the handler's encoded update, and the exception that the handler raised."""
    task = asyncio.current_task()
    encoder = Encoder(callback, settings)
    pushed: list[Update] = []

    def push(component_id: str, props: dict[str, Any]) -> None:
        update = stream_props(component_id, props)
        encoder.encode(update)  # raises in the handler's own line if the update cannot be sent
        pushed.append(update)

    def encoded(*answer: Any) -> bytes | None:
        return encoder.encode([*pushed, *answer])

    activate(push)
    try:
        if callback.on_error is None:
            bridge.call_app_on_error(app, error)
            return encoded(), None
        answer = callback.on_error(error)
        if isawaitable(answer):
            answer = await answer
        return encoded(as_update(answer, "return")), None
    except BaseException as raised:  # a handler that fails must not hide the error that it handles
        if ends_task(raised, task):
            raise
        logger.exception("on_error of %s failed (ref %s)", callback.name, ref)
        failed = raised
    try:
        return encoded(), failed
    except EncodingError:  # each can be sent, but together they are too large; logged above
        return None, failed


def shows_errors(app: Dash | None, settings: Settings) -> bool:
    """Return whether the browser gets the message and the traceback of an error (debug mode)."""
    return bridge.is_debug(app) if settings.debug is None else settings.debug


def _shown(
    failure: Failure, error: Exception, callback: EventCallback, app: Dash | None
) -> Failure:
    return replace(
        failure,
        message=text_of(error),
        callback=callback.name,
        trace=shown_trace(error, callback.function, bridge.prunes_errors(app)),
    )


def ends_task(error: BaseException, task: "asyncio.Task[Any] | None") -> bool:
    """Return whether an exception in a task comes from outside the task.

    That is a cancellation of the task, or its disposal after its loop has ended. An exception that
    the task's own code has raised does not count, whatever its class.
    """
    if not is_running(task):
        return True
    return isinstance(error, asyncio.CancelledError) and bool(task and task.cancelling())


def is_running(task: "asyncio.Task[Any] | None") -> bool:
    """Return whether a task is the current one; a task that is being disposed of is not."""
    try:
        return asyncio.current_task() is task
    except RuntimeError:  # no loop runs
        return False
