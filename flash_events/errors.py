"""The exceptions of this package.

A mistake of the developer raises at import or in the run. A mistake of the client is a `Refused`
with an HTTP status. The failure of a callback is an `end` event, without a class here.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from enum import StrEnum
from typing import NoReturn


class FlashEventsError(Exception):
    """Base of every error that this package raises."""


class ConfigurationError(FlashEventsError):
    """Raised if event callbacks cannot work with the app, a setting or the environment."""


class CallbackError(FlashEventsError, TypeError):
    """Raised by `@event_callback` if it cannot register a function or an option."""


class UpdateError(FlashEventsError, TypeError):
    """Raised if a yielded or streamed value is not an update."""


class EncodingError(UpdateError):
    """Raised if a value of an update has no JSON form, or the update exceeds the size limit."""


class TooManyWaiting(UpdateError):
    """Raised if too many updates of calls (not of `yield`) wait for a slow reader."""


class RunTimeout(FlashEventsError, TimeoutError):
    """Passed to `on_error` if a run exceeds its `timeout`, or Celery's hard time limit."""


class RunAborted(FlashEventsError):
    """Passed to `on_error` if a generator raises a `BaseException` that is not an `Exception`.

    Examples are `SystemExit`, `KeyboardInterrupt`, `asyncio.CancelledError` and panics of Rust
    libraries. The original exception is the `__cause__`.
    """


class RunRefused(FlashEventsError):
    """Passed to `on_error` if the server has refused to start a run.

    Args:
        code: a short, stable word for the reason, such as `too_large` or `bad_inputs`.
        message: a sentence with the reason and the cure.

    Attributes:
        code: the code.
        message: the message.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return self.message


class WorkerLost(FlashEventsError):
    """Passed to `on_error` if the worker process of a run has died."""


class BrokerError(FlashEventsError):
    """Raised if the broker refuses a command, or does not answer before a timeout."""


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
    """Raised if an event log has its maximum number of runs."""


class Refused(FlashEventsError):
    """Raised to answer a request with an HTTP error, before a stream begins.

    Args:
        status: the HTTP status.
        code: a short, stable word for programs.
        message: a sentence with the reason and the cure; safe to show to the client.
        retry_after_seconds: the value of the `Retry-After` header; None for no header.
        limit: the name of the setting whose limit was reached, if any.
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
