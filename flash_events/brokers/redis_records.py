"""What all workers may know of runs, in Redis."""

import asyncio
import json
import secrets
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from flash_events.brokers.base import QUEUED, RunRecord
from flash_events.brokers.expiring import Expiring
from flash_events.brokers.redis_keys import key, log_keys
from flash_events.brokers.redis_pipe import Pipe
from flash_events.brokers.redis_scripts import (
    CLAIM,
    KEEP,
    LEAVE_TESTAMENT,
    LOCATE,
    MOVE,
    WITHDRAW,
)

REMEMBER_MS = 300_000
"""For so long after its end a run is known; while it lives, this is renewed."""

QUEUED_MS = 24 * 3600 * 1000
"""For so long a run is known that waits in a task queue, as nobody renews it."""


MOST_ENDED = 10_000
"""Records that a worker leaves of runs that have ended, about 500 bytes each; the newest stay."""

MOST_GIVEN_UP = 1024
"""Runs that one owner has stopped before they came, about 100 bytes each; the newest are kept."""

TESTAMENTS_BYTES = 64 * 1024 * 1024
"""Of all snapshots that Redis keeps of ended runs of task queues; the newest are kept."""


class RunRecords:
    """Who runs what, and which runs go on without a viewer.

    Args:
        pipe: to Redis.
        given_up_ms: for so long a run that was stopped before it came may not start.
    """

    def __init__(self, pipe: Pipe, given_up_ms: int) -> None:
        self._pipe = pipe
        self._given_up_ms = given_up_ms
        self._claimed: dict[str, dict[str, Any]] = {}
        self._ended: Expiring[str, None] = Expiring(
            REMEMBER_MS / 1000, MOST_ENDED, on_dropped=self._forget
        )
        """Runs of this worker whose records Redis still has."""
        self._claiming: dict[str, str] = {}
        """Marks of claims that were not answered yet."""

    async def claim(self, record: RunRecord) -> RunRecord | None:
        """See `Broker.claim`."""
        nonce = self._claiming[record.run] = secrets.token_hex(8)  # ours, if it is sent twice
        fields = {**asdict(record), "nonce": nonce}
        keys = (*log_keys(record.connection), key(record.run, "run"), _given_up(record.owner))
        given_up = json.dumps(asdict(RunRecord(record.run, "", "", record.owner)))
        args = (record.run, record.worker, nonce, _ttl_ms(record), json.dumps(fields), given_up)
        earlier = await self._pipe.run(CLAIM, keys, *args)
        self._claiming.pop(record.run, None)
        if earlier is not None:
            return _record(json.loads(earlier))
        if record.worker != QUEUED:  # who takes it over keeps it known
            self._claimed[record.run] = fields
        self._keep(fields)
        return None

    def withdraw(
        self, record: RunRecord, connections: Sequence[str]
    ) -> list["asyncio.Future[Any]"]:
        """Undoes the claim of a run, if it was made, and its place in logs; brings their holders.

        See `Broker.withdraw`.
        """
        nonce = self._claiming.pop(record.run, "")
        fields = self._claimed.get(record.run)
        if fields is not None and _record({**fields}) == record:
            nonce = self._claimed.pop(record.run).get("nonce", "")
        args = (record.run, record.worker, record.owner, nonce)
        if record.kept_by:
            self._pipe.tell("HDEL", key(record.kept_by, "kept"), record.run)
        record_key = key(record.run, "run")
        return [
            self._pipe.tell_at_last(WITHDRAW, (*log_keys(connection), record_key), *args)
            for connection in connections
        ]

    async def move(self, record: RunRecord, before: str) -> RunRecord | None:
        """See `SharedBroker.move`."""
        fields = asdict(record)
        text, ttl_ms = json.dumps(fields), _ttl_ms(record)
        known = await self._pipe.run(MOVE, (key(record.run, "run"),), text, ttl_ms, before)
        moved = None if known is None else _record(json.loads(known))
        if moved == record:
            if record.worker != QUEUED:
                self._claimed[record.run] = fields
            self._keep(fields)
        return moved

    async def find(self, runs: Sequence[str]) -> list[RunRecord | None]:
        """See `Broker.find`."""
        found = await asyncio.gather(*(self._pipe.call("GET", key(run, "run")) for run in runs))
        return [None if text is None else _record(json.loads(text)) for text in found]

    async def kept(self, kept_by: str, callbacks: Sequence[str]) -> tuple[str, ...]:
        """See `Broker.kept`."""
        found = await self._pipe.call("HGETALL", key(kept_by, "kept"))
        names = [part.decode() for part in found]
        runs = zip(names[::2], names[1::2], strict=True)
        return tuple(run for run, callback in runs if callback in callbacks)

    def retire(self, record: RunRecord) -> None:
        """See `Broker.retire`."""
        self._claimed.pop(record.run, None)
        ended = json.dumps(asdict(replace(record, is_ended=True)))
        self._write(record.run, record.worker, ended)
        self._ended.add(record.run, None)
        if record.kept_by:
            self._pipe.tell("HDEL", key(record.kept_by, "kept"), record.run)

    async def locate(self, runs: Sequence[str], owner: str) -> dict[str, list[str]]:
        """The live ones of these runs, by worker; those that are unknown are given up."""
        if not runs:
            return {}
        keys = (_given_up(owner), *(key(run, "run") for run in runs))
        found = await self._pipe.run(LOCATE, keys, self._given_up_ms, MOST_GIVEN_UP, *runs)
        runs_of: dict[str, list[str]] = {}
        for text in found:
            fields = json.loads(text)
            if fields["worker"] and not fields["is_ended"]:
                runs_of.setdefault(fields["worker"], []).append(fields["run"])
        return runs_of

    async def leave_testament(self, run: str, events: Sequence[bytes], end: bytes) -> None:
        """See `SharedBroker.leave_testament`."""
        keys = (key(run, "testament"), key("", "testaments"), key("", "testamentbytes"))
        await self._pipe.run(
            LEAVE_TESTAMENT, keys, run, REMEMBER_MS, TESTAMENTS_BYTES, *events, end
        )

    async def testament(self, run: str, position: int) -> list[bytes]:
        """See `SharedBroker.testament`."""
        found: list[bytes] = await self._pipe.call(
            "LRANGE", key(run, "testament"), position, position + 1
        )
        return found

    def renew(self) -> None:
        """Keeps what is known of the runs of this worker, and says it again if it was lost."""
        for run, fields in self._claimed.items():
            self._write(run, fields["worker"], json.dumps(fields))
            self._keep(fields)

    def _write(self, run: str, worker: str, text: str) -> None:
        """Writes the record of a run that a worker has, unless another one has taken it over."""
        self._pipe.tell_script(KEEP, (key(run, "run"),), worker, text, REMEMBER_MS)

    def _keep(self, fields: dict[str, Any]) -> None:
        if fields["kept_by"]:
            kept = key(fields["kept_by"], "kept")
            self._pipe.tell("HSET", kept, fields["run"], fields["callback"])
            ttl_ms = QUEUED_MS if fields["worker"] == QUEUED else REMEMBER_MS
            self._pipe.tell("PEXPIRE", kept, ttl_ms)

    def _forget(self, run: str) -> None:
        self._pipe.tell("DEL", key(run, "run"))


def _given_up(owner: str) -> str:
    """The key of the runs that an owner has stopped before they came."""
    return key(owner, "stopped")


def _ttl_ms(record: RunRecord) -> int:
    return QUEUED_MS if record.worker == QUEUED else REMEMBER_MS


def _record(fields: dict[str, Any]) -> RunRecord:
    fields.pop("nonce", None)
    return RunRecord(**fields)
