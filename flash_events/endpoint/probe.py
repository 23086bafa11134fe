"""A stream that shows what lies between this server and its clients, for the doctor.

First it ticks, so that a client sees whether events come one by one; then it is silent but for the
heartbeats, so that it sees whether somebody ends silent streams.
"""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import suppress
from http import HTTPStatus

from flash_events import sse
from flash_events.endpoint.replies import STREAM_HEADERS, Reply
from flash_events.errors import Refused

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
        self._closing = asyncio.Event()

    def close(self) -> None:
        """The worker stops."""
        self._closing.set()

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
        if self._open >= AT_ONCE:
            return  # they were answered together
        self._open += 1
        try:
            for n in range(TICKS):
                yield _event("tick", {"n": n})
                if await self._is_closing_within(TICK_SECONDS):
                    return
            heartbeat_seconds = self._heartbeat_seconds
            yield _event("silence", {"heartbeat_seconds": heartbeat_seconds})
            ends = asyncio.get_running_loop().time() + silent_seconds
            while (left := ends - asyncio.get_running_loop().time()) > 0:
                if await self._is_closing_within(min(left, heartbeat_seconds)):
                    return
                yield sse.HEARTBEAT
            yield _event("end", {})
        finally:
            self._open -= 1

    async def _is_closing_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                return await self._closing.wait()
        return False


def _event(name: str, fields: dict[str, float]) -> bytes:
    return sse.frame(name, json.dumps(fields))
