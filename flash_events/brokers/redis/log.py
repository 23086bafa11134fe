"""An event log in Redis, as one worker sees it."""

import asyncio
import contextvars
import logging
import secrets
from collections import Counter, deque
from collections.abc import Callable, Iterable
from itertools import chain
from time import monotonic
from typing import Any

from flash_events import sse
from flash_events.brokers.admission import Admission
from flash_events.brokers.ids import NO_RUN, RunId, WorkerId
from flash_events.brokers.log import Batch, EventLog, LogLimits
from flash_events.brokers.place import At, Place, decode_place
from flash_events.brokers.redis.entries import Entry, check
from flash_events.brokers.redis.keys import LogKeys
from flash_events.brokers.redis.pipe import Pipe
from flash_events.brokers.redis.scripts import APPEND, END_RUN, FINISH, READ
from flash_events.brokers.redis.window import Window
from flash_events.errors import BrokerError, GoneCause, LogGone

logger = logging.getLogger(__name__)

APPEND_BYTES = 64 * 1024
"""Maximum size of one entry of the stream; a single event may be larger."""

_Event = tuple[RunId, bytes, int]
"""The run ("" for none), the event, and its cost."""

READ_ENTRIES = 256
"""Maximum number of entries of one read."""

READ_BYTES = 512 * 1024
"""Size after which a read takes no further entry, in bytes."""

ASK_AGAIN_SECONDS = 5.0
"""A reader that has got everything, and reads on within this time, waits to be told of more. Later,
as at the next heartbeat, Redis is asked: what was told may have been lost."""


