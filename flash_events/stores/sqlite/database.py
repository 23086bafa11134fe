"""The database: its tables, connections to it, and the wait for its lock."""

import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from flash_events.errors import ConfigurationError, StoreUnavailable

T = TypeVar("T")

MAX_BYTES = 2 * 2**30
"""Default maximum size of the database; large data is beside it, and not counted."""

PAGE_BYTES = 4096

LOCK_SECONDS = 5.0
"""Timeout of waiting for a lock."""

RETRY_SECONDS = 0.0005
"""Time between two tries to lock. SQLite's own wait is longer each time: of four processes that
write all the time, some then wait for 600 ms."""

APPLICATION = 0x464C4556
VERSION = 1

TABLES = """
create table meta (name text primary key, value integer not null) without rowid;
create table logs (
    number integer primary key autoincrement,
    name text not null unique,
    head integer not null,              -- offset of the last entry
    head_nonce text not null,
    head_time real not null,
    trimmed integer not null,           -- offset of the last entry that is not kept
    trimmed_nonce text not null,
    first_time real not null,           -- of the first entry that is kept
    bytes integer not null,             -- of the entries that are kept
    ttl real,
    used_at real not null
);
create table entries (
    id integer primary key autoincrement,   -- never used again: clients read what is above the last
    log integer not null,
    offset integer not null,
    nonce text not null,
    time real not null,
    origin text not null,
    size integer not null,
    is_passing integer not null,        -- whether it was never kept
    file text,
    data blob
);
create unique index entries_of_log on entries (log, offset);
create index entries_by_file on entries (file) where file is not null;
create table nonces_0 (
    log integer, nonce text, offset integer not null, primary key (log, nonce)
) without rowid;
create table nonces_1 (
    log integer, nonce text, offset integer not null, primary key (log, nonce)
) without rowid;
create table keys (
    log integer, key text, offset integer not null, nonce text not null, time real not null,
    primary key (log, key)
) without rowid;
create index keys_by_time on keys (time);
create table slots (                    -- a section is what the contract calls a group
    section text,
    name text,
    size integer not null,
    expires_at real,
    used integer not null,              -- counts up in each section
    file text,
    data blob,
    primary key (section, name)
);
create index slots_by_use on slots (section, used);
create index slots_by_file on slots (file) where file is not null;
create table leads (
    section text, name text, fence text not null, worker text not null,
    primary key (section, name)
) without rowid;
create table member_numbers (section text primary key, last integer not null) without rowid;
create table members (
    section text, id text, worker text not null, number integer not null, since real not null,
    data blob not null,
    primary key (section, id)
);
create index members_by_worker on members (worker);
"""


@dataclass(frozen=True, slots=True)
class Database:
    """A file, and how it is opened.

    Args:
        path: of the file.
        is_private: whether it ends with its workers; then nothing must survive the machine.
        max_bytes: its maximum size.
    """

    path: Path
    is_private: bool
    max_bytes: int

    def create(self) -> None:
        """Make the tables if need be; blocks.

        Raises:
            ConfigurationError: if the file is not such a database.
            sqlite3.Error: if it cannot be opened or written to.
        """
        connection = self.connect()
        try:
            begin(connection)
            [application] = connection.execute("pragma application_id").fetchone()
            [version] = connection.execute("pragma user_version").fetchone()
            if connection.execute("select 1 from sqlite_master").fetchone() is None:
                for statement in TABLES.split(";"):
                    connection.execute(statement)
                connection.execute(f"pragma application_id = {APPLICATION}")
                connection.execute(f"pragma user_version = {VERSION}")
            elif application != APPLICATION:
                raise ConfigurationError(
                    f"Expected the store {self.path} to be a new file or one of flash_events, but "
                    "it is the database of another program. Set store to another path."
                )
            elif version != VERSION:
                raise ConfigurationError(
                    f"Expected the store {self.path} to have the format {VERSION}, got {version}: "
                    "another version of flash_events has made it. Remove it while no program uses "
                    "it, or set store to another path."
                )
            connection.execute("commit")
        finally:
            connection.close()

    def connect(self) -> sqlite3.Connection:
        """Open a connection that waits for no lock by itself."""
        connection = sqlite3.connect(
            self.path, timeout=0, isolation_level=None, check_same_thread=False,
            cached_statements=256,
        )  # fmt: skip
        try:
            retried(lambda: connection.execute("pragma journal_mode = wal").fetchall())
            for option in (
                f"synchronous = {'off' if self.is_private else 'normal'}",
                "temp_store = memory",
                "journal_size_limit = 67108864",
                f"max_page_count = {self.max_bytes // PAGE_BYTES}",
            ):
                retried(partial(connection.execute, f"pragma {option}"))
        except BaseException:  # whatever it was, nobody else has the connection
            connection.close()
            raise
        return connection


class Connection:
    """The connection of one thread, opened at its first use.

    It is opened again if the file was replaced: SQLite would go on with one that nobody else sees.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: sqlite3.Connection | None = None
        self._files: Sequence[tuple[int, int] | None] = ()
        self.times_opened = 0

    def get(self) -> sqlite3.Connection:
        """Return the connection.

        Raises:
            sqlite3.Error: if the file cannot be opened.
        """
        if self._connection is not None and self._files == self._identities():
            return self._connection
        self.close()
        if self.times_opened:  # somebody has removed the file
            try:
                self._database.create()
            except ConfigurationError as error:
                raise sqlite3.DatabaseError(str(error)) from error
        connection = self._database.connect()
        retried(lambda: connection.execute("select max(number) from logs").fetchall())
        self._connection, self._files = connection, self._identities()
        self.times_opened += 1
        return connection

    def close(self) -> None:
        """Close it, if it is open."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _identities(self) -> Sequence[tuple[int, int] | None]:
        path = str(self._database.path)
        return [_identity(path), _identity(f"{path}-wal")]


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def begin(connection: sqlite3.Connection) -> None:
    """Begin to write; blocks until no other process writes, for LOCK_SECONDS at most."""
    retried(lambda: connection.execute("begin immediate"))


def roll_back(connection: sqlite3.Connection) -> None:
    """Undo what was written since `begin`; SQLite has done that itself after some errors."""
    if connection.in_transaction:
        with suppress(sqlite3.Error):
            connection.execute("rollback")


def retried(work: Callable[[], T]) -> T:
    """Return what a function returns, called again while the database is locked."""
    until = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return work()
        except sqlite3.OperationalError as error:
            if not is_locked(error) or time.monotonic() > until:
                raise
        time.sleep(RETRY_SECONDS)  # in a thread of the store, never on a loop


def is_locked(error: BaseException) -> bool:
    """Return whether an error says that another process has the lock."""
    code = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF == sqlite3.SQLITE_BUSY


def unavailable(error: BaseException) -> StoreUnavailable:
    """Return the error for users in place of one of SQLite or the system."""
    if is_locked(error):
        return StoreUnavailable(f"Another process has locked the store for {LOCK_SECONDS:g} s.")
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return StoreUnavailable(f"The store in SQLite has failed: {text}.")
