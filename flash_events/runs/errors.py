"""Errors of runs: logged in full, answered by handlers, shown to the browser without their text."""

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
    """Logs an error, lets the callback's or the app's handler answer it, hides its text.

    Args:
        error: what has failed the run.
        code: a short stable word for it.
        callback: whose run it was.
        app: for its error handler.
        settings: limits, and whether errors show their text.
        activate: makes `dash.ctx` and `dash.set_props` work in the handlers; without it there is a
            `dash.ctx` that has no Inputs.

    Returns:
        What the browser may know, and what it shall apply.
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
    """Let the callback's or the app's handler answer a start that was refused.

    Returns:
        What the browser shall apply, as `encode_update` returns it.
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
    """Returns what the handler streams, and what it has raised."""
    task = asyncio.current_task()
    encoder = Encoder(callback, settings)
    pushed: list[Update] = []

    def push(component_id: str, props: dict[str, Any]) -> None:
        update = stream_props(component_id, props)
        encoder.encode(update)  # the handler is told what cannot be sent
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
    except EncodingError:  # each can be sent; together they are too large, as was logged
        return None, failed


def shows_errors(app: Dash | None, settings: Settings) -> bool:
    """Returns whether a browser may know the text and the place of an error."""
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
    """Returns whether an exception that code of a task sees ends the task from outside.

    That is a cancellation of the task, or its disposal after its loop has ended. False for an
    exception that code of the task has raised by itself, whatever its class.
    """
    if not is_running(task):
        return True
    return isinstance(error, asyncio.CancelledError) and bool(task and task.cancelling())


def is_running(task: "asyncio.Task[Any] | None") -> bool:
    """Returns whether a task is the one that runs now: one that is thrown away does not."""
    try:
        return asyncio.current_task() is task
    except RuntimeError:  # no loop runs
        return False
