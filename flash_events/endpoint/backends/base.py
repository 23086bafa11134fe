"""What the endpoint knows of a web framework: requests come in, replies go out."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from flash_events.endpoint.replies import Reply


@dataclass(frozen=True, slots=True)
class Request:
    """A request, free of any web framework.

    Attributes:
        headers: with names in lower case.
        query: the parameters of its URL.
        read: reads its body; raises `Refused` where the framework does not let it.
        native: the framework's own, for `identify`.
        limits: the framework's own limits of a body in bytes, by what sets them.
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
        """What the framework calls for a route.

        Whatever `handle` creates keeps a copy of the request, without the connection it came on.
        """

    def on_serving(self, start: Hook, close: Hook) -> None:
        """Has `start()` awaited before a worker serves, and `close()` when it has stopped."""
