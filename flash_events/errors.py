"""What can go wrong, named by whose fault it is.

A mistake of the developer raises at import or in the run, a mistake of the client is a
`Refused` with an HTTP status, a callback's own failure is an `end` event and no class here.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from enum import StrEnum
from typing import NoReturn


class FlashEventsError(Exception):
    """Base of every error that this package raises."""


class ConfigurationError(FlashEventsError):
    """The app, a setting or the environment cannot serve event callbacks."""


class CallbackError(FlashEventsError, TypeError):
    """`@event_callback` was given something that it cannot register."""


class UpdateError(FlashEventsError, TypeError):
    """Something that was yielded or streamed is not an update."""


class EncodingError(UpdateError):
    """A value of an update cannot be sent as JSON, or is larger than an event may be."""


class TooManyWaiting(UpdateError):
    """Updates that do not come by `yield` wait for a slow reader, more than may."""


class RunTimeout(FlashEventsError, TimeoutError):
    """A run lasted longer than its callback's `timeout`, or than Celery's hard time limit."""


class RunAborted(FlashEventsError):
    """A run's body raised something that is no `Exception`, which is the `__cause__` of this.

    `SystemExit`, `KeyboardInterrupt`, `asyncio.CancelledError` and the panics of Rust libraries are
    examples. An `on_error` handler is always called with an `Exception`, so it gets this one.
    """


class RunRefused(FlashEventsError):
    """A run could not be started: the server has refused its start. `on_error` gets this.

    Args:
        code: a short stable word for the reason, such as `too_large` or `bad_inputs`.
        message: what was expected, what came, and what to do.

    Attributes:
        code: as given.
        message: as given.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return self.message


class WorkerLost(FlashEventsError):
    """The process that drove a run, or a streamed task, has died."""


class BrokerError(FlashEventsError):
    """The broker has refused a command, or has not answered for longer than may be."""


class AskError(FlashEventsError):
    """Another worker has given no answer to a request."""


class WorkerGone(AskError):
    """The worker that was asked has ended, or has died."""


class NoAnswer(AskError, TimeoutError):
    """The worker that was asked has not answered in time; it may still do what was asked."""


class RequestFailed(AskError):
    """The worker that was asked has raised an exception, which the message names."""


class GoneCause(StrEnum):
    """Why an event log is gone for the one who reads it or writes to it."""

    DROPPED = "The event log was dropped, as its client has left or its writers were cancelled."
    NOT_KEPT = "The events after this id are no longer kept."
    TAKEN_OVER = "Another worker has taken over the event log, or the run that wrote to it."
    UNREADABLE = "The broker has refused the event log, or did not answer for too long."


class LogGone(FlashEventsError):
    """An event log no longer has what follows the requested event, or is gone altogether."""

    def __init__(self, cause: GoneCause) -> None:
        super().__init__(cause.value)
        self.cause = cause


class LogFull(FlashEventsError):
    """As many runs use an event log as may."""


class Refused(FlashEventsError):
    """A request that is answered with an HTTP error before a stream begins.

    Args:
        status: the HTTP status.
        code: a short stable word for programs.
        message: expected, got, cure; safe to show to the client.
        retry_after_seconds: sent as `Retry-After` where given.
        limit: the setting that was reached, if it was one.
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
    """Asks for the known name nearest to a name that is not known; lists them if none is near."""
    names = sorted(known)
    near = nearest(name, names)
    return f"Did you mean {near}?" if near else f"Known are: {', '.join(names)}."


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like a name; None if none is like it."""
    names = list(known)
    parts = [one for one in names if len(name) > 3 and name in one]
    return next(iter(get_close_matches(name, names, n=1) or parts), None)


def too_many(what: str, setting: str) -> Refused:
    """A refusal that says which limit was reached."""
    message = f"Too many {what}; the limit is the setting {setting}."
    return Refused(429, "too_many", message, retry_after_seconds=5, limit=setting)


def too_large(size: int | None, limits: Mapping[str, int]) -> Refused:
    """A refusal (413) that names what has to be raised.

    Args:
        size: of the body, if it is known.
        limits: those that it is over, by what sets them.
    """
    has = "is too large" if size is None else f"has {size:,} bytes"
    allowed = " and ".join(f"{most:,} by {name}" for name, most in limits.items())
    return Refused(413, "too_large", f"The request {has}; allowed are {allowed}.")


class NoResponse:
    """Stands where Dash has a response to set cookies and headers on, which is never sent."""

    __slots__ = ()

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"ctx.response.{name}: an event callback has no response to set anything on; its start "
            "was answered before it began. Set cookies and headers in an ordinary callback."
        )
