"""Reading logs from a snapshot of the database."""

import sqlite3
import time
from collections.abc import Sequence

from flash_events.stores.logs import Entry, LogId, Position, Read
from flash_events.stores.sqlite.transaction import COLUMNS, LogRow

LOGS_AT_ONCE = 500
"""Maximum number of logs of one query."""

SELECT = "select offset, nonce, time, origin, data, size from entries where log = ?"


def read(connection: sqlite3.Connection, log: LogId, after: Position, most_bytes: int) -> Read:
    """Return the entries after a position; see `Logs.read`."""
    row = _row(connection, log)
    is_known = _knows(connection, row, after)
    first = _first(connection, row)
    start = max(first, after.offset + 1) if is_known else first
    cursor = connection.execute(f"{SELECT} and offset >= ? order by offset", (row.number, start))
    return Read(tuple(_limited(cursor, most_bytes)), row.position, first, is_known)


def read_last(connection: sqlite3.Connection, log: LogId, count: int, most_bytes: int) -> Read:
    """Return the newest entries; see `Logs.read_last`."""
    row = _row(connection, log)
    first = _first(connection, row)
    cursor = connection.execute(
        f"{SELECT} and offset >= ? order by offset desc limit ?", (row.number, first, count)
    )
    return Read(tuple(reversed(_limited(cursor, most_bytes))), row.position, first)


def find(
    connection: sqlite3.Connection, log: LogId, offset: int
) -> tuple[bytes | None, str | None] | None:
    """Return the data of an entry, or the name of the file that has it; None if it is not kept."""
    row = _row(connection, log)
    if offset < _first(connection, row):
        return None
    found: tuple[bytes | None, str | None] | None = connection.execute(
        "select data, file from entries where log = ? and offset = ?", (row.number, offset)
    ).fetchone()
    return found


def heads(
    connection: sqlite3.Connection, logs: Sequence[LogId]
) -> dict[str, tuple[Position, float]]:
    """Return the positions after the last entries, and when the logs were used."""
    found = {}
    for start in range(0, len(logs), LOGS_AT_ONCE):
        names = logs[start : start + LOGS_AT_ONCE]
        for name, head, nonce, used_at in connection.execute(
            "select name, head, head_nonce, used_at from logs where name in "
            f"({', '.join('?' * len(names))})",
            names,
        ).fetchall():
            found[name] = Position(head, nonce), used_at
    return found


def _row(connection: sqlite3.Connection, log: LogId) -> LogRow:
    row = connection.execute(f"select {COLUMNS} from logs where name = ?", (log,)).fetchone()
    return LogRow() if row is None else LogRow(*row)


def _first(connection: sqlite3.Connection, row: LogRow) -> int:
    """Return the offset of the first entry that is kept and not too old."""
    if row.ttl is None or row.trimmed == row.head:
        return row.trimmed + 1
    since = time.time() - row.ttl
    if row.first_time > since:
        return row.trimmed + 1
    found = connection.execute(
        "select offset from entries where log = ? and offset > ? and time > ? "
        "order by offset limit 1",
        (row.number, row.trimmed, since),
    ).fetchone()
    return row.head + 1 if found is None else int(found[0])


def _knows(connection: sqlite3.Connection, row: LogRow, position: Position) -> bool:
    if position.offset > row.head:
        return False
    if not position.nonce or position.offset < row.trimmed:
        return True
    if position.offset == row.trimmed:
        return position.nonce == row.trimmed_nonce
    [nonce] = connection.execute(
        "select nonce from entries where log = ? and offset = ?", (row.number, position.offset)
    ).fetchone()
    return bool(nonce == position.nonce)


def _limited(cursor: sqlite3.Cursor, most_bytes: int) -> list[Entry]:
    """Return the entries of a query up to a total size, one at least."""
    entries: list[Entry] = []
    for offset, nonce, at, origin, data, size in cursor:
        most_bytes -= size
        if entries and most_bytes < 0:
            break
        entries.append(Entry(offset, nonce, at, origin, data))
    cursor.close()
    return entries
