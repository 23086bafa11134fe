"""A stream that shows what lies between this server and its clients, for `flash_events.doctor`.

First it ticks, so that a client sees whether events come one by one; then it is silent but for the
heartbeats, so that it sees whether somebody ends silent streams.
"""

import asyncio
import json
from collections.abc import AsyncGenerator
from http import HTTPStatus

from flash_events import protocol
from flash_events.errors import Refused
from flash_events.replies import STREAM_HEADERS, Reply

TICKS = 8
TICK_SECONDS = 0.25
AT_ONCE = 4
"""So many a worker has at the same time: they are for a person who looks."""


class Probes:
    """The probes of one worker.

    Args:
        heartbeat_seconds: between heartbeats.
    """

    def __init__(self, heartbeat_seconds: float) -> None:
        self._heartbeat_seconds = heartbeat_seconds
        self._open = 0

    def reply(self, silent_seconds: float) -> Reply:
        """Answers with a probe.

        Raises:
            Refused: 429; there are too many.
        """
        if self._open >= AT_ONCE:
            raise Refused(
                HTTPStatus.TOO_MANY_REQUESTS, "probes", "Too many probes; try again later.", 10
            )
        return Reply(headers=STREAM_HEADERS, stream=self._stream(silent_seconds))

    async def _stream(self, silent_seconds: float) -> AsyncGenerator[bytes, None]:
        self._open += 1
        try:
            for n in range(TICKS):
                yield _event("tick", {"n": n})
                await asyncio.sleep(TICK_SECONDS)
            heartbeat_seconds = self._heartbeat_seconds
            yield _event("silence", {"heartbeat_seconds": heartbeat_seconds})
            ends = asyncio.get_running_loop().time() + silent_seconds
            while (left := ends - asyncio.get_running_loop().time()) > 0:
                await asyncio.sleep(min(left, heartbeat_seconds))
                yield protocol.HEARTBEAT
            yield _event("end", {})
        finally:
            self._open -= 1


def _event(name: str, fields: dict[str, float]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(fields)}\n\n".encode()