class RedisLog(EventLog):
    """Writes through a queue of its own, in batches, and reads what all workers have written.

    Args:
        pipe: to Redis.
        keys: of the log.
        worker: this worker.
        limits: of the log.
        tell: tells a worker that there is news (`None`) or room (the handed cost).
        on_given_up: called when the log is lost because Redis has refused it.
    """

    def __init__(
        self,
        pipe: Pipe,
        keys: LogKeys,
        worker: WorkerId,
        limits: LogLimits,
        tell: Callable[[WorkerId, int | None], None],
        on_given_up: Callable[[], object] = lambda: None,
    ) -> None:
        self.epoch = ""
        """Epoch of the event ids; known only to the reader."""
        self.is_gone = False
        self.is_given_up = False
        self.writers: set[RunId] = set()
        """Runs of this worker that write to the log."""
        self._attempts: dict[RunId, int] = {}
        """Attempt number of each run that was taken over; 0 for others."""
        self.holder: WorkerId | None = None
        """Holder of a log that is held elsewhere, as of the last answer."""
        self._pipe = pipe
        self._keys = keys
        self._worker = worker
        self.here = At(worker)
        self._tell = tell
        self._on_given_up = on_given_up
        self._admission = Admission(limits)
        self._writer = secrets.token_hex(8)
        self._appends = 0
        self._queue: deque[_Event] = deque()
        self._leaving: list[RunId] = []
        self._flushing: asyncio.Task[None] | None = None
        self._asked_for_room = False
        self._sent: deque[tuple[int, Counter[RunId]]] = deque()
        """Appends that were not handed over yet: total cost at their end, and cost by run."""
        self._sent_cost = 0
        self._total = 0
        self._handed = 0
        self._readable = asyncio.Event()
        self.runs: dict[RunId, Place] = {}
        self._known: list[bytes] | None = None
        """The runs in the last answer of Redis; None if they have changed since."""
        self._window = Window(limits)
        self._complete = -1
        """The last event that was read, if no writer waited for room then; else -1."""
        self._complete_at = 0.0

    @property
    def is_unused(self) -> bool:
        """Whether no run of this worker writes to it, and all events were sent."""
        is_sent = self._flushing is None or self._flushing.done()
        return is_sent and not self.writers

    @property
    def waiting(self) -> int:
        return self._admission.waiting + self._admission.foreign

    def register(self, run: RunId, attempt: int = 0) -> None:
        """Register a run of this worker as a writer."""
        self.writers.add(run)
        self._admission.accept(run)
        if attempt:
            self._attempts[run] = attempt

    def know(self, runs: list[bytes]) -> None:
        """Store the runs that Redis has returned, as ids and places in turn."""
        if runs == self._known:
            return
        self._known = runs
        parts = [part.decode() for part in runs]
        places = map(decode_place, parts[1::2])
        self.runs = dict(zip(map(RunId, parts[::2]), places, strict=True))

    def note(self, run: RunId, place: Place) -> None:
        """Add a run that has joined."""
        self.runs, self._known = {**self.runs, run: place}, None

    def forget(self, run: RunId) -> None:
        """Remove a run that no longer uses the log."""
        self.runs, self._known = {name: at for name, at in self.runs.items() if name != run}, None

    def offer(self, run: RunId, event: bytes, most: int | None = None) -> bool:
        cost = self._admission.admit(run, event, most)
        if cost:
            self._append(run, event, cost)
        return cost > 0

    async def append(self, run: RunId, event: bytes, most: int | None = None) -> None:
        if self.offer(run, event, most):
            return
        self._asked_for_room = True
        self._flush()
        self._append(run, event, await self._admission.wait(run, event, most))

    def append_now(self, event: bytes, run: RunId = NO_RUN) -> None:
        self._put(run, event)

    def leave(self, run: RunId, event: bytes = b"") -> None:
        if event and self.is_given_up:  # others may have it still, and their reader waits
            args = (run, self._worker, self._admission.cost(event), event, secrets.token_hex(8))
            asked = self._pipe.tell_at_last(END_RUN, self._keys, *args)
            asked.add_done_callback(self._on_left)
        elif event:
            self._put(run, event)
        self.writers.discard(run)
        self._leaving.append(run)
        self._flush()

    def _on_left(self, asked: "asyncio.Future[Any]") -> None:
        if not asked.cancelled() and not asked.exception() and asked.result() is not None:
            self._tell(WorkerId(asked.result().decode()), None)

    async def sent(self) -> None:
        while self._flushing is not None and not self._flushing.done():
            await asyncio.wait({self._flushing})

    async def finish_if_idle(self, event: bytes) -> bool:
        cost = self._admission.cost(event)
        is_finished = bool(await self._pipe.run(FINISH, self._keys, cost, event))
        self._readable.set()
        return is_finished

    def wake(self) -> None:
        self._readable.set()

    def on_room(self, handed: int) -> None:
        """Update the total cost that the holder has handed over."""
        self._account(self._total, handed)
        self.ask_for_room()

    def ask_for_room(self) -> None:
        """Ask the holder for a signal when there is room, if a writer waits; may be repeated."""
        if self._admission.is_wanted:
            self._asked_for_room = True
            self._flush()

    def give_up(self, error: BrokerError) -> None:
        """Give the log up, because Redis cannot keep it.

        Its writers, its reader and clients that resume it get an error.
        """
        if self.is_gone:
            return
        logger.error("An event log is lost. %s", error)
        self.is_given_up = True
        self.close()
        self._on_given_up()

    def close(self) -> None:
        """Mark the log as gone."""
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
            if batch.data or batch.finished or not batch.runs:  # an idle connection is closed soon
                return batch
        await self._readable.wait()  # who appends, or wants room, says so
        self._readable.clear()
        return await self._batch(number)

    def _put(self, run: RunId, event: bytes) -> None:
        if not self.is_gone and not self._admission.is_refused(run):
            self._append(run, event, self._admission.put(run, event))

    def _append(self, run: RunId, event: bytes, cost: int) -> None:
        self._queue.append((run, event, cost))
        self._flush()

    def _flush(self) -> None:
        if self._flushing is None or self._flushing.done():
            # In a context of its own, or the current request would be kept.
            self._flushing = asyncio.create_task(self._send(), context=contextvars.Context())

    async def _send(self) -> None:
        while (self._queue or self._leaving or self._asked_for_room) and not self.is_gone:
            events, leaving = self._take()
            waits, self._asked_for_room = self._asked_for_room or self._admission.is_wanted, False
            self._appends += 1
            try:
                answer = await self._append_all(events, leaving, waits)
                while answer is not None and answer[0] == b"refused":
                    refused = {RunId(run.decode()) for run in answer[1:]}
                    self._admission.free(_costs(one for one in events if one[0] in refused))
                    events = [one for one in events if one[0] not in refused]
                    for run in refused:
                        self._refuse(run)
                    answer = await self._append_all(events, leaving, waits)
            except BrokerError as error:
                self.give_up(error)
                return
            if answer is None:
                self.close()
                return
            total, handed, holder = int(answer[0]), int(answer[1]), WorkerId(answer[2].decode())
            costs = _costs(events)
            cost = costs.total()
            if events:
                self._sent.append((total, costs))
                self._sent_cost += cost
            self._account(total, handed)
            if holder == self._worker:
                self._readable.set()
            else:
                self._tell(holder, None)

    def _append_all(
        self, events: list[_Event], leaving: list[RunId], waits: bool
    ) -> "asyncio.Future[Any]":
        writing: dict[RunId, str] = {}
        for run, _, _ in events:
            if run:
                writing[run] = str(self._attempts.get(run, 0))
        return self._pipe.run(
            APPEND,
            self._keys,
            self._writer,
            self._appends,
            self._worker,
            int(waits),
            len(events),
            sum(cost for _, _, cost in events),
            b"".join([event for _, event, _ in events]),
            len(writing),
            *chain.from_iterable(writing.items()),
            *leaving,
        )

    def _refuse(self, run: RunId) -> None:
        """Refuse further events of a run that another worker or attempt has taken over."""
        logger.warning("A run was declared lost, or taken over; what it still writes is refused.")
        self.writers.discard(run)
        self._admission.refuse(run)

    def _take(self) -> tuple[list[_Event], list[RunId]]:
        """Return the next events of the queue, and the runs that leave after them."""
        events: list[_Event] = []
        size = 0
        while self._queue and size < APPEND_BYTES:
            events.append(self._queue.popleft())
            size += len(events[-1][1])
        if self._queue:
            return events, []
        leaving, self._leaving = self._leaving, []
        return events, leaving

    def _account(self, total: int, handed: int) -> None:
        """Store how much was appended, and handed over, by all workers."""
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
            raise LogGone(GoneCause.DROPPED)
        number = sse.number_of(after, self.epoch)
        if number is None:
            raise LogGone(GoneCause.NOT_KEPT)
        return number

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
        event_id = sse.event_id(self.epoch, position)
        return Batch(b"".join(parts), event_id, is_finished and position == last, self.runs)

    async def _fetch(self, number: int, count: int) -> tuple[int, bool, list[Entry], int]:
        """Read entries, report what was handed over, and trim what is no longer replayable."""
        self._handed = max(self._handed, self._window.handed(number))
        asked = self._pipe.run(
            READ,
            self._keys,
            self._worker,
            self._handed,
            number,
            count,
            READ_BYTES,
            self._window.keep_from(number),
        )
        asked.add_done_callback(self._on_read)
        # Who reads may lose patience; but what the script has done must be taken note of.
        try:
            answer = await asyncio.shield(asked)
        except BrokerError as error:
            self.give_up(error)
            raise LogGone(GoneCause.UNREADABLE) from error
        if answer is None:
            raise LogGone(GoneCause.TAKEN_OVER)
        entries = [Entry.of(*entry) for entry in answer[2]]
        return int(answer[0]), bool(answer[1]), entries, int(answer[7])

    def _on_read(self, asked: "asyncio.Future[Any]") -> None:
        if asked.cancelled() or asked.exception() is not None or asked.result() is None:
            return
        _, _, _, runs, told, total, handed, _ = asked.result()
        self.know(runs)
        self._account(int(total), int(handed))
        for worker in told:
            if worker.decode() != self._worker:
                self._tell(WorkerId(worker.decode()), self._handed)


def _costs(events: Iterable[_Event]) -> Counter[RunId]:
    """Return the cost of events by run."""
    costs: Counter[RunId] = Counter()
    for run, _, cost in events:
        costs[run] += cost
    return costs
