"""The thread of a client that writes: what has gathered is one transaction."""

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from flash_events.errors import Conflict, StoreUnavailable
from flash_events.stores.sqlite.database import (
    Connection,
    begin,
    is_locked,
    roll_back,
    unavailable,
)
from flash_events.stores.sqlite.files import LargeFiles
from flash_events.stores.sqlite.transaction import Transaction

T = TypeVar("T")

HOLD_SECONDS = 0.05
"""Approximate time for which a transaction takes in more work."""

MOST_JOBS = 1000
"""Maximum number of jobs that are taken together."""

IDLE_SECONDS = 0.5
"""Time without work after which the writer looks whether there is something to sweep."""


@dataclass(slots=True, eq=False)
class _Job:
    """Work to be done in a transaction, and who waits for it.

    Attributes:
        work: gets the transaction and the name of the large file.
        large: the content of the large file; None for none.
    """

    work: Callable[[Transaction, str | None], Any]
    future: asyncio.Future[Any]
    large: bytes | None
    file: str | None = None
    result: Any = None
    error: Exception | None = None


@dataclass(eq=False)
class Writer:
    """Does what its client asks to be written, in order.

    Attributes:
        connection: the connection of its thread.
        files: the large files.
        on_news: called in the thread after entries were committed.
        sweep: called in the thread between two transactions, and from time to time; with the
            numbers of the logs that were trimmed since. Returns whether that was all for now.
        at_end: called in the thread in the last transaction.
        at_end: the last thing that is written.
    """

    connection: Connection
    files: LargeFiles
    on_news: Callable[[], object]
    sweep: Callable[["Writer", set[int]], bool]
    at_end: Callable[[Transaction], object]
    _jobs: "queue.SimpleQueue[_Job | None]" = field(default_factory=queue.SimpleQueue)
    _trimmed: set[int] = field(default_factory=set)
    _is_closed: bool = False

    def __post_init__(self) -> None:
        self._thread = threading.Thread(
            target=self._run, name="flash_events store writer", daemon=True
        )

    def start(self) -> None:
        """Start the thread; the running loop is the one on which `do` is called."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def do(
        self, work: Callable[[Transaction, str | None], T], large: bytes | None = None
    ) -> T:
        """Return what a function returns, when it is committed.

        Args:
            work: called in the thread, in a transaction, once or several times, with the name of
                the large file.
            large: content for a large file, which is written first. If its data is not wanted the
                function adds its name to `Transaction.unneeded`.

        Raises:
            StoreUnavailable: if the database or the disk refuses it.
            Conflict: if the function does.
        """
        if self._is_closed:
            raise StoreUnavailable("The store is closed.")
        job = _Job(work, self._loop.create_future(), large)
        self._jobs.put(job)
        result: T = await job.future
        return result

    def close(self) -> None:
        """Do what was asked and end the thread; blocks."""
        self._is_closed = True
        self._jobs.put(None)
        if self._thread.ident is not None:
            self._thread.join()

    def attempt(self, work: Callable[[Transaction], object]) -> None:
        """Do something in the thread, in a transaction of its own.

        Raises:
            sqlite3.Error: if it was not committed.
        """
        connection = self.connection.get()
        begin(connection)
        transaction = Transaction(connection, time.time())
        try:
            work(transaction)
            connection.execute("commit")
        except BaseException:  # whatever it was, no lock may stay
            roll_back(connection)
            raise
        self.files.remove(transaction.unneeded)

    def _run(self) -> None:
        is_open, is_swept = True, True
        while is_open:
            jobs, is_open = self._next(IDLE_SECONDS if is_swept else 0)
            while jobs:
                jobs = self._commit(jobs)
            if is_open:
                is_swept = self.sweep(self, self._trimmed)
        with suppress(sqlite3.Error, OSError):
            self.attempt(self.at_end)
        self.connection.close()

    def _next(self, seconds: float) -> tuple[list[_Job], bool]:
        """Wait for jobs; return those that have gathered, and whether more may come."""
        jobs: list[_Job] = []
        with suppress(queue.Empty):
            job = self._jobs.get(timeout=seconds)
            while job is not None:
                jobs.append(job)
                if len(jobs) == MOST_JOBS:
                    return jobs, True
                job = self._jobs.get_nowait()
            return jobs, False
        return jobs, True

    def _commit(self, jobs: list[_Job]) -> list[_Job]:
        """Do some jobs and tell who waits for them; return those that are left."""
        jobs = [job for job in jobs if not job.future.cancelled()]
        for job in jobs:
            self._write_file(job)
        rest = [job for job in jobs if job.error is None]
        done = [job for job in jobs if job.error is not None]
        try:
            count = self._transact(rest)
        except Exception as error:
            # The job may raise anything; its caller gets it. A job that the database refuses must
            # not take others with it. While the database is locked, each would wait again.
            if len(rest) > 1 and not is_locked(error):
                for job in rest:
                    job.error = None  # a conflict with what was undone
                    self._commit([job])
            else:
                for job in rest:
                    self._fail(job, error)
                done += rest
            rest = []
        else:
            done, rest = done + rest[:count], rest[count:]
        with suppress(RuntimeError):  # the loop was closed: nobody waits
            self._loop.call_soon_threadsafe(_tell, done)
        return rest

    def _transact(self, jobs: list[_Job]) -> int:
        """Do jobs in one transaction, until it has lasted long enough; return how many."""
        if not jobs:
            return 0
        connection = self.connection.get()
        begin(connection)
        until = time.monotonic() + HOLD_SECONDS
        transaction = Transaction(connection, time.time())
        count = 0
        try:
            for job in jobs:
                try:
                    job.result = job.work(transaction, job.file)
                except Conflict as error:
                    job.error = error
                    transaction.unneeded += [job.file] if job.file else []
                count += 1
                if time.monotonic() > until:
                    break
            transaction.finish()
            connection.execute("commit")
        except BaseException:  # whatever it was, no lock may stay
            roll_back(connection)
            raise
        if transaction.has_news:
            self.on_news()
        self._trimmed |= transaction.trimmed
        self.files.remove(transaction.unneeded)
        return count

    def _write_file(self, job: _Job) -> None:
        if job.large is not None and job.file is None:
            try:
                job.file = self.files.write(job.large)
            except OSError as error:
                job.error = unavailable(error)

    def _fail(self, job: _Job, error: Exception) -> None:
        known = isinstance(error, sqlite3.Error | OSError)
        job.error = unavailable(error) if known else error
        if job.file is not None:
            self.files.remove([job.file])


def _tell(jobs: list[_Job]) -> None:
    """Give the results to those who wait; on the loop."""
    for job in jobs:
        if not job.future.done():
            if job.error is not None:
                job.future.set_exception(job.error)
            else:
                job.future.set_result(job.result)
