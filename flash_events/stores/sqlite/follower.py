"""The thread of a client that reads what others append to the logs that it watches."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from flash_events.stores.logs import Entry, LogId, OnNews
from flash_events.stores.sqlite.bells import Bell
from flash_events.stores.sqlite.database import Connection, retried, roll_back
from flash_events.stores.sqlite.files import LargeFiles

POLL_SECONDS = 0.1
"""Time after which news are found whose writer was killed before it could ring."""

PASSING_SECONDS = 3.0
"""Time for which entries that are not kept stay readable for those who watch."""

MOST_ENTRIES = 500
"""Maximum number of entries that are passed on at once."""

_SELECT = f"""
select entries.id, logs.name, offset, nonce, time, origin, data, file, is_passing
from entries cross join logs on logs.number = entries.log
where entries.id > ? and +logs.name in (select name from temp.watched)
order by entries.id limit {MOST_ENTRIES}
"""
"""The cross join and the plus sign make SQLite go through the new entries, and not through all
logs that are watched."""

News = dict[LogId, list[Entry]]


class Follower:
    """Passes on the entries of watched logs, in order, and each once.

    All entries of the database have increasing ids. Who has seen all up to one reads what is above,
    for all logs at once.

    Args:
        connection: the connection of its thread.
        bell: is rung when there are new entries.
        files: the large files.
    """

    def __init__(self, connection: Connection, bell: Bell, files: LargeFiles) -> None:
        self._connection = connection
        self._bell = bell
        self._files = files
        self._watchers: dict[LogId, OnNews] = {}
        self._lock = threading.Lock()
        """Held by who uses the watchers in another thread than that of the loop."""
        self._thread = threading.Thread(
            target=self._run, name="flash_events store follower", daemon=True
        )
        self._stopped = threading.Event()
        self._passed_on = threading.Event()
        self._last = 0
        """The id up to which all entries were seen."""
        self._version = 0
        self._seen_at = 0.0
        self._is_disturbed = False
        self._watched: set[LogId] = set()
        """Those in the table `watched` of the connection."""

    def start(self) -> None:
        """Start the thread; the running loop is the one on which watchers are called."""
        self._loop = asyncio.get_running_loop()
        self._seen_at = time.monotonic()
        self._thread.start()

    def prepare(self) -> None:
        """Note which entries exist; blocks."""
        retried(self._begin_anew)

    def watch(self, log: LogId, on_news: OnNews) -> Callable[[], None]:
        """See `Logs.watch`."""
        self._bell.hang()
        with self._lock:
            self._watchers[log] = on_news

        def end() -> None:
            with self._lock:
                if self._watchers.get(log) is on_news:
                    del self._watchers[log]

        return end

    def close(self) -> None:
        """End the thread; blocks for a moment."""
        self._stopped.set()
        self._bell.ring()
        if self._thread.ident is not None:
            self._thread.join()
        self._bell.close()
        self._connection.close()

    def _run(self) -> None:
        has_rung = True
        while not self._stopped.is_set():
            try:
                is_complete = self._look(has_rung)
            except (sqlite3.Error, OSError):  # it is tried again
                self._is_disturbed, is_complete = True, True
            has_rung = self._bell.wait(POLL_SECONDS) if is_complete else True

    def _begin_anew(self) -> sqlite3.Connection:
        """Return the connection; if it is a new one, all entries that exist count as seen."""
        times_opened = self._connection.times_opened
        connection = self._connection.get()
        if times_opened != self._connection.times_opened:
            connection.execute("create temp table watched (name text primary key) without rowid")
            self._watched = set()
            self._last = _last_id(connection)
            self._is_disturbed = times_opened > 0
        return connection

    def _look(self, has_rung: bool) -> bool:
        """Pass on new entries; return whether those were all."""
        looked_at = time.monotonic()
        connection = retried(self._begin_anew)
        [version] = connection.execute("pragma data_version").fetchone()
        if not has_rung and version == self._version and not self._is_disturbed:
            self._seen_at = looked_at
            return True
        if looked_at - self._seen_at > PASSING_SECONDS - POLL_SECONDS:
            self._is_disturbed = True
        last, rows = retried(partial(self._read, connection))
        news = self._news(rows)
        is_complete = len(rows) < MOST_ENTRIES
        if news or self._is_disturbed:
            self._pass_on(news, self._is_disturbed)
        self._last = last if is_complete else rows[-1][0]
        if is_complete:
            self._version, self._seen_at = version, looked_at
        self._is_disturbed = False
        return is_complete

    def _read(self, connection: sqlite3.Connection) -> tuple[int, list[tuple[Any, ...]]]:
        """Return the id of the last entry, and the new entries of watched logs."""
        connection.execute("begin")
        try:
            last = _last_id(connection)
            # Taken after the snapshot: what is appended after `watch` is either not in the
            # snapshot, and found next time, or its log is among these.
            with self._lock:
                watched = set(self._watchers)
            rows = []
            if watched and last != self._last:
                self._write_watched(connection, watched)
                rows = connection.execute(_SELECT, (self._last,)).fetchall()
            connection.execute("commit")
        finally:
            roll_back(connection)
        self._watched = watched if watched and last != self._last else self._watched
        return last, rows

    def _write_watched(self, connection: sqlite3.Connection, watched: set[LogId]) -> None:
        for statement, names in (
            ("insert into watched values (?)", watched - self._watched),
            ("delete from watched where name = ?", self._watched - watched),
        ):
            if names:
                connection.executemany(statement, [(name,) for name in names])

    def _news(self, rows: list[tuple[Any, ...]]) -> News:
        news: News = {}
        for _, log, offset, nonce, at, origin, data, file, is_passing in rows:
            # Nobody can load an entry that is not kept.
            content = self._files.read(file) if file is not None and is_passing else data
            news.setdefault(log, []).append(Entry(offset, nonce, at, origin, content))
        return news

    def _pass_on(self, news: News, is_disturbed: bool) -> None:
        """Call the watchers on the loop and wait for that: news must not pile up there."""
        self._passed_on.clear()
        try:
            self._loop.call_soon_threadsafe(self._call, news, is_disturbed)
        except RuntimeError:  # the loop was closed
            return
        while not self._passed_on.wait(POLL_SECONDS) and not self._stopped.is_set():
            pass

    def _call(self, news: News, is_disturbed: bool) -> None:
        try:
            for log, entries in news.items():
                on_news = self._watchers.get(log)
                if on_news is not None:
                    on_news(entries)
            for on_news in list(self._watchers.values()) if is_disturbed else ():
                on_news(None)
        finally:
            self._passed_on.set()


def _last_id(connection: sqlite3.Connection) -> int:
    row = connection.execute("select seq from sqlite_sequence where name = 'entries'").fetchone()
    return 0 if row is None else int(row[0])
