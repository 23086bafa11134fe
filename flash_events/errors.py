"""The exceptions of this package, grouped by who has to act.

A developer's mistake raises at import, at start-up or in the run. A client's mistake is a `Refused`
with an HTTP status. A callback's own exception ends its run with an `end` event and has no class
here.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from enum import StrEnum
from typing import NoReturn


class FlashEventsError(Exception):
    """Base class of this package's own errors, except `TaskStopped`.

    Catch it to handle all of them; catch a subclass to handle one.
    """


class ConfigurationError(FlashEventsError):
    """The app, a setting or the environment cannot serve event callbacks.

    Raised at start-up: the app is on Flask, a setting is unknown or has an invalid value, or Redis
    does not answer or its Python package is missing. Raised in a run or a task if something is
    missing that is first needed there, such as `FLASH_EVENTS_BROKER` in a Celery worker; `on_error`
    gets it then. The message says what to set or install.
    """


class CallbackError(FlashEventsError, TypeError):
    """`@event_callback` got a function or an argument that it cannot register.

    Raised at decoration, so when the module is imported. The message says what was expected, what
    came and what to write.
    """


class UpdateError(FlashEventsError, TypeError):
    """A value that was yielded, emitted or returned by `on_error` is not a valid update.

    Raised by `stream_props`, `track` and `emit` in the line that calls them, or by the run for the
    value that it got from `yield`. The message says what to write instead.
    """


class EncodingError(UpdateError):
    """A value of an update has no JSON form, or the update is larger than `max_event_bytes`.

    The message names the component id, the prop and the type. Convert the value, send less at a
    time, or raise the setting.
    """


class TooManyWaiting(UpdateError):
    """Too many updates of `dash.set_props` wait for a slow page.

    Raised by `dash.set_props` in a run. It cannot make the generator wait, so there is a limit:
    yield `stream_props(id, props)` instead, which waits until the page has caught up.
    """


class RunTimeout(FlashEventsError, TimeoutError):
    """A run took longer than its `timeout`, or than Celery's hard time limit.

    `on_error` gets it. Raise the limit, or split the work.
    """


class RunAborted(FlashEventsError):
    """The body of a run raised something that is not an `Exception`; see `__cause__`.

    Examples are `SystemExit`, `KeyboardInterrupt`, `asyncio.CancelledError` and the panics of Rust
    libraries. `on_error` always gets an `Exception`, so it gets this one.
    """


class RunRefused(FlashEventsError):
    """The server refused to start a run.

    `on_error` gets it, in the web server. Check `code` to tell the user what to do: a file that is
    `too_large`, for example. The table *Refusals* of the protocol page lists all codes.

    Args:
        code: a short, stable word for the reason, such as `too_large` or `bad_inputs`.
        message: what was expected, what came, and what to do.

    Attributes:
        code: a short, stable word for the reason.
        message: what was expected, what came, and what to do.
    """

    code: str
    message: str

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return self.message


class WorkerLost(FlashEventsError):
    """The process that ran a run, or a task that a run streams, has died.

    `on_error` gets it when a Celery worker is killed, for example because it ran out of memory. The
    body's `finally` has not run. With `task_acks_late` and `task_reject_on_worker_lost` Celery
    starts the run again in another worker instead.
    """


class BrokerError(FlashEventsError):
    """Redis refused a command, or did not answer for `broker_outage_seconds`.

    Raised in a run by `stream_task`, if it cannot open the log that its tasks write to; `on_error`
    gets it then. Everywhere else the run waits, and then ends as `lost`.
    """


class StoreUnavailable(FlashEventsError):
    """The store of topics and shared values refused a command, or did not answer in time.

    Raised by `publish` and `set` after `publish_timeout` seconds. The message may have been stored:
    publish it again with the same `key` to have it exactly once.
    """


class Conflict(FlashEventsError):
    """Somebody else has published in the meantime.

    Raised by `publish(expect=...)` if the last offset is another one, and by `update` if that was
    so at every try.

    Args:
        offset: the last offset.

    Attributes:
        offset: the last offset.
    """

    def __init__(self, offset: int) -> None:
        super().__init__(f"Another message has come first; the last offset is {offset}.")
        self.offset = offset


class TopicOverflow(FlashEventsError):
    """A reader with `overflow="error"` was so slow that messages are not kept any more.

    Args:
        missed: number of messages that it has missed.

    Attributes:
        missed: number of messages that it has missed.
    """

    def __init__(self, missed: int) -> None:
        super().__init__(
            f"{missed} messages were missed: the reader is slower than the history lasts. Declare "
            'the topic with a larger history, or subscribe with overflow="skip".'
        )
        self.missed = missed


class AskError(FlashEventsError):
    """Base of the errors of requests to other workers."""


class WorkerGone(AskError):
    """Raised if the worker that was asked has ended or died."""


class NoAnswer(AskError, TimeoutError):
    """Raised if the worker that was asked has not answered before the timeout.

    It may still execute the request.
    """


class RequestFailed(AskError):
    """Raised if the worker that was asked raised an exception, which the message names."""


class GoneCause(StrEnum):
    """The reason why an event log can no longer be read or written; the value is a message."""

    DROPPED = "The event log was deleted: its client has left, or its writers were cancelled."
    NOT_KEPT = "The events after this id are no longer kept."
    TAKEN_OVER = "Another worker has taken over the event log, or the run that wrote to it."
    UNREADABLE = "The broker has refused the event log, or did not answer for too long."


class LogGone(FlashEventsError):
    """Raised if an event log is gone, or no longer has the events after a given one.

    Args:
        cause: the reason.

    Attributes:
        cause: the reason.
    """

    def __init__(self, cause: GoneCause) -> None:
        super().__init__(cause.value)
        self.cause = cause


class LogFull(FlashEventsError):
    """An event log already has the maximum number of runs."""


class Refused(FlashEventsError):
    """A request that gets an HTTP error instead of a stream.

    Args:
        status: the HTTP status.
        code: a short stable word for programs.
        message: what was expected, what came, what to do; safe to show to the client.
        retry_after_seconds: sent as `Retry-After` if given.
        limit: the setting whose limit was reached, if that is the reason.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        retry_after_seconds: int | None = None,
        limit: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after_seconds = retry_after_seconds
        self.limit = limit


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a sentence with the known name that is most similar to an unknown one, or with all."""
    names = sorted(known)
    near = nearest(name, names)
    return f"Did you mean {near}?" if near else f"Known are: {', '.join(names)}."


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most similar to a name; None if none is similar."""
    names = list(known)
    parts = [one for one in names if len(name) > 3 and name in one]
    return next(iter(get_close_matches(name, names, n=1) or parts), None)


def too_many(what: str, setting: str) -> Refused:
    """Return a refusal (429) that names the setting whose limit was reached."""
    message = f"Too many {what}; the limit is the setting {setting}."
    return Refused(429, "too_many", message, retry_after_seconds=5, limit=setting)


def too_large(size: int | None, limits: Mapping[str, int]) -> Refused:
    """Return a refusal (413) that names the settings to increase.

    Args:
        size: size of the body in bytes, if it is known.
        limits: the exceeded limits in bytes, by the name of their setting.
    """
    has = "is too large" if size is None else f"has {size:,} bytes"
    allowed = " and ".join(f"{most:,} by {name}" for name, most in limits.items())
    return Refused(413, "too_large", f"The request {has}; allowed are {allowed}.")


class NoResponse:
    """The `ctx.response` of an event callback, which raises: the response was already sent."""

    __slots__ = ()

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"ctx.response.{name}: an event callback has no response to set anything on; its start "
            "was answered before it began. Set cookies and headers in an ordinary callback."
        )
