"""Shared values: topics of which only the last message counts."""

import asyncio
import copy
import inspect
import random
from collections.abc import Callable
from typing import Any, Never, TypedDict, get_args

from flash_events.errors import CallbackError, Conflict, did_you_mean
from flash_events.sharing.codecs import (
    Codec,
    Kind,
    decode_message,
    encode_value,
    kind_of,
    off_loop,
    stored_frame_bytes,
)
from flash_events.sharing.frames import frame_bytes
from flash_events.sharing.hub import Hub
from flash_events.sharing.messages import Messages
from flash_events.sharing.process import wait_in_thread
from flash_events.sharing.reader import Overflow
from flash_events.sharing.topics import (
    CURE,
    Declared,
    Scope,
    Topic,
    TopicOptions,
    check_start,
    checked_keep,
    checked_scope,
    refuse_unknown,
)

MAX_PAUSE_SECONDS = 0.02
"""Maximum pause before another try of `update`; random, so that two who conflict do not do it
again."""


class SharedValue(Topic):
    """A value that all pages, workers and apps share; see `flash_events.shared_value`.

    It is a topic whose history is the last value, so it can be subscribed to.
    """

    async def get(self) -> Any:
        """Return the value; `initial` if none was set, or it was deleted or has expired.

        Each call returns an object of its own, which may be changed. A data frame comes back as
        the kind that was set; a large one is decoded in a thread.

        Raises:
            StoreUnavailable: if the store refuses it.
            ConfigurationError: if the value is a data frame whose library is not installed here, or
                pyarrow is missing.
        """
        hub = self._hub()
        _, data = await hub.run(self._read(hub))
        return await self._decoded(data)

    def get_sync(self) -> Any:
        """Do the same as `get`, in a thread, a Celery task or a script."""
        return wait_in_thread(self._hub(), self.get(), CURE)

    async def set(self, data: Any, *, key: str | None = None, expect: int | None = None) -> int:
        """Set the value and return its offset, which is its version.

        Args:
            data: what JSON has and gives back equal (None, bool, int, float, str, lists, and dicts
                with string keys), bytes, or a data frame: a DataFrame or Series of pandas, a
                DataFrame of polars, or a Table of pyarrow. A data frame must be the value itself,
                not a part of it. Do not change it before `set` returns: a large one is encoded in a
                thread.
            key: see `Topic.publish`.
            expect: see `Topic.publish`.

        Raises:
            EncodingError: if it would not come back equal (the message names the path, or the
                column of a data frame, and what to write), or is larger than `max_value_bytes`.
            ConfigurationError: if it is a data frame of pandas or pyarrow and pyarrow is missing.
            Conflict: if the last offset is not `expect`.
            StoreUnavailable: see `Topic.publish`.
        """
        return await self.publish(data, key=key, expect=expect)

    def set_sync(self, data: Any, *, key: str | None = None, expect: int | None = None) -> int:
        """Do the same as `set`, in a thread, a Celery task or a script."""
        return self.publish_sync(data, key=key, expect=expect)

    async def update(self, change: Callable[[Any], Any], tries: int = 20) -> Any:
        """Set the value to what a function makes of it, without losing anybody's update.

        Args:
            change: takes the value and returns the new one. It may be called several times, so it
                should be quick and do nothing else. A plain function, not `async def`.
            tries: maximum number of tries; one fails if another update comes between.

        Returns:
            The new value.

        Raises:
            Conflict: after the last try.
            TypeError: if `change` returns None for a value that is not None.
            EncodingError: see `set`.
        """
        if inspect.iscoroutinefunction(change) or not callable(change):
            raise TypeError(
                f"Expected a plain function that takes the value, got {change!r:.80}. Write: "
                "await value.update(lambda old: old + 1)."
            )
        hub = self._hub()
        return await hub.run(self._update(hub, change, tries))

    def update_sync(self, change: Callable[[Any], Any], tries: int = 20) -> Any:
        """Do the same as `update`, in a thread, a Celery task or a script."""
        return wait_in_thread(self._hub(), self.update(change, tries), CURE)

    async def delete(self) -> None:
        """Delete the value: `get` returns `initial`, and readers get that with `is_cleared`."""
        await self.clear()

    def delete_sync(self) -> None:
        """Do the same as `delete`, in a thread, a Celery task or a script."""
        self.clear_sync()

    def subscribe(
        self, *, last: int = 1, since: int | None = None, overflow: Overflow = "skip"
    ) -> Messages:
        """Return the last value, if one was set, and all that follow; see `Topic.subscribe`."""
        start = check_start(last if since is None else 0, since, overflow)
        return self._messages(start, overflow)

    async def _encoded(self, data: Any) -> bytes:
        codec, max_bytes = self._options.codec, self._namespace().settings.max_value_bytes
        return await off_loop(frame_bytes(data), encode_value, data, codec, max_bytes)

    async def _read(self, hub: Hub) -> tuple[int, bytes | None]:
        """Return the last offset and the stored value."""
        log = self._log()
        watched = hub.watched(log)
        if watched is not None and watched.last is not None and not self._options.keep.ttl_seconds:
            last = watched.last
            if last.data is not None:
                return last.offset, last.data
        return await hub.last(log)

    async def _decoded(self, data: bytes | None) -> Any:
        if data is None or kind_of(data) is Kind.CLEARED:
            initial = self._options.initial
            return await off_loop(frame_bytes(initial), copy.deepcopy, initial)
        return await off_loop(stored_frame_bytes(data), decode_message, data)

    async def _update(self, hub: Hub, change: Callable[[Any], Any], tries: int) -> Any:
        log = self._log()
        async with hub.lock(log):  # the updates of this process come one after the other
            while True:
                offset, data = await self._read(hub)
                before = await self._decoded(data)
                value = change(before)
                if value is None and before is not None:
                    raise TypeError(
                        f"Expected {change!r:.80} to return the new value, got None. Did you "
                        "forget `return`? To delete a value, call delete()."
                    )
                try:
                    await self._append(await self._encoded(value), None, offset)
                except Conflict:
                    tries -= 1
                    if tries <= 0:
                        raise
                    await asyncio.sleep(random.random() * MAX_PAUSE_SECONDS)
                else:
                    return value


class ValueKeywords(TypedDict, total=False):
    """The options of `flash_events.shared_value`."""

    scope: Scope
    ttl: float | None
    codec: Codec | None


class DeclaredValues(Declared):
    """The topics and shared values that were declared."""

    def shared_value(
        self,
        name: str,
        initial: Any = None,
        *,
        scope: Scope = "app",
        ttl: float | None = None,
        codec: Codec | None = None,
        **unknown: Never,
    ) -> SharedValue:
        """See `flash_events.shared_value`."""
        refuse_unknown(unknown, ValueKeywords)
        if codec is not None and codec not in get_args(Codec):
            raise CallbackError(
                f"Expected codec of the shared value {name!r} to be one of "
                f"{', '.join(get_args(Codec))} or None, got {codec!r:.80}. "
                f"{did_you_mean(str(codec), get_args(Codec))}"
            )
        keep = checked_keep(name, 1, ttl, 1)
        options = TopicOptions("shared_value", keep, checked_scope(name, scope), initial, codec)
        value: SharedValue = self.add(name, options, SharedValue)
        return value
