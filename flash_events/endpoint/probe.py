"""Probe streams, with which the doctor tests the proxies between a server and its clients.

A probe first sends a few events ("ticks"), which must arrive one by one, and then only heartbeats,
to find proxies that cut silent streams.
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
MAX_PROBES = 4
"""Maximum number of concurrent probes of a worker."""


class Probes:
    """The probes of one worker.

    Args:
        heartbeat_seconds: time between two heartbeats.
    """

    def __init__(self, heartbeat_seconds: float) -> None:
        self._heartbeat_seconds = heartbeat_seconds
        self._open = 0
        self._closing = asyncio.Event()

    def close(self) -> None:
        """End the open probes, because the worker stops."""
        self._closing.set()

    def reply(self, silent_seconds: float) -> Reply:
        """Return a probe stream.

        Args:
            silent_seconds: duration of the part with nothing but heartbeats.

        Raises:
            Refused: with status 429, if MAX_PROBES are open.
        """
        if self._open >= MAX_PROBES:
            raise Refused(
                HTTPStatus.TOO_MANY_REQUESTS, "probes", "Too many probes; try again later.", 10
            )
        return Reply(headers=STREAM_HEADERS, stream=self._stream(silent_seconds))

    async def _stream(self, silent_seconds: float) -> AsyncGenerator[bytes, None]:
        if self._open >= MAX_PROBES:
            return  # requests that came together all pass the check in `reply`
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
