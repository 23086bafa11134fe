"""Writes what one task emits to the log of the run that streams it."""

import logging
import math
import secrets
import threading
import time
from collections import deque

from flash_events.brokers.ids import ConnectionId, RunId, WorkerId
from flash_events.brokers.place import QUEUED, At, Place, decode_place, encode_place
from flash_events.brokers.redis.keys import log_keys
from flash_events.brokers.redis.process import RedisProcess
from flash_events.brokers.redis.scripts import ADOPT, EMIT, END_RUN
from flash_events.errors import GoneCause, LogGone

logger = logging.getLogger(__name__)

AHEAD = 256
"""Maximum number of emitted events that Redis does not have yet."""

BATCH_BYTES = 64 * 1024


LOOK_SECONDS = 0.05
MAX_LOOK_SECONDS = 1.0
"""Seconds between two checks of the lease of a process that has a task."""

MISSED_TIMES = 3
"""Number of consecutive checks without a lease after which a process counts as dead."""

LEASE_SECONDS = 10.0
"""Maximum time until the lease of a dead process has expired."""

AGAIN = (
    "%s was delivered a second time while the first attempt lives, and waits for its end. If "
    "Celery's broker is Redis, set visibility_timeout to more than the longest task takes."
)


class TaskWriter:
    """One attempt of one task; a thread sends what is emitted, together where it comes together.

    Args:
        process: that the task runs in.
        connection: the log, held by a worker of the web.
        run: as what the log knows the task.
    """

    def __init__(self, process: RedisProcess, connection: ConnectionId, run: RunId) -> None:
        self.attempt = 0
        self._process = process
        self._connection = connection
        self._run = run
        self._holder: WorkerId | None = None
        self._number = 0
        self._queue: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_closing = False
        self._is_sending = False
        self._failed: Exception | None = None

    def adopt(self) -> bool:
        """Take the task over; return whether its run is still live.

        Waits while another process that lives has it: then the task was delivered twice.
        """
        self._process.renew_lease()
        self._wait_for_its_turn()
        worker, nonce = self._process.worker, secrets.token_hex(8)
        answer = self._process.run(ADOPT, self._connection, self._run, worker, nonce)
        if answer is None:
            return False
        self.attempt, holder = int(answer[1]), WorkerId(answer[2].decode())
        self._holder = holder
        if not self.attempt:
            self._process.tell(holder, self._connection)
        return self.attempt > 0

    def _wait_for_its_turn(self) -> None:
        seconds, missed, since = LOOK_SECONDS, 0, time.monotonic()
        while (worker := self._other()) is not None and missed < MISSED_TIMES:
            if self._process.lives(worker):
                missed, seconds = 0, min(2 * seconds, MAX_LOOK_SECONDS)
            else:
                missed, seconds = missed + 1, MAX_LOOK_SECONDS
            time.sleep(seconds)  # in a task, never on a loop
            if time.monotonic() - since > LEASE_SECONDS:
                logger.warning(AGAIN, "A task")
                since = math.inf

    def _other(self) -> WorkerId | None:
        """Return the other process that has the task, or None."""
        _, meta, runs, *_ = log_keys(self._connection)
        place = decode_place((self._process.call("HGET", runs, self._run) or b"").decode())
        holder = (self._process.call("HGET", meta, "holder") or b"").decode()
        if isinstance(place, At) and place.worker not in (self._process.worker, holder):
            return place.worker
        return None

    def emit(self, event: bytes) -> None:
        """Queue an event to be appended in order; block while too many wait.

        Raises:
            LogGone: what the task emits is wanted no more.
        """
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, daemon=True)
                self._thread.start()
            self._changed.wait_for(
                lambda: self._failed or self._is_closing or len(self._queue) < AHEAD
            )
            self._raise()
            self._queue.append(event)
            self._changed.notify_all()

    def tell(self, event: bytes, hand_back: bool = False) -> None:
        """Append an event after all earlier ones; with `hand_back` the task is queued again.

        Raises:
            LogGone: what the task emits is wanted no more.
        """
        self.flush()
        self._raise()
        if hand_back:
            self._close()
        self._send([event], QUEUED if hand_back else None)

    def end(self, event: bytes, anyone: bool = False) -> None:
        """Append the task's last event, unless another process has appended one.

        Args:
            event: what is told.
            anyone: whether it may be told of a task of another process.
        """
        self.flush()
        self._close()
        place = "" if anyone else self._process.worker
        cost = self._process.limits.cost(event)
        args = (self._connection, self._run, place, cost, event, secrets.token_hex(8))
        holder = self._process.run(END_RUN, *args)
        if holder is not None:
            self._holder = WorkerId(holder.decode())
        if self._holder is not None:  # it may have been told before the answer was lost
            self._process.tell(self._holder, self._connection)

    @property
    def error(self) -> Exception | None:
        """The error because of which events were not appended; None if their log is just gone."""
        return None if isinstance(self._failed, LogGone) else self._failed

    def _raise(self) -> None:
        if self._failed is not None:
            cause = getattr(self._failed, "cause", GoneCause.UNREADABLE)
            raise LogGone(cause) from self._failed
        if self._is_closing:
            raise LogGone(GoneCause.TAKEN_OVER)

    def _close(self) -> None:
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()

    def flush(self) -> None:
        """Wait until Redis has all emitted events, or the log is gone."""
        with self._changed:
            self._changed.wait_for(lambda: self._failed or not (self._queue or self._is_sending))

    def _work(self) -> None:
        while True:
            with self._changed:
                self._is_sending = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._queue or self._is_closing)
                if not self._queue:
                    return
                self._is_sending = True
                batch = [self._queue.popleft()]
                size = len(batch[0])
                while self._queue and size < BATCH_BYTES:
                    batch.append(self._queue.popleft())
                    size += len(batch[-1])
                self._changed.notify_all()
            try:
                self._send(batch)
            except Exception as error:  # whatever it was: it is raised where the task can see it
                with self._changed:
                    self._failed = error
                    self._changed.notify_all()
                return

    def _send(self, events: list[bytes], place: Place | None = None) -> None:
        """Append events as soon as there is room; then set the run's place, if given."""
        self._number += 1
        limits = self._process.limits
        cost = sum(limits.cost(event) for event in events)
        place_text = encode_place(place) if place is not None else ""
        numbers = (self.attempt, self._number, place_text, limits.waiting_bytes, cost, len(events))
        worker, data = self._process.worker, b"".join(events)
        while True:
            answer = self._process.run(EMIT, self._connection, self._run, worker, *numbers, data)
            if answer is None:
                raise LogGone(GoneCause.DROPPED)
            holder, has_room, is_idle = answer
            self._holder = WorkerId(holder.decode())
            if is_idle:
                self._process.tell(self._holder, self._connection)
            if has_room:
                return
            self._process.hear()
