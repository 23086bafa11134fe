"""Size limits of request bodies: of a single one, and of all concurrent uploads."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from flash_events.endpoint.backends import Request
from flash_events.errors import too_large, too_many
from flash_events.settings import Settings
from flash_events.wire import requests

SMALL_BYTES = 2**20
"""Maximum body size of requests other than starts. Larger starts count as uploads."""

OF_STARTS = "max_body_bytes (set it in FlashEvents(app, ...) or as FLASH_EVENTS_MAX_BODY_BYTES)"
OF_OTHERS = "the protocol, for any request but a start"


class Bodies:
    """Reader of request bodies that enforces the limits of this worker.

    Args:
        settings: the limits.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._uploading = 0
        """Total size of the large starts that are being received, in bytes."""

    def check(self, size: int, request: Request, *, is_start: bool) -> None:
        """Raise `Refused` if a body is too large (413), or too much is being uploaded (429)."""
        limits = self._limits(request, is_start)
        if exceeded := {name: most for name, most in limits.items() if size > most}:
            raise too_large(size, exceeded)
        together = self._uploading + size
        if size > SMALL_BYTES and self._uploading and together > self._settings.max_uploading_bytes:
            raise too_many("concurrent large starts", "max_uploading_bytes")

    @asynccontextmanager
    async def read(self, request: Request, is_start: bool) -> AsyncIterator[bytes]:
        """Yield a body, which counts as an upload until the block ends.

        Raises:
            Refused: as `check` does; before anything is read, if the headers give the size.
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
        """Return the limits of a body in bytes, by the name of their setting."""
        ours = self._settings.max_body_bytes
        if is_start:
            return {OF_STARTS: ours, **request.limits}
        return {OF_OTHERS: min(ours, SMALL_BYTES), **request.limits}
