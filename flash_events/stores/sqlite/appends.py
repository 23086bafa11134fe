"""Appending to logs, in a transaction of the writer."""

from collections.abc import Callable
from dataclasses import dataclass

from flash_events.errors import Conflict
from flash_events.stores.logs import KEY_SECONDS, LARGE_BYTES, Keep, LogId, Position
from flash_events.stores.sqlite.transaction import LogRow, Transaction


@dataclass(frozen=True, slots=True)
class Append:
    """One append to a log; see `Logs.append`."""

    log: LogId
    data: bytes
    keep: Keep
    nonce: str
    origin: str
    key: str
    expect: int | None
    clear: bool

    @property
    def large(self) -> bytes | None:
        """The data, if it is kept in a file."""
        return self.data if len(self.data) > LARGE_BYTES else None

    def __call__(self, transaction: Transaction, file: str | None) -> Position:
        """Append it and return the position after it.

        Args:
            transaction: in which it is done.
            file: the name of the file that has its data; None for data in the database.

        Raises:
            Conflict: if the last offset is not the expected one.
        """
        row = transaction.log(self.log)
        known = self._known(transaction, row) if row.number else None
        if known is not None:
            transaction.unneeded += [file] if file else []
            return known
        if self.expect is not None and self.expect != row.head:
            raise Conflict(row.head)
        row = transaction.change(self.log)
        if self.clear:
            row.trim_all()
        self._insert(transaction, row, file)
        if _trim(transaction, row, self.keep) or self.clear:
            transaction.trimmed.add(row.number)
        transaction.has_news = True
        return row.position

    def _known(self, transaction: Transaction, row: LogRow) -> Position | None:
        """Return the position of an earlier append with the same nonce or key."""
        execute = transaction.connection.execute
        for table in transaction.nonces():
            found = execute(
                f"select offset from {table} where log = ? and nonce = ?", (row.number, self.nonce)
            ).fetchone()
            if found is not None:
                return Position(found[0], self.nonce)
        if self.key:
            found = execute(
                "select offset, nonce from keys where log = ? and key = ? and time > ?",
                (row.number, self.key, transaction.now - KEY_SECONDS),
            ).fetchone()
            if found is not None:
                return Position(*found)
        return None

    def _insert(self, transaction: Transaction, row: LogRow, file: str | None) -> None:
        execute, now = transaction.connection.execute, transaction.now
        offset = row.head + 1
        table, _ = transaction.nonces()
        execute(f"insert into {table} values (?, ?, ?)", (row.number, self.nonce, offset))
        if self.key:
            execute(
                "replace into keys values (?, ?, ?, ?, ?)",
                (row.number, self.key, offset, self.nonce, now),
            )
        execute(
            "insert into entries values (null, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                row.number, offset, self.nonce, now, self.origin, len(self.data),
                self.keep.history == 0, file, None if file else self.data,
            ),
        )  # fmt: skip
        if row.trimmed == row.head:
            row.first_time = now
        row.head, row.head_nonce, row.head_time = offset, self.nonce, now
        row.bytes += len(self.data)
        row.ttl = self.keep.ttl_seconds


def _trim(transaction: Transaction, row: LogRow, keep: Keep) -> bool:
    """Move the start of what is kept; return whether it has moved.

    The entries are deleted later, as those who watch still read them.
    """
    is_too_much = _bounds(row, keep, transaction.now)
    if keep.history == 0:
        row.trim_all()
        return True
    if not is_too_much(row.trimmed + 1, row.first_time):
        return False
    for offset, nonce, time, size in transaction.connection.execute(
        "select offset, nonce, time, size from entries where log = ? and offset > ? "
        "order by offset",
        (row.number, row.trimmed),
    ):
        row.first_time = time
        if not is_too_much(offset, time):
            break
        row.trimmed, row.trimmed_nonce = offset, nonce
        row.bytes -= size
    return True


def _bounds(row: LogRow, keep: Keep, now: float) -> Callable[[int, float], bool]:
    """Return a function that tells whether the oldest entry has to go."""

    def is_too_much(offset: int, time: float) -> bool:
        return offset < row.head and (
            offset <= row.head - keep.history
            or row.bytes > keep.max_bytes
            or (keep.ttl_seconds is not None and time <= now - keep.ttl_seconds)
        )

    return is_too_much
