"""Dash on Quart: `Dash(backend="quart")`, under hypercorn or another ASGI server.

A task keeps the context in which it was created, so a run keeps the request that started it:
`quart.request` and `quart.session` stay readable during the run. But Quart's request also refers to
the server's connection (for HTTP/2 push), whose transport, buffers, parser and streams take 20 KB
per run under hypercorn, even when it is closed. So a run gets a copy without the connection.
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
"""The setting of Quart's own body limit."""

KEPT_BODY_BYTES = 2**20
"""Maximum size of a request body that stays readable during the run."""

VARIABLES: tuple[ContextVar[Any] | None, ...] = tuple(
    getattr(quart_globals, name, None) for name in ("_cv_app", "_cv_request")
)
"""The context variables of Quart 0.22 for its app and request contexts. If another version has none
of these, runs keep the original request, which only costs memory."""


SCOPE = ("type", "client", "server", "state")
"""Keys of the ASGI scope that the copy keeps; the request has the others as attributes."""


class QuartBackend:
    """The adapter for the Quart application of an app."""

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
                # Hypercorn closes a connection whose request body was not read, without a header
                # that announces it: the client would send its next request there.
                is_http1 = request.http_version.startswith("1")
                ends = {"Connection": "close"} if is_http1 and not is_read else {}
                return Response(reply.content, reply.status, {**reply.headers, **ends})
            response = Response(reply.stream, reply.status, {**reply.headers})
            response.timeout = None  # Quart's RESPONSE_TIMEOUT ends responses after one minute
            return response

        return view

    def on_serving(self, start: Hook, close: Hook) -> None:
        self._server.before_serving(start)
        self._server.after_serving(close)


@contextmanager
def _detached_request() -> Iterator[Callable[[], Awaitable[bytes]]]:
    """Replace the current request with a copy that tasks created in the block may keep.

    Yield a function that reads the body; after that the copy has the body, too.
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
        context._cv_tokens = []  # these refer to the server's tasks
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
        f"The request did not arrive within {seconds} seconds. For slow networks, increase "
        'app.server.config["BODY_TIMEOUT"].',
    )


async def _push_nothing(*_args: Any) -> None:
    """Do nothing: HTTP/2 push is impossible after the response."""


class _Body:
    """A complete request body; Quart's own class has two asyncio events, which take 1.8 KB."""

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
