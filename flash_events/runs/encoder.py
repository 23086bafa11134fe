"""From what a run yields to the body of an `update` event."""

from collections.abc import AsyncGenerator, Generator
from typing import Any

from flash_events.errors import UpdateError
from flash_events.registration import EventCallback
from flash_events.runs.traces import caller_place, note_yield, yield_place
from flash_events.settings import Settings
from flash_events.updates import Update, as_update, check_wildcards
from flash_events.wire.events import encode_update, with_place


class Encoder:
    """Encodes the updates of one event callback.

    Every method returns None for an item that sets nothing, as None and `no_update` do, and raises
    `UpdateError` for one that is no update or cannot be sent.

    Args:
        callback: says which keys of an id may be MATCH.
        settings: limit the size of an event.
        tells_places: whether each update says which line has made it, as in debug mode.
    """

    def __init__(
        self, callback: EventCallback, settings: Settings, tells_places: bool = False
    ) -> None:
        self._match_keys = callback.match_keys
        self._max_bytes = settings.max_event_bytes
        self._tells_places = tells_places

    def encode(self, item: Any) -> bytes | None:
        """Encodes an item."""
        update = item if type(item) is Update else as_update(item)
        if not update.targets:
            return None
        for component_id, _ in update.targets:
            if type(component_id) is not str:
                check_wildcards(component_id, self._match_keys, UpdateError)
        return encode_update(update, self._max_bytes)

    def encode_yielded(
        self, item: Any, generator: AsyncGenerator[Any] | Generator[Any]
    ) -> bytes | None:
        """Encodes what a generator has just yielded; an error names the line of the `yield`."""
        try:
            body = self.encode(item)
        except UpdateError as error:
            note_yield(error, generator)
            raise
        if self._tells_places and body is not None:
            return with_place(body, yield_place(generator))
        return body

    def encode_called(self, update: Update) -> bytes | None:
        """Encodes the update of a call, such as `dash.set_props`, that is running now."""
        body = self.encode(update)
        if self._tells_places and body is not None:
            return with_place(body, caller_place())
        return body
