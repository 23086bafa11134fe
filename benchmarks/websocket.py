"""A plain client of Dash's websocket callbacks, with as little work as a browser's network and
worker.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Ping, Request, TextMessage
from wsproto.extensions import PerMessageDeflate

from benchmarks.clients import LIMIT, Endpoint, new_id

READ_BYTES = 64 * 1024


class Socket:
    """A page's websocket to Dash's endpoint, as its renderer's worker opens it."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_compressed: bool
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._is_compressed = is_compressed
        self._protocol = WSConnection(ConnectionType.CLIENT)
        self._page = new_id()

    async def open(self, at: Endpoint) -> None:
        """Performs the handshake."""
        host = f"{at.host}:{at.port}"
        extensions = [PerMessageDeflate()] if self._is_compressed else []
        origin = [(b"origin", f"http://{host}".encode())]
        request = Request(host, "/_dash-ws-callback", extensions=extensions, extra_headers=origin)
        self._writer.write(self._protocol.send(request))
        assert [type(event) async for event in self._batch()] == [AcceptConnection]

    def start(self, body: dict[str, Any]) -> None:
        """Calls a callback."""
        request = {
            "type": "callback_request",
            "requestId": new_id(),
            "rendererId": self._page,
            "payload": body,
        }
        self._writer.write(self._protocol.send(TextMessage(json.dumps(request))))

    async def messages(self) -> AsyncIterator[Any]:
        """Yields each message; Dash sends those of 5 ms as one list."""
        text = ""
        while True:
            async for event in self._batch():
                match event:
                    case TextMessage(data=data, message_finished=is_whole):
                        text += data
                        if is_whole:
                            message, text = json.loads(text), ""
                            for one in message if isinstance(message, list) else [message]:
                                yield one
                    case Ping():
                        self._writer.write(self._protocol.send(event.response()))
                    case CloseConnection():
                        return

    async def _batch(self) -> AsyncIterator[Any]:
        data = await self._reader.read(READ_BYTES)
        self._protocol.receive_data(data or None)
        for event in self._protocol.events():
            yield event


@asynccontextmanager
async def connected(at: Endpoint, is_compressed: bool) -> AsyncIterator[Socket]:
    """Opens a websocket until the block ends, with compression like a browser and hypercorn."""
    reader, writer = await asyncio.open_connection(at.host, at.port, limit=LIMIT)
    try:
        socket = Socket(reader, writer, is_compressed)
        await socket.open(at)
        yield socket
    finally:
        writer.close()
