"""The run directory in Redis.

What concerns one run has the hash tag of this run; what concerns a log, an owner or all snapshots
has another one. So some steps follow one another, each of them atomic, in an order that is safe
when the worker dies in between:

- A claim writes the record, and then looks whether the run was given up. `locate` does it the other
  way round: it gives a run up, and then looks for its record once more. So at least one of the two
  finds out about the other. They rely on the order that the pipe keeps.
- Then the claim enters the run in its log, before anything else that this worker does there. The
  generator starts later still: a worker that dies in between leaves a record of a run that has
  never begun. It expires, and the page starts another run or is told that this one is lost.
- A withdrawal deletes the record and leaves the logs, in any order: each step is bound to the nonce
  of this one claim, and does nothing to what another request has claimed.
- A snapshot is counted before it is kept, and what is counted out is deleted afterwards: what a
  worker leaves undone in between is counted though it is not there, or expires by itself.
"""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace

from flash_events.brokers.directory import RunDirectory, RunRecord
from flash_events.brokers.expiring import Expiring
from flash_events.brokers.ids import CallbackId, ConnectionId, RunId, WorkerId
from flash_events.brokers.place import NOWHERE, At, Place, Queued, encode_place
from flash_events.brokers.redis.keys import key
from flash_events.brokers.redis.logs import RedisLogs
from flash_events.brokers.redis.pipe import Pipe
from flash_events.brokers.redis.records import decode_record, encode_record
from flash_events.brokers.redis.scripts import (
    CLAIM,
    COUNT_SNAPSHOT,
    GIVE_UP,
    KEEP_SNAPSHOT,
    MOVE,
    UNCLAIM,
    WRITE,
)
from flash_events.times import KEPT_SECONDS

REMEMBER_MS = int(KEPT_SECONDS * 1000)
"""How long a run is known after its end; while it lives, this is renewed."""

QUEUED_MS = 24 * 3600 * 1000
"""How long a run is known that waits in a task queue, as nobody renews it."""

MOST_ENDED = 10_000
"""Records that a worker leaves of runs that have ended, about 500 bytes each; the newest stay."""

MOST_GIVEN_UP = 1024
"""Runs that one owner has stopped before they came, about 100 bytes each; the newest are kept."""

SNAPSHOTS_BYTES = 64 * 1024 * 1024
"""Of all snapshots that Redis keeps of ended runs of task queues; the newest are kept."""

_SNAPSHOTS = (key("", "snapshots"), key("", "snapshotsizes"))


