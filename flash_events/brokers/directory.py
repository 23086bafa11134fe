"""The contract of the run directory: what every worker may know of runs."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flash_events.brokers.ids import NO_CALLBACK, CallbackId, ConnectionId, RunId, WorkerId
from flash_events.brokers.place import Place


@dataclass(frozen=True, slots=True)
class RunRecord:
    """An entry of the run directory.

    Attributes:
        run: its id.
        place: where the run is, or was when it ended.
        connection: carries its events.
        owner: the user who owns it; "" if the app does not identify users.
        kept_by: the owner, or the page, of a run that goes on without a viewer; else "".
        callback: the id of its event callback.
        is_ended: whether the run is over.
    """

    run: RunId
    place: Place
    connection: ConnectionId
    owner: str
    kept_by: str = ""
    callback: CallbackId = NO_CALLBACK
    is_ended: bool = False


class RunDirectory(ABC):
    """Which runs there are, where they are, and which ones go on without a viewer.

    A record is known while its run lives and for some minutes after `retire`.
    """

    @abstractmethod
    async def claim(self, record: RunRecord) -> RunRecord | None:
        """Register a run, which writes to its log from now on; return its earlier record.

        Returns None if the claim succeeded, and a record that is nowhere if the run was given up
        (see `locate`). A claim that fails, or is cancelled, must be undone by `withdraw`.
        """

    @abstractmethod
    def withdraw(self, record: RunRecord, connections: Sequence[ConnectionId]) -> None:
        """Undo a start, wherever it was cut: its claim, and what it has joined.

        A run that another request has claimed is left alone. What this worker asks afterwards
        finds nothing of the start.

        Args:
            record: of the run that was not started.
            connections: whose logs the run may have joined.
        """

    @abstractmethod
    async def find(self, runs: Sequence[RunId]) -> list[RunRecord | None]:
        """Return the records of runs; None for each unknown run."""

    @abstractmethod
    async def locate(
        self, runs: Sequence[RunId], owner: str
    ) -> Mapping[WorkerId, tuple[RunId, ...]]:
        """The workers that may have these runs, to tell them to stop.

        Queued runs are listed at this worker, which can take them back. A run that is unknown
        everywhere is given up, as its start may be on its way: this owner cannot claim it for a
        while.
        """

    @abstractmethod
    async def kept(self, kept_by: str, callbacks: Sequence[CallbackId]) -> tuple[RunId, ...]:
        """Return the live runs of callbacks that this owner or page keeps without a viewer."""

    @abstractmethod
    async def move(self, record: RunRecord, before: Place | None = None) -> RunRecord | None:
        """Replace the record of a live run if it is at the place `before` (None for any).

        Returns the record that is known now, which is another one if it was not replaced; None if
        the run is unknown.
        """

    @abstractmethod
    def retire(self, record: RunRecord) -> None:
        """Mark the record of a run as ended."""

    @abstractmethod
    async def keep_snapshot(self, run: RunId, events: Sequence[bytes], end: bytes) -> None:
        """Keep an ended run's snapshot and end event for some minutes, for pages that attach."""

    @abstractmethod
    async def snapshot(self, run: RunId, position: int) -> list[bytes]:
        """Return the kept event at a position and, unless it is the last, the next one.

        Empty if nothing is kept.
        """
