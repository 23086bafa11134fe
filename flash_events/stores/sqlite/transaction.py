"""One transaction of the writer: its reads and changes."""

import sqlite3
from dataclasses import dataclass, field

from flash_events.stores.logs import NONCE_SECONDS, LogId, Position


@dataclass(slots=True)
class LogRow:
    """The row of a log. The entries up to `trimmed` are not kept.

    Attributes:
        number: of the row; 0 for a log that has none yet.
        head_time: Unix time of the last entry.
        first_time: Unix time of the first entry that is kept.
        bytes: total size of the entries that are kept.
        ttl: time for which entries are kept, in seconds.
    """

    number: int = 0
    head: int = 0
    head_nonce: str = ""
    head_time: float = 0.0
    trimmed: int = 0
    trimmed_nonce: str = ""
    first_time: float = 0.0
    bytes: int = 0
    ttl: float | None = None

    @property
    def position(self) -> Position:
        """The position after the last entry."""
        return Position(self.head, self.head_nonce)

    def trim_all(self) -> None:
        """Keep none of the entries."""
        self.trimmed, self.trimmed_nonce, self.bytes = self.head, self.head_nonce, 0


COLUMNS = "number, head, head_nonce, head_time, trimmed, trimmed_nonce, first_time, bytes, ttl"


@dataclass(slots=True, eq=False)
class Transaction:
    """A transaction, in which nobody else writes.

    Attributes:
        connection: the connection on which it is.
        now: its Unix time.
        unneeded: names of large files that are removed after it.
        trimmed: numbers of the logs of which entries were trimmed.
        has_news: whether entries were appended.
    """

    connection: sqlite3.Connection
    now: float
    unneeded: list[str] = field(default_factory=list)
    trimmed: set[int] = field(default_factory=set)
    has_news: bool = False
    _logs: dict[LogId, LogRow] = field(default_factory=dict)
    _changed: set[LogId] = field(default_factory=set)
    _nonces: tuple[str, str] | None = None

    def log(self, log: LogId) -> LogRow:
        """Return the row of a log, which need not be in the database yet."""
        known = self._logs.get(log)
        if known is None:
            row = self.connection.execute(
                f"select {COLUMNS} from logs where name = ?", (log,)
            ).fetchone()
            known = self._logs[log] = LogRow(*row) if row is not None else LogRow()
        return known

    def change(self, log: LogId) -> LogRow:
        """Return the row of a log that is stored, when the transaction ends, as it is then."""
        row = self.log(log)
        if not row.number:
            added = self.connection.execute(
                "insert into logs values (null, ?, 0, '', 0, 0, '', 0, 0, null, ?)", (log, self.now)
            )
            assert added.lastrowid is not None
            row.number = added.lastrowid
        self._changed.add(log)
        return row

    def nonces(self) -> tuple[str, str]:
        """Return the tables of the current nonces, and of those before.

        Each has the nonces of a period of NONCE_SECONDS. Emptying a whole table costs nearly
        nothing; removing nonces one by one would cost as much as appending.
        """
        if self._nonces is None:
            now = int(self.now // NONCE_SECONDS)
            row = self.connection.execute("select value from meta where name = 'period'").fetchone()
            period = row[0] if row is not None else 0
            if now > period:
                self.connection.execute(f"delete from nonces_{now % 2}")
                if now > period + 1:
                    self.connection.execute(f"delete from nonces_{period % 2}")
                    self.connection.execute(f"delete from nonces_{1 - period % 2}")
                self.connection.execute("replace into meta values ('period', ?)", (now,))
                period = now
            self._nonces = f"nonces_{period % 2}", f"nonces_{1 - period % 2}"
        return self._nonces

    def finish(self) -> None:
        """Store the rows of the logs that were changed."""
        for name in self._changed:
            row = self._logs[name]
            self.connection.execute(
                "update logs set head = ?, head_nonce = ?, head_time = ?, trimmed = ?, "
                "trimmed_nonce = ?, first_time = ?, bytes = ?, ttl = ?, used_at = ? "
                "where number = ?",
                (
                    row.head, row.head_nonce, row.head_time, row.trimmed, row.trimmed_nonce,
                    row.first_time, row.bytes, row.ttl, self.now, row.number,
                ),
            )  # fmt: skip
