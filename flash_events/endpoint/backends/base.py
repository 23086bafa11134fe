"""Interface between the endpoint and a web framework."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from flash_events.endpoint.replies import Reply


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request, independent of the web framework.

    Attributes:
        headers: the headers, with names in lower case.
        query: the query parameters.
        read: function that reads the body; raises `Refused` if the framework refuses it.
        native: the framework's own request, for `identify`.
        limits: the framework's own limits of the body in bytes, by the name of their setting.
    """

    headers: Mapping[str, str]
    query: Mapping[str, str]
    read: Callable[[], Awaitable[bytes]]
    native: Any
    limits: Mapping[str, int] = field(default_factory=dict)


Handler = Callable[[Request], Awaitable[Reply]]
Hook = Callable[[], Awaitable[None]]


class Backend(Protocol):
    """A web framework that Dash runs on."""

    def view(self, handle: Handler) -> Callable[..., Awaitable[Any]]:
        """Return the framework's view function for a route.

        Tasks that `handle` creates keep a copy of the request without its HTTP connection.
        """

    def on_serving(self, start: Hook, close: Hook) -> None:
        """Register `start()` to be awaited before a worker serves, and `close()` after it stops."""
