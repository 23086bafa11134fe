"""An event log in Redis, as one worker sees it."""

import asyncio
import contextvars
import logging
import secrets
from collections import Counter, deque
from collections.abc import Callable
from time import monotonic
from typing import Any

from flash_events.brokers import redis_scripts as scripts
from flash_events.brokers.admission import Admission
from flash_events.brokers.base import Batch, EventLog, LogLimits
from flash_events.brokers.redis_entries import Entry, check
from flash_events.brokers.redis_pipe import Pipe
from flash_events.brokers.redis_window import Window
from flash_events.errors import LogGone

logger = logging.getLogger(__name__)

APPEND_BYTES = 64 * 1024
"""Of one entry of the stream, unless a single event is larger."""

READ_ENTRIES = 256
"""Of one read, whose bytes `redis_scripts.READ` bounds."""

ASK_AGAIN_SECONDS = 5.0
"""Who has got everything, and reads on within this time, waits to be told of more. Later, as at the
next heartbeat, Redis is asked: what was told may have been lost."""


class RedisLog(EventLog):
    """Writes through a queue of its own, in batches, and reads what all workers have written.

    Args:
        pipe: to Redis.
        keys: of the log (see `redis_scripts`).
        worker: this worker.
        limits: of the log.
        tell: tells a worker that there is news (`None`) or room (the handed cost).
    """

    def __init__(
        self,
        pipe: Pipe,
        keys: tuple[str, str, str, str],
        worker: str,
        limits: LogLimits,
        tell: Callable[[str, int | None], None],
    ) -> None:
        self.epoch = ""
        """Of its events' ids; only who reads must know it."""
        self.is_gone = False
        self.writers: set[str] = set()
        """Runs of this worker that write to it."""
        self._pipe = pipe
        self._keys = keys
        self._worker = worker
        self._tell = tell
        self._admission = Admission(limits)
        self._writer = secrets.token_hex(8)
        self._appends = 0
        self._queue: deque[tuple[str, bytes, int]] = deque()
        self._leaving: list[str] = []
        self._flushing: asyncio.Task[None] | None = None
        self._asked_for_room = False
        self._sent: deque[tuple[int, Counter[str]]] = deque()
        """What was appended and not handed over: total cost at its end, and its cost by run."""
        self._sent_cost = 0
        self._total = 0
        self._handed = 0
        self._readable = asyncio.Event()
        self.runs: dict[str, str] = {}
        """The live runs that write to it, each with its worker, as of the last read."""
        self._window = Window(limits)
        self._complete = -1
        """The event up to which everything was read, with nobody left who wants room."""
        self._complete_at = 0.0

    @property
    def is_unused(self) -> bool:
        """Whether no run of this worker writes to it, and all was sent."""
        is_sent = self._flushing is None or self._flushing.done()
        return is_sent and not self.writers

    @property
    def waiting(self) -> int:
        return self._admission.waiting + self._admission.foreign

    def offer(self, run: str, event: bytes) -> bool:
        cost = self._admission.admit(run, event)
        if cost:
            self._append(run, event, cost)
        return cost > 0

    async def append(self, run: str, event: bytes) -> None:
        if self.offer(run, event):
            return
        self._asked_for_room = True
        self._flush()
        self._append(run, event, await self._admission.wait(run, event))

    def append_now(self, event: bytes) -> None:
        self._put("", event)

    def leave(self, run: str, event: bytes = b"") -> None:
        if event:
            self._put(run, event)
        self.writers.discard(run)
        self._leaving.append(run)
        self._flush()

    async def lose(self, run: str, worker: str, event: bytes) -> bool:
        cost = self._admission.cost(event)
        holder = await self._pipe.run(scripts.LOSE, self._keys, run, worker, cost, event)
        if holder is not None:
            self._tell(holder.decode(), None)
        return holder is not None

    async def sent(self) -> None:
        while self._flushing is not None and not self._flushing.done():
            await asyncio.wait({self._flushing})

    async def finish_if_idle(self, event: bytes) -> bool:
        cost = self._admission.cost(event)
        is_finished = bool(await self._pipe.run(scripts.FINISH, self._keys, cost, event))
        self._readable.set()
        return is_finished

    def wake(self) -> None:
        self._readable.set()

    def on_room(self, handed: int) -> None:
        """The holder has handed over what this cost says."""
        self._account(self._total, handed)
        if self._admission.is_wanted:  # to be told again
            self._asked_for_room = True
            self._flush()

    def close(self) -> None:
        """The log is gone."""
        self.is_gone = True
        self._admission.close()
        self._readable.set()

    async def check(self, after: str) -> None:
        number = self._number(after)
        last, _, entries, _ = await self._fetch(number, 1)
        check(entries, number, last)

    async def read(self, after: str) -> Batch:
        number = self._number(after)
        is_recent = monotonic() - self._complete_at < ASK_AGAIN_SECONDS
        if number == self._complete and is_recent:
            self._account(self._total, self._window.handed(number))  # Redis hears of it later
        else:
            self._readable.clear()
            batch = await self._batch(number)
            if batch.data or batch.finished:
                return batch
        await self._readable.wait()  # who appends, or wants room, says so
        self._readable.clear()
        return await self._batch(number)

    def _put(self, run: str, event: bytes) -> None:
        if not self.is_gone:
            self._append(run, event, self._admission.put(run, event))

    def _append(self, run: str, event: bytes, cost: int) -> None:
        self._queue.append((run, event, cost))
        self._flush()

    def _flush(self) -> None:
        if self._flushing is None or self._flushing.done():
            # In a context of its own, or the current request would be kept.
            self._flushing = asyncio.create_task(self._send(), context=contextvars.Context())
            self._flushing.add_done_callback(self._on_flushed)

    def _on_flushed(self, flushing: "asyncio.Task[None]") -> None:
        if not flushing.cancelled() and (error := flushing.exception()) is not None:
            logger.error("An event log cannot be written", exc_info=error)
            self.close()

    async def _send(self) -> None:
        while (self._queue or self._leaving or self._asked_for_room) and not self.is_gone:
            events, costs, leaving = self._take()
            waits, self._asked_for_room = self._asked_for_room or self._admission.is_wanted, False
            cost = costs.total()
            self._appends += 1
            answer = await self._pipe.run(
                scripts.APPEND,
                self._keys,
                self._writer,
                self._appends,
                self._worker,
                int(waits),
                len(events),
                cost,
                b"".join(events),
                *leaving,
            )
            if answer is None:
                self.close()
                return
            total, handed, holder = int(answer[0]), int(answer[1]), answer[2].decode()
            if events:
                self._sent.append((total, costs))
                self._sent_cost += cost
            self._account(total, handed)
            if holder == self._worker:
                self._readable.set()
            else:
                self._tell(holder, None)

    def _take(self) -> tuple[list[bytes], Counter[str], list[str]]:
        """Some of what waits, and its cost by run; runs leave with their last event."""
        events: list[bytes] = []
        costs: Counter[str] = Counter()
        size = 0
        while self._queue and size < APPEND_BYTES:
            run, event, cost = self._queue.popleft()
            events.append(event)
            costs[run] += cost
            size += len(event)
        if self._queue:
            return events, costs, []
        leaving, self._leaving = self._leaving, []
        return events, costs, leaving

    def _account(self, total: int, handed: int) -> None:
        """Takes note of how much was appended, and handed over, by all workers."""
        self._total = max(self._total, total)
        self._handed = max(self._handed, handed)
        while self._sent and self._sent[0][0] <= self._handed:
            _, costs = self._sent.popleft()
            self._admission.free(costs)
            self._sent_cost -= costs.total()
        self._admission.foreign = max(0, self._total - self._handed - self._sent_cost)
        self._admission.notify()

    def _number(self, after: str) -> int:
        if self.is_gone:
            raise LogGone("The event log was dropped.")
        if not after:
            return 0
        epoch, _, number = after.rpartition("-")
        if epoch != self.epoch or not number.isdecimal():
            raise LogGone("The event id is of another log.")
        return int(number)

    async def _batch(self, number: int) -> Batch:
        self._complete = -1  # whoever cancels this has not heard what it may bring
        last, is_finished, entries, wanting = await self._fetch(number, READ_ENTRIES)
        check(entries, number, last)
        parts: list[bytes] = []
        position = number
        for entry in entries:
            parts.append(entry.events_after(position, self.epoch))
            position = entry.end
            self._window.note(entry.end, entry.cost, entry.size)
        if position == last and not wanting:
            self._complete, self._complete_at = last, monotonic()
        event_id = f"{self.epoch}-{position}" if position else ""
        return Batch(b"".join(parts), event_id, is_finished and position == last, self.runs)

    async def _fetch(self, number: int, count: int) -> tuple[int, bool, list[Entry], int]:
        """Reads, says what was handed over, and cuts off what nobody may ask for any more."""
        self._handed = max(self._handed, self._window.handed(number))
        asked = self._pipe.run(
            scripts.READ,
            self._keys,
            self._worker,
            self._handed,
            number,
            count,
            self._window.keep_from(number),
        )
        asked.add_done_callback(self._on_read)
        # Who reads may lose patience; but what the script has done must be taken note of.
        answer = await asyncio.shield(asked)
        if answer is None:
            raise LogGone("The event log is gone, or held by another worker.")
        entries = [Entry.of(*entry) for entry in answer[2]]
        return int(answer[0]), bool(answer[1]), entries, int(answer[7])

    def _on_read(self, asked: "asyncio.Future[Any]") -> None:
        if asked.cancelled() or asked.exception() is not None or asked.result() is None:
            return
        _, _, _, runs, told, total, handed, _ = asked.result()
        names = [part.decode() for part in runs]
        self.runs = dict(zip(names[::2], names[1::2], strict=True))
        self._account(int(total), int(handed))
        for worker in told:
            if worker.decode() != self._worker:
                self._tell(worker.decode(), self._handed)
