"""Deletes what is not needed any more: entries, keys, values, and what the dead have left."""

import logging
import sqlite3
import time
from dataclasses import dataclass, field

from flash_events.stores.logs import KEY_SECONDS, OFFSET_SECONDS
from flash_events.stores.sqlite.files import LargeFiles
from flash_events.stores.sqlite.follower import PASSING_SECONDS
from flash_events.stores.sqlite.life import Life
from flash_events.stores.sqlite.logs import USE_SECONDS
from flash_events.stores.sqlite.members import forget_worker
from flash_events.stores.sqlite.transaction import Transaction
from flash_events.stores.sqlite.writer import HOLD_SECONDS, Writer

logger = logging.getLogger(__name__)

ENTRIES_SECONDS = 1.0
"""Time between two sweeps of the logs that were trimmed."""

ALL_SECONDS = 60.0
"""Time between two sweeps of everything."""

AT_ONCE = 2000
"""Maximum number of entries that are deleted, or logs that are looked at, together."""


@dataclass(slots=True)
class Sweeper:
    """Sweeps in the thread of a writer, a short time each time.

    Attributes:
        files: the large files.
        life: tells which clients are dead.
    """

    files: LargeFiles
    life: Life
    _entries_at: float = 0.0
    _all_at: float = 0.0
    _numbers: list[int] = field(default_factory=list)
    """Logs that are still to be looked at, of a sweep of everything."""

    def __call__(self, writer: Writer, trimmed: set[int]) -> bool:
        """Sweep if it is time; return whether that was all for now.

        Args:
            writer: whose thread this is.
            trimmed: numbers of the logs that may have entries which are not kept; those that have
                none are removed from it.
        """
        now = time.monotonic()
        try:
            if now >= self._all_at:
                self._all_at = now + ALL_SECONDS
                self._sweep_all(writer)
            if self._numbers:
                self._sweep_logs(writer, trimmed)
            if trimmed and now >= self._entries_at:
                if not self._sweep_entries(writer, trimmed):
                    return False
                self._entries_at = now + ENTRIES_SECONDS
        except (sqlite3.Error, OSError) as error:  # it is done again
            logger.debug("The store was not swept: %s", error)
            return True
        return not self._numbers

    def _sweep_entries(self, writer: Writer, trimmed: set[int]) -> bool:
        """Delete the entries of some logs; return whether those were all."""
        until = time.monotonic() + HOLD_SECONDS
        clean: set[int] = set()
        is_complete = True

        def work(transaction: Transaction) -> None:
            nonlocal is_complete
            for number in list(trimmed):
                while (count := _delete_entries(transaction, number)) == AT_ONCE:
                    if time.monotonic() > until:
                        break
                if count < AT_ONCE and not _has_trimmed(transaction, number):
                    clean.add(number)
                if time.monotonic() > until:
                    is_complete = False
                    break

        writer.attempt(work)
        trimmed -= clean
        return is_complete

    def _sweep_logs(self, writer: Writer, trimmed: set[int]) -> None:
        """Look for logs that have expired, or of which somebody who died has left entries."""
        numbers, self._numbers = self._numbers[:AT_ONCE], self._numbers[AT_ONCE:]
        connection = writer.connection.get()
        now = time.time()
        marks = ", ".join(map(str, numbers))
        expired = connection.execute(
            f"select number from logs where number in ({marks}) and trimmed < head "
            "and head_time <= ? - ttl",
            (now,),
        ).fetchall()
        left = connection.execute(
            f"select number from logs where number in ({marks}) and exists "
            "(select 1 from entries where log = number and offset <= trimmed)"
        ).fetchall()
        unused_before = now - OFFSET_SECONDS - USE_SECONDS
        unused = connection.execute(
            f"select number from logs where number in ({marks}) and trimmed = head and used_at < ?",
            (unused_before,),
        ).fetchall()

        def work(transaction: Transaction) -> None:
            execute = transaction.connection.executemany
            execute(
                "update logs set trimmed = head, trimmed_nonce = head_nonce, bytes = 0 "
                "where number = ? and head_time <= ? - ttl",
                [(number, now) for (number,) in expired],
            )
            execute(
                "delete from logs where number = ? and trimmed = head and used_at < ? and not "
                "exists (select 1 from entries where log = number)",
                [(number, unused_before) for (number,) in unused],
            )

        if expired or unused:
            writer.attempt(work)
        trimmed.update(number for (number,) in expired + left)

    def _sweep_all(self, writer: Writer) -> None:
        connection = writer.connection.get()
        self._numbers = [
            number for (number,) in connection.execute("select number from logs").fetchall()
        ]
        orphans = [name for name in self.files.old() if not _is_needed(connection, name)]
        self.files.remove(orphans)
        self.life.sweep()
        workers = connection.execute(
            "select worker from members union select worker from leads"
        ).fetchall()
        dead = [worker for (worker,) in workers if self.life.is_dead(worker)]

        def work(transaction: Transaction) -> None:
            execute = transaction.connection.execute
            execute("delete from keys where time < ?", (transaction.now - KEY_SECONDS,))
            expired = execute(
                "select file from slots where expires_at <= ?", (transaction.now,)
            ).fetchall()
            transaction.unneeded += [file for (file,) in expired if file is not None]
            execute("delete from slots where expires_at <= ?", (transaction.now,))
            for worker in dead:
                forget_worker(transaction, worker)

        writer.attempt(work)


def _delete_entries(transaction: Transaction, number: int) -> int:
    """Delete entries of a log that are not kept and that everybody has seen; return how many."""
    execute = transaction.connection.execute
    gone = execute(
        "select offset, file from entries where log = ? "
        "and offset <= (select trimmed from logs where number = ?) and time < ? "
        "order by offset limit ?",
        (number, number, transaction.now - PASSING_SECONDS, AT_ONCE),
    ).fetchall()
    if gone:
        execute("delete from entries where log = ? and offset <= ?", (number, gone[-1][0]))
        transaction.unneeded += [file for _, file in gone if file is not None]
    return len(gone)


def _has_trimmed(transaction: Transaction, number: int) -> bool:
    """Return whether entries of a log are left that are not kept."""
    found = transaction.connection.execute(
        "select 1 from entries where log = ? "
        "and offset <= (select trimmed from logs where number = ?)",
        (number, number),
    ).fetchone()
    return found is not None


def _is_needed(connection: sqlite3.Connection, file: str) -> bool:
    return any(
        connection.execute(f"select 1 from {table} where file = ?", (file,)).fetchone() is not None
        for table in ("entries", "slots")
    )
