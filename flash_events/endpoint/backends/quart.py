"""Dash on Quart: `Dash(backend="quart")`, under hypercorn or another ASGI server.

Tasks take along the context that they are created in. So a run keeps the request that started it:
`quart.request` and `quart.session` are readable for as long as it lives. But Quart's request refers
to the server's connection, closed long ago (it could push on it, in HTTP/2): transport, buffers,
parser and streams are 20 KB a run under hypercorn. So a run gets a copy without these.
"""

import copy
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from quart import Quart, Response, request
from quart import globals as quart_globals
from werkzeug.exceptions import RequestEntityTooLarge, RequestTimeout

from flash_events.endpoint.backends.base import Handler, Hook, Request
from flash_events.errors import Refused, too_large

MAX_CONTENT_LENGTH = 'app.server.config["MAX_CONTENT_LENGTH"]'
"""What sets Quart's own limit of a body."""

KEPT_BODY_BYTES = 2**20
"""A run can read the body of its request, unless that is larger."""

VARIABLES: tuple[ContextVar[Any] | None, ...] = tuple(
    getattr(quart_globals, name, None) for name in ("_cv_app", "_cv_request")
)
"""Hold Quart's contexts of app and request, in Quart 0.22. Where they are missing or hold something
else, runs keep what there is: that costs memory, and nothing else."""


SCOPE = ("type", "client", "server", "state")
"""What is kept of the ASGI scope; the request itself has the rest."""


class QuartBackend:
    """The Quart application behind an app."""

    def __init__(self, server: Quart) -> None:
        self._server = server

    def view(self, handle: Handler) -> Callable[[], Awaitable[Response]]:
        async def view() -> Response:
            headers = {name.lower(): value for name, value in request.headers.items()}
            is_read = False
            with _detached_request() as read_body:

                async def read() -> bytes:
                    nonlocal is_read
                    try:
                        data = await read_body()
                    except RequestEntityTooLarge:
                        raise too_large(None, limits) from None
                    except RequestTimeout:
                        raise _too_slow(request.body_timeout) from None
                    is_read = True
                    return data

                most = request.max_content_length
                limits = {} if most is None else {MAX_CONTENT_LENGTH: most}
                reply = await handle(Request(headers, request.args, read, request, limits))
            if reply.stream is None:
                # Hypercorn closes the connection of a body that is still on its way, and does not
                # say so: the client would send its next request there.
                is_http1 = request.http_version.startswith("1")
                ends = {"Connection": "close"} if is_http1 and not is_read else {}
                return Response(reply.content, reply.status, {**reply.headers, **ends})
            response = Response(reply.stream, reply.status, {**reply.headers})
            response.timeout = None  # Quart's RESPONSE_TIMEOUT would end streams in a minute
            return response

        return view

    def on_serving(self, start: Hook, close: Hook) -> None:
        self._server.before_serving(start)
        self._server.after_serving(close)


@contextmanager
def _detached_request() -> Iterator[Callable[[], Awaitable[bytes]]]:
    """Whatever is created inside the block keeps a copy of the current request.

    Yields what reads the body; the copy has it once it was read.
    """
    get_data: Callable[..., Awaitable[bytes]] = request.get_data
    contexts: list[Any] = [variable and variable.get(None) for variable in VARIABLES]
    app_context, request_context = contexts
    if app_context is None or not hasattr(request_context, "request_websocket"):
        yield get_data
        return
    detached = copy.copy(request_context.request_websocket)
    detached._send_push_promise = _push_nothing
    scope = getattr(detached, "scope", {})
    detached.scope = {name: value for name, value in scope.items() if name in SCOPE}
    copies: list[Any] = [copy.copy(app_context), copy.copy(request_context)]
    for context in copies:
        context._cv_tokens = []  # these lead to the server's tasks
    copies[1].request_websocket = detached

    async def read() -> bytes:
        data = await get_data()
        detached.body = _Body(data if len(data) <= KEPT_BODY_BYTES else b"")
        return data

    tokens = [
        (variable, variable.set(context))
        for variable, context in zip(VARIABLES, copies, strict=True)
        if variable is not None
    ]
    try:
        yield read
    finally:
        for variable, token in tokens:
            variable.reset(token)


def _too_slow(seconds: float | None) -> Refused:
    return Refused(
        408,
        "too_slow",
        f"The request did not arrive within {seconds} seconds. For slow lines, raise "
        'app.server.config["BODY_TIMEOUT"].',
    )


async def _push_nothing(*_args: Any) -> None:
    """The connection has been answered."""


class _Body:
    """A body that has come; Quart's own has two events, which are 1.8 KB."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __await__(self) -> Generator[Any, None, bytes]:
        return self._data
        yield

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._data

    def clear(self) -> None:
        self._data = b""
