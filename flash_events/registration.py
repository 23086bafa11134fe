"""The event callbacks of this process: what each decorated function is registered as."""

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Any

from flash_events import options
from flash_events.task_queue import RunQueue


@dataclass(frozen=True, slots=True)
class EventCallback:
    """A decorated generator function with everything that was said about it.

    Attributes:
        id: the same in every process that imports the function.
        function: the generator function, as written.
        is_async: driven on the event loop; otherwise in a thread.
        match_keys: the keys of its Inputs' ids that are MATCH.
        on_error: gets the exception; may return updates.
        timeout: seconds that a run may last, or None.
        is_kept: its runs go on without a viewer.
        queue: brings its runs to the workers of a task queue; None for the web's own workers.
    """

    id: str
    function: Callable[..., AsyncIterator[Any] | Iterator[Any]]
    is_async: bool
    match_keys: frozenset[str]
    on_error: options.OnError | None
    timeout: float | None
    is_kept: bool = False
    queue: RunQueue | None = None

    @property
    def name(self) -> str:
        """Module and name of the function, for log lines."""
        return f"{self.function.__module__}.{self.function.__qualname__}"


_registered: dict[Any, tuple[EventCallback, dict[str, Any]]] = {}
"""By decorated function: what it is registered as, and what the browser knows of it."""


def remember(function: Any, callback: EventCallback, spec: dict[str, Any]) -> None:
    """Notes what a decorated function is registered as, and what the browser knows of it."""
    _registered[function] = callback, spec


def registered(function: Callable[..., Any]) -> tuple[EventCallback, dict[str, Any]]:
    """What a decorated function is registered as, and what the browser knows of it.

    Raises:
        TypeError: it is no event callback.
    """
    try:
        return _registered[function]
    except (KeyError, TypeError):
        name = getattr(function, "__name__", repr(function))
        is_called = inspect.isgenerator(function) or inspect.isasyncgen(function)
        cure = f" Write {name}, and not {name}(...)." if is_called else ""
        raise TypeError(
            f"Expected a function with @event_callback(...), got {type(function).__name__} {name}."
            f"{cure}"
        ) from None


def is_registered(function: Any) -> bool:
    """Whether a function is an event callback."""
    return function in _registered


def is_event_callback(code: CodeType) -> bool:
    """Whether this is the code of a decorated function."""
    return any(inspect.unwrap(function).__code__ is code for function in list(_registered))
