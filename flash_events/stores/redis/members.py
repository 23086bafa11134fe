"""The members of groups in Redis.

Who reads a group leaves out the members whose workers have no lease, and removes them: in a second
step, which does nothing to a member that has entered through another worker meanwhile.
"""

from collections.abc import Iterable

from flash_events.brokers.redis.keys import key
from flash_events.brokers.redis.pipe import Pipe
from flash_events.stores.members import Member, Members
from flash_events.stores.redis.answers import answer
from flash_events.stores.redis.entries import MICROSECONDS
from flash_events.stores.redis.life import Life
from flash_events.stores.redis.scripts import ENTER, LEAVE


class RedisMembers(Members):
    """The members of a Redis, for one client.

    Args:
        pipe: to Redis.
        worker: this worker.
        life: of this worker and others.
        kept_ms: how long a group is kept without a renewal.
    """

    def __init__(self, pipe: Pipe, worker: str, life: Life, kept_ms: int) -> None:
        self._pipe = pipe
        self._worker = worker
        self._life = life
        self._kept_ms = kept_ms
        self._entered: dict[str, dict[str, bytes]] = {}
        """The data of the members of this worker, by group and id."""

    async def enter(self, group: str, member: str, data: bytes) -> int:
        await self._life.begin()
        self._entered.setdefault(group, {})[member] = data
        number: int = await answer(
            self._pipe.run(ENTER, _keys(group), member, self._worker, data, self._kept_ms)
        )
        return number

    async def leave(self, group: str, member: str) -> None:
        entered = self._entered.get(group, {})
        entered.pop(member, None)
        if not entered:
            self._entered.pop(group, None)
        await answer(self._pipe.run(LEAVE, _keys(group), self._worker, member))

    async def of(self, group: str) -> list[Member]:
        members, _ = _keys(group)
        parts = await answer(self._pipe.call("HGETALL", members))
        found = [_decode(id, text) for id, text in zip(parts[::2], parts[1::2], strict=True)]
        dead = await self._life.dead(member.worker for member in found)
        for worker in dead:
            left = [member.id for member in found if member.worker == worker]
            self._pipe.tell_script(LEAVE, _keys(group), worker, *left)
        alive = [member for member in found if member.worker not in dead]
        return sorted(alive, key=lambda member: member.number)

    def enter_again(self) -> None:
        """Add the members of this worker, which Redis has lost or others have removed."""
        for group, members in self._entered.items():
            for member, data in members.items():
                self._pipe.tell_script(
                    ENTER, _keys(group), member, self._worker, data, self._kept_ms
                )

    def leave_all(self) -> None:
        """Remove the members of this worker."""
        for group, members in self._entered.items():
            self._pipe.tell_script(LEAVE, _keys(group), self._worker, *members)
        self._entered.clear()

    def kept_keys(self) -> Iterable[str]:
        """Return the keys that this worker must renew."""
        return {name for group in self._entered for name in _keys(group)}


def _keys(group: str) -> tuple[str, str]:
    return key(group, "members"), key(group, "entered")


def _decode(id: bytes, text: bytes) -> Member:
    number, since, worker, data = text.split(b" ", 3)
    return Member(id.decode(), worker.decode(), int(number), int(since) / MICROSECONDS, data)
