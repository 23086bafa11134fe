"""The event callbacks of this process, by decorated function."""

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Any

from flash_events import options
from flash_events.task_queue import RunQueue

EventFunction = Callable[..., AsyncIterator[object] | Iterator[object]]
"""A generator function with `@event_callback`; what it yields is checked in the run."""


@dataclass(frozen=True, slots=True)
class EventCallback:
    """A decorated generator function with its options.

    Attributes:
        id: the id, the same in every process that imports the function.
        function: the generator function, as written.
        is_async: whether runs are driven on the event loop; otherwise each has a thread.
        match_keys: the keys with MATCH in the ids of its Inputs.
        on_error: function that is called with the exception of a failed run, and may return
            updates.
        timeout: maximum duration of a run in seconds; None for no limit.
        is_kept: whether its runs go on without a viewer.
        queue: task queue whose workers drive its runs; None for the workers of the web server.
    """

    id: str
    function: EventFunction
    is_async: bool
    match_keys: frozenset[str]
    on_error: options.OnError | None
    timeout: float | None
    is_kept: bool = False
    queue: RunQueue | None = None

    @property
    def name(self) -> str:
        """Module and name of the function, for log messages."""
        return f"{self.function.__module__}.{self.function.__qualname__}"


_registered: dict[Any, tuple[EventCallback, dict[str, Any]]] = {}
"""Event callback, and its spec for the browser (`options.spec_of`), by decorated function."""


def remember(function: Any, callback: EventCallback, spec: dict[str, Any]) -> None:
    """Store the event callback of a decorated function, and its spec for the browser."""
    _registered[function] = callback, spec


def registered(function: Callable[..., Any]) -> tuple[EventCallback, dict[str, Any]]:
    """Return the event callback of a decorated function, and its spec for the browser.

    Raises:
        TypeError: if the function is not an event callback.
    """
    try:
        return _registered[function]
    except (KeyError, TypeError):
        name = getattr(function, "__name__", repr(function))
        is_called = inspect.isgenerator(function) or inspect.isasyncgen(function)
        cure = f" Write {name}, not {name}(...)." if is_called else ""
        raise TypeError(
            f"Expected a function with @event_callback(...), got {type(function).__name__} {name}."
            f"{cure}"
        ) from None


def is_registered(function: Any) -> bool:
    """Whether a function is an event callback."""
    return function in _registered


def is_event_callback(code: CodeType) -> bool:
    """Return whether this is the code of a decorated function."""
    return any(inspect.unwrap(function).__code__ is code for function in list(_registered))
