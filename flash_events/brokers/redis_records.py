"""What all workers may know of runs, in Redis."""

import asyncio
import json
import secrets
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from flash_events.brokers.base import QUEUED, RunRecord
from flash_events.brokers.redis_keys import key, log_keys
from flash_events.brokers.redis_pipe import Pipe
from flash_events.brokers.redis_scripts import CLAIM, KEEP, MOVE, WITHDRAW

REMEMBER_MS = 300_000
"""For so long after its end a run is known; while it lives, this is renewed."""

QUEUED_MS = 24 * 3600 * 1000
"""For so long a run is known that waits in a task queue, as nobody renews it."""


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
        self._claiming: dict[str, str] = {}
        """Marks of claims that were not answered yet."""

    async def claim(self, record: RunRecord) -> RunRecord | None:
        """See `Broker.claim`."""
        nonce = self._claiming[record.run] = secrets.token_hex(8)  # ours, if it is sent twice
        fields = {**asdict(record), "nonce": nonce}
        keys = (*log_keys(record.connection), key(record.run, "run"))
        args = (record.run, record.worker, nonce, _ttl_ms(record), json.dumps(fields))
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
        fields = self._claimed.pop(record.run, {})
        nonce = self._claiming.pop(record.run, fields.get("nonce", ""))
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
        if record.kept_by:
            self._pipe.tell("HDEL", key(record.kept_by, "kept"), record.run)

    async def locate(self, runs: Sequence[str], owner: str) -> dict[str, list[str]]:
        """The live ones of these runs, by worker; those that are unknown are given up."""
        found = await asyncio.gather(
            *(
                self._register(run, asdict(RunRecord(run, "", "", owner)), self._given_up_ms)
                for run in runs
            )
        )
        runs_of: dict[str, list[str]] = {}
        for fields in found:
            if fields is not None and fields["worker"] and not fields["is_ended"]:
                runs_of.setdefault(fields["worker"], []).append(fields["run"])
        return runs_of

    async def leave_testament(self, run: str, events: Sequence[bytes], end: bytes) -> None:
        """See `SharedBroker.leave_testament`."""
        data = b"".join((*events, end))
        await self._pipe.call("SET", key(run, "testament"), data, "PX", REMEMBER_MS)

    async def testament(self, run: str) -> tuple[list[bytes], bytes]:
        """See `SharedBroker.testament`."""
        data = await self._pipe.call("GET", key(run, "testament"))
        events = [part + b"\n\n" for part in (data or b"").split(b"\n\n")[:-1]]
        return events[:-1], events[-1] if events else b""

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

    async def _register(self, run: str, fields: dict[str, Any], ttl_ms: int) -> Any:
        """Writes a run's record unless there is one; returns that."""
        text = json.dumps(fields)
        earlier = await self._pipe.call("SET", key(run, "run"), text, "NX", "GET", "PX", ttl_ms)
        return None if earlier is None else json.loads(earlier)


def _ttl_ms(record: RunRecord) -> int:
    return QUEUED_MS if record.worker == QUEUED else REMEMBER_MS


def _record(fields: dict[str, Any]) -> RunRecord:
    fields.pop("nonce", None)
    return RunRecord(**fields)