class RedisDirectory(RunDirectory):
    """Records that all workers share.

    Args:
        pipe: to Redis.
        worker: this worker.
        logs: that runs write to.
        given_up_ms: how long a run that was stopped before it came may not start.
    """

    def __init__(self, pipe: Pipe, worker: WorkerId, logs: RedisLogs, given_up_ms: int) -> None:
        self._pipe = pipe
        self._worker = worker
        self._logs = logs
        self._given_up_ms = given_up_ms
        self._claimed: dict[RunId, tuple[RunRecord, str]] = {}
        """Records of this worker's live runs, each with the nonce of its claim."""
        self._ended: Expiring[RunId, None] = Expiring(
            REMEMBER_MS / 1000, MOST_ENDED, on_dropped=self._forget
        )
        """Runs of this worker whose records Redis still has."""
        self._claiming: dict[RunId, str] = {}
        """Nonces of claims that were not answered yet."""

    async def claim(self, record: RunRecord) -> RunRecord | None:
        run = record.run
        nonce = self._claiming[run] = secrets.token_hex(8)  # ours, if it is sent twice
        text = encode_record(record, nonce)
        earlier, given_up = await asyncio.gather(
            self._pipe.run(CLAIM, (key(run, "run"),), nonce, _ttl_ms(record), text),
            self._pipe.call("ZSCORE", _given_up(record.owner), run),
        )
        self._claiming.pop(run, None)
        if earlier is not None:
            return decode_record(earlier)
        if given_up is not None:
            self._pipe.tell_script(UNCLAIM, (key(run, "run"),), nonce)
            self._logs.withdraw([record.connection], run, record.place, record.owner, nonce)
            return RunRecord(run, NOWHERE, ConnectionId(""), record.owner)
        self._logs.own(record.connection, run, record.place, nonce)
        self._remember(record, nonce)
        return None

    def withdraw(self, record: RunRecord, connections: Sequence[ConnectionId]) -> None:
        nonce = self._claiming.pop(record.run, "")
        claimed = self._claimed.get(record.run)
        if claimed is not None and claimed[0] == record:
            nonce = claimed[1]
            del self._claimed[record.run]
        if record.kept_by:
            self._pipe.tell("HDEL", key(record.kept_by, "kept"), record.run)
        if nonce:
            self._pipe.tell_at_last(UNCLAIM, (key(record.run, "run"),), nonce)
        self._logs.withdraw(connections, record.run, record.place, record.owner, nonce)

    async def find(self, runs: Sequence[RunId]) -> list[RunRecord | None]:
        found = await asyncio.gather(*(self._pipe.call("GET", key(run, "run")) for run in runs))
        return [None if text is None else decode_record(text) for text in found]

    async def locate(
        self, runs: Sequence[RunId], owner: str
    ) -> Mapping[WorkerId, tuple[RunId, ...]]:
        found = await self.find(runs)
        unknown = [run for run, record in zip(runs, found, strict=True) if record is None]
        if unknown:
            keys, most = (_given_up(owner),), MOST_GIVEN_UP
            gives_up = self._pipe.run(GIVE_UP, keys, self._given_up_ms, most, *unknown)
            _, claimed_meanwhile = await asyncio.gather(gives_up, self.find(unknown))
            found += claimed_meanwhile
        located: dict[WorkerId, tuple[RunId, ...]] = {}
        for record in found:
            if record is None or record.is_ended or record.place == NOWHERE:
                continue
            worker = record.place.worker if isinstance(record.place, At) else self._worker
            located[worker] = (*located.get(worker, ()), record.run)
        return located

    async def kept(self, kept_by: str, callbacks: Sequence[CallbackId]) -> tuple[RunId, ...]:
        found = await self._pipe.call("HGETALL", key(kept_by, "kept"))
        names = [part.decode() for part in found]
        runs = zip(names[::2], names[1::2], strict=True)
        return tuple(RunId(run) for run, callback in runs if callback in callbacks)

    async def move(self, record: RunRecord, before: Place | None = None) -> RunRecord | None:
        expected = encode_place(before) if before is not None else ""
        args = (encode_record(record), _ttl_ms(record), expected)
        known = await self._pipe.run(MOVE, (key(record.run, "run"),), *args)
        moved = None if known is None else decode_record(known)
        if moved == record:
            self._remember(record)
        return moved

    def retire(self, record: RunRecord) -> None:
        self._claimed.pop(record.run, None)
        self._write(replace(record, is_ended=True))
        self._ended.add(record.run, None)
        if record.kept_by:
            self._pipe.tell("HDEL", key(record.kept_by, "kept"), record.run)

    async def keep_snapshot(self, run: RunId, events: Sequence[bytes], end: bytes) -> None:
        name, size = key(run, "snapshot"), sum(map(len, events)) + len(end)
        args = (name, size, REMEMBER_MS, SNAPSHOTS_BYTES)
        dropped = await self._pipe.run(COUNT_SNAPSHOT, _SNAPSHOTS, *args)
        for other in dropped:
            self._pipe.tell("DEL", other)
        if name.encode() not in dropped:
            await self._pipe.run(KEEP_SNAPSHOT, (name,), REMEMBER_MS, *events, end)

    async def snapshot(self, run: RunId, position: int) -> list[bytes]:
        name = key(run, "snapshot")
        found: list[bytes] = await self._pipe.call("LRANGE", name, position, position + 1)
        return found

    def renew(self) -> None:
        """Keep the records of this worker's runs, and writes them again if Redis has lost them."""
        for record, nonce in self._claimed.values():
            self._write(record, nonce)
            self._keep(record)

    def _remember(self, record: RunRecord, nonce: str = "") -> None:
        if not isinstance(record.place, Queued):  # whoever takes it over keeps it known
            self._claimed[record.run] = record, nonce
        self._keep(record)

    def _write(self, record: RunRecord, nonce: str = "") -> None:
        """Write a record, unless another worker has taken the run over."""
        args = (encode_place(record.place), encode_record(record, nonce), REMEMBER_MS)
        self._pipe.tell_script(WRITE, (key(record.run, "run"),), *args)

    def _keep(self, record: RunRecord) -> None:
        if record.kept_by:
            kept = key(record.kept_by, "kept")
            self._pipe.tell("HSET", kept, record.run, record.callback)
            self._pipe.tell("PEXPIRE", kept, _ttl_ms(record))

    def _forget(self, run: RunId) -> None:
        self._pipe.tell("DEL", key(run, "run"))


def _given_up(owner: str) -> str:
    """The key of the runs that an owner has stopped before they came."""
    return key(owner, "stopped")


def _ttl_ms(record: RunRecord) -> int:
    return QUEUED_MS if isinstance(record.place, Queued) else REMEMBER_MS
