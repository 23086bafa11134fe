"""The values and leads of groups in Redis.

A lead is worth something only while the lease of its worker exists. That has another hash tag, so
to replace the lead of a dead worker takes three steps: read the lead, look for the lease, and
replace the lead if it is still the same one. A worker that is only taken for dead, because it was
stalled, cannot store its value any more: its fence is not the current lead.
"""

import asyncio
import secrets
from collections.abc import Iterable

from flash_events.brokers.redis.keys import key
from flash_events.brokers.redis.pipe import Pipe
from flash_events.stores.redis.answers import answer
from flash_events.stores.redis.entries import MICROSECONDS
from flash_events.stores.redis.life import Life
from flash_events.stores.redis.scripts import FORGET, LEAD, PUT, RELEASE, TOUCH
from flash_events.stores.values import Quota, Slot, Values


class RedisValues(Values):
    """The values of a Redis.

    Args:
        pipe: to Redis, for nothing else, as large values keep others waiting.
        worker: this worker.
        life: of this worker and others.
        kept_ms: how long leads are kept without a renewal.
    """

    def __init__(self, pipe: Pipe, worker: str, life: Life, kept_ms: int) -> None:
        self._pipe = pipe
        self._worker = worker
        self._life = life
        self._kept_ms = kept_ms
        self._led: dict[Slot, str] = {}
        """The leads of this worker, some of which others may have ended."""

    async def get(self, slot: Slot) -> bytes | None:
        values, _, expiring, *_ = _keys(slot.group)
        asked = (
            self._pipe.call("TIME"),
            self._pipe.call("ZSCORE", expiring, slot.name),
            self._pipe.call("HGET", values, slot.name),
        )
        (seconds, part), expires_at, data = await answer(asyncio.gather(*asked))
        now = int(seconds) * MICROSECONDS + int(part)
        found: bytes | None = data
        return None if expires_at is not None and float(expires_at) <= now else found

    async def put(
        self, slot: Slot, data: bytes, quota: Quota, *, ttl_seconds: float | None, fence: str = ""
    ) -> bool:
        ttl_ms = "" if ttl_seconds is None else int(ttl_seconds * 1000)
        bounds = quota.max_items, quota.max_bytes, ttl_ms
        keys = _keys(slot.group)
        nonce = secrets.token_hex(8)
        asked = self._pipe.run(PUT, keys, slot.name, data, *bounds, fence, nonce)
        is_stored: int = await answer(asked)
        self._forget_lead(slot, fence)
        return is_stored == 1

    async def touch(self, slot: Slot) -> None:
        await answer(self._pipe.run(TOUCH, _keys(slot.group), slot.name))

    async def drop(self, group: str, *names: str) -> None:
        await answer(self._pipe.run(FORGET, _keys(group), *names))

    async def lead(self, slot: Slot) -> str | None:
        await self._life.begin()
        fence = f"{self._worker} {secrets.token_hex(16)}"
        current = await self._take(slot, fence)
        if current != fence:
            worker, _, _ = current.partition(" ")
            if await self._life.dead([worker]):
                current = await self._take(slot, fence, dead=current)
        if current != fence:
            return None
        self._led[slot] = fence
        return fence

    async def _take(self, slot: Slot, fence: str, dead: str = "") -> str:
        keys = (_keys(slot.group)[-1],)
        asked = self._pipe.run(LEAD, keys, slot.name, fence, dead, self._kept_ms)
        current: bytes = await answer(asked)
        return current.decode()

    async def release(self, slot: Slot, fence: str) -> None:
        await answer(self._pipe.run(RELEASE, (_keys(slot.group)[-1],), slot.name, fence))
        self._forget_lead(slot, fence)

    def _forget_lead(self, slot: Slot, fence: str) -> None:
        if self._led.get(slot) == fence:
            del self._led[slot]

    def release_all(self) -> None:
        """End the leads of this worker."""
        for slot, fence in self._led.items():
            self._pipe.tell_script(RELEASE, (_keys(slot.group)[-1],), slot.name, fence)
        self._led.clear()

    def kept_keys(self) -> Iterable[str]:
        """Return the keys that this worker must renew."""
        return {_keys(slot.group)[-1] for slot in self._led}


def _keys(group: str) -> tuple[str, str, str, str, str, str]:
    """The keys of a group, as `lua/values.lua` wants them."""
    return (
        key(group, "values"),
        key(group, "used"),
        key(group, "expiring"),
        key(group, "bytes"),
        key(group, "puts"),
        key(group, "leads"),
    )
