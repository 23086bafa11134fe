"""The bodies of requests: how large each may be, and all that are received at the same time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from flash_events.endpoint.backends import Request
from flash_events.errors import too_large, too_many
from flash_events.settings import Settings
from flash_events.wire import requests

SMALL_BYTES = 2**20
"""Of a request other than a start. Starts up to this size do not count as uploads."""

OF_STARTS = "max_body_bytes (set it in FlashEvents(app, ...) or as FLASH_EVENTS_MAX_BODY_BYTES)"
OF_OTHERS = "the protocol, for any request but a start"


class Bodies:
    """Reads the bodies of requests within the limits of this worker.

    Args:
        settings: the limits.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._uploading = 0
        """Bytes of the large starts that are being received."""

    def check(self, size: int, request: Request, *, is_start: bool) -> None:
        """Raises `Refused` where a body of this size is too large (413), or finds no room (429)."""
        limits = self._limits(request, is_start)
        if exceeded := {name: most for name, most in limits.items() if size > most}:
            raise too_large(size, exceeded)
        together = self._uploading + size
        if size > SMALL_BYTES and self._uploading and together > self._settings.max_uploading_bytes:
            raise too_many("large starts that are received at once", "max_uploading_bytes")

    @asynccontextmanager
    async def read(self, request: Request, is_start: bool) -> AsyncIterator[bytes]:
        """Yields a body, which counts as being received until the block ends.

        Raises:
            Refused: it is too large, or there is no room for it. Nothing was read, if its headers
                say how large it is.
        """
        size = requests.length_of(request.headers)
        if size is None:
            size = min(self._limits(request, is_start).values())
        self.check(size, request, is_start=is_start)
        counted = size if size > SMALL_BYTES else 0
        self._uploading += counted
        try:
            data = await request.read()
            if len(data) > size:
                self.check(len(data), request, is_start=is_start)
            yield data
        finally:
            self._uploading -= counted

    def _limits(self, request: Request, is_start: bool) -> dict[str, int]:
        """What bounds a request, by what sets it."""
        ours = self._settings.max_body_bytes
        if is_start:
            return {OF_STARTS: ours, **request.limits}
        return {OF_OTHERS: min(ours, SMALL_BYTES), **request.limits}
