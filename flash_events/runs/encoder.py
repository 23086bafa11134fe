"""Encoding of yielded items as bodies of `update` events."""

from collections.abc import AsyncGenerator, Generator
from typing import Any

from flash_events.errors import UpdateError
from flash_events.registration import EventCallback
from flash_events.runs.traces import caller_place, note_yield, yield_place
from flash_events.settings import Settings
from flash_events.updates import Update, as_update, check_wildcards
from flash_events.wire.events import encode_parted, encode_update, with_place


class Encoder:
    """Encoder of the updates of one event callback.

    Every method returns None for an item that sets nothing, such as None or `no_update`, and raises
    `UpdateError` if an item is not an update or cannot be sent.

    Args:
        callback: the event callback; it determines which keys of an id may be MATCH.
        settings: the settings, which limit the size of an event.
        with_places: whether each update names the source line that made it (debug mode).
    """

    def __init__(
        self, callback: EventCallback, settings: Settings, with_places: bool = False
    ) -> None:
        self._match_keys = callback.match_keys
        # A kept run has a snapshot, which would have to parse the JSON of each update.
        self._encode = encode_parted if callback.is_kept else encode_update
        self._max_bytes = settings.max_event_bytes
        self._with_places = with_places

    def encode(self, item: Any) -> bytes | None:
        """Return an item, encoded."""
        update = item if type(item) is Update else as_update(item)
        if not update.targets:
            return None
        for component_id, _ in update.targets:
            if type(component_id) is not str:
                check_wildcards(component_id, self._match_keys, UpdateError)
        return self._encode(update, self._max_bytes)

    def encode_yielded(
        self, item: Any, generator: AsyncGenerator[Any] | Generator[Any]
    ) -> bytes | None:
        """Return an item that a generator has just yielded, encoded.

        An error names the line of the `yield`.
        """
        try:
            body = self.encode(item)
        except UpdateError as error:
            note_yield(error, generator)
            raise
        if self._with_places and body is not None:
            return with_place(body, yield_place(generator))
        return body

    def encode_called(self, update: Update) -> bytes | None:
        """Return the update of a call in progress, such as `dash.set_props`, encoded."""
        body = self.encode(update)
        if self._with_places and body is not None:
            return with_place(body, caller_place())
        return body
