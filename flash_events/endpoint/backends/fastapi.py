"""Dash on FastAPI: `Dash(backend="fastapi")`, under uvicorn or another ASGI server."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Any

from fastapi import FastAPI, Response
from fastapi import Request as NativeRequest
from fastapi.responses import StreamingResponse
from starlette.types import Send

from flash_events import bridge
from flash_events.endpoint.backends.base import Handler, Hook, Request


class FastAPIBackend:
    """The adapter for the FastAPI application of an app."""

    def __init__(self, server: FastAPI) -> None:
        self._server = server

    def view(self, handle: Handler) -> Callable[..., Awaitable[Response]]:
        async def view() -> Response:
            with _detached_request() as request:
                reply = await handle(request)
            if reply.stream is not None:
                _forget_body(request.native)
                return _Stream(reply.stream, reply.status, reply.headers)
            return Response(reply.content, reply.status, reply.headers)

        return view

    def on_serving(self, start: Hook, close: Hook) -> None:
        router = self._server.router
        before = router.lifespan_context

        @asynccontextmanager
        async def lifespan(app: Any) -> AsyncIterator[Any]:
            async with before(app) as state:
                await start()
                try:
                    yield state
                finally:
                    await close()

        router.lifespan_context = lifespan


class _Stream(StreamingResponse):
    """A streaming response that closes its generator as soon as the client has disconnected."""

    async def stream_response(self, send: Send) -> None:
        assert isinstance(self.body_iterator, AsyncGenerator)
        async with aclosing(self.body_iterator):
            await super().stream_response(send)


@contextmanager
def _detached_request() -> Iterator[Request]:
    """Replace the current request with a copy that tasks created in the block may keep.

    The original request refers to its connection through `receive`, and to FastAPI's exit stacks
    through its scope. Dash's middleware has read its body already, whatever its size.
    """
    with bridge.replaced_fastapi_request(_detached) as request:
        yield Request(request.headers, request.query_params, request.body, request)


def _forget_body(request: NativeRequest) -> None:
    """Free the body, as Dash's middleware keeps the request while the stream is open."""
    request.state.json_body = None
    request._body, request._json = b"", None  # private; harmless if Starlette no longer has them


def _detached(request: NativeRequest) -> NativeRequest:
    scope = {name: value for name, value in request.scope.items() if "astack" not in name}
    return NativeRequest({**scope, "state": {}})
