"""The run directory of one process."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from flash_events.brokers.directory import RunDirectory, RunRecord
from flash_events.brokers.expiring import Expiring
from flash_events.brokers.ids import CallbackId, ConnectionId, RunId, WorkerId
from flash_events.brokers.log import LogLimits
from flash_events.brokers.memory.logs import MemoryLogs
from flash_events.brokers.memory.signals import MemorySignals
from flash_events.brokers.place import NOWHERE, Place
from flash_events.times import KEPT_SECONDS

MOST_ENDED = 10_000
"""Maximum number of records of ended runs, about 500 bytes each; the newest are kept."""

MOST_GIVEN_UP = 4096
"""Maximum number of runs that were stopped before their start arrived, about 300 bytes each."""

SNAPSHOTS_BYTES = 64 * 1024 * 1024
"""Maximum size of all snapshots of ended runs; the newest are kept."""


class MemoryDirectory(RunDirectory):
    """Keeps the records of this process.

    Args:
        limits: how long a run is given up.
        logs: that runs write to.
        signals: know the siblings, which may have runs that are unknown here.
    """

    def __init__(self, limits: LogLimits, logs: MemoryLogs, signals: MemorySignals) -> None:
        self._logs = logs
        self._signals = signals
        self._records: dict[RunId, RunRecord] = {}
        """Records of the live runs."""
        self._ended: Expiring[RunId, RunRecord] = Expiring(KEPT_SECONDS, MOST_ENDED)
        self._given_up: Expiring[tuple[str, RunId], None] = Expiring(
            limits.orphan_seconds, MOST_GIVEN_UP
        )
        """Owner and id of runs that were stopped before their start arrived."""
        self._kept: defaultdict[str, dict[RunId, CallbackId]] = defaultdict(dict)
        self._snapshots: Expiring[RunId, tuple[bytes, ...]] = Expiring(
            KEPT_SECONDS, SNAPSHOTS_BYTES, lambda events: sum(map(len, events))
        )

    async def claim(self, record: RunRecord) -> RunRecord | None:
        if (record.owner, record.run) in self._given_up:
            return RunRecord(record.run, NOWHERE, ConnectionId(""), record.owner)
        earlier = self._find(record.run)
        if earlier is None:
            self._records[record.run] = record
            if record.kept_by:
                self._kept[record.kept_by][record.run] = record.callback
        return earlier

    def withdraw(self, record: RunRecord, connections: Sequence[ConnectionId]) -> None:
        if self._records.get(record.run) == record:
            del self._records[record.run]
            self._keep_no_more(record)
        elif record.run in self._records:
            return
        self._logs.withdraw(connections, record.run, record.owner)

    async def find(self, runs: Sequence[RunId]) -> list[RunRecord | None]:
        return [self._find(run) for run in runs]

    async def locate(
        self, runs: Sequence[RunId], owner: str
    ) -> Mapping[WorkerId, tuple[RunId, ...]]:
        unknown = tuple(run for run in runs if self._find(run) is None)
        for run in unknown:  # its start may be on the way still
            self._given_up.add((owner, run), None)
        here = tuple(run for run in runs if run in self._records)
        located = {worker: unknown for worker in self._signals.siblings()} if unknown else {}
        return {**located, self._signals.worker: here} if here else located

    async def kept(self, kept_by: str, callbacks: Sequence[CallbackId]) -> tuple[RunId, ...]:
        runs = self._kept.get(kept_by, {})
        return tuple(run for run, callback in runs.items() if callback in callbacks)

    async def move(self, record: RunRecord, before: Place | None = None) -> RunRecord | None:
        known = self._find(record.run)
        if known is None or known.is_ended or before not in (None, known.place):
            return known
        self._records[record.run] = record
        return record

    def retire(self, record: RunRecord) -> None:
        self._keep_no_more(record)
        known = self._records.get(record.run)
        if known is not None and known.place == record.place:
            del self._records[record.run]
            self._ended.add(record.run, replace(record, is_ended=True))

    async def keep_snapshot(self, run: RunId, events: Sequence[bytes], end: bytes) -> None:
        self._snapshots.add(run, (*events, end))

    async def snapshot(self, run: RunId, position: int) -> list[bytes]:
        return list((self._snapshots.get(run) or ())[position : position + 2])

    def _find(self, run: RunId) -> RunRecord | None:
        return self._records.get(run) or self._ended.get(run)

    def _keep_no_more(self, record: RunRecord) -> None:
        runs = self._kept.get(record.kept_by, {})
        runs.pop(record.run, None)
        if not runs:
            self._kept.pop(record.kept_by, None)
