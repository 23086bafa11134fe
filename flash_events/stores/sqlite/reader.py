"""Threads of a client that read."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from flash_events.errors import StoreUnavailable
from flash_events.stores.sqlite.database import (
    Connection,
    Database,
    retried,
    roll_back,
    unavailable,
)
from flash_events.stores.sqlite.files import LargeFiles

T = TypeVar("T")

Find = Callable[[sqlite3.Connection], tuple[bytes | None, str | None] | None]

THREADS = 2

LOAD_TRIES = 3
"""How often data is looked for that is replaced while it is read."""


class Reader:
    """Reads in threads, each read from one snapshot of the database.

    Args:
        database: what is read.
        files: the large files.
    """

    def __init__(self, database: Database, files: LargeFiles) -> None:
        self._database = database
        self._files = files
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="flash_events store reader")
        self._local = threading.local()
        self._connections: list[Connection] = []

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return what a function returns; it must leave no cursor open.

        Args:
            work: called in a thread, once or several times.

        Raises:
            StoreUnavailable: if the database refuses it.
        """
        return await self.call(partial(retried, partial(self._read, work)))

    async def load(self, find: Find) -> bytes | None:
        """Return data from the database or from a large file; None if there is none.

        Args:
            find: returns the data, or the name of its file.

        Raises:
            StoreUnavailable: if the database or the disk refuses it.
        """

        def load() -> bytes | None:
            for _ in range(LOAD_TRIES):
                found = retried(partial(self._read, find))
                if found is None:
                    return None
                data, file = found
                if file is not None:
                    data = self._files.read(file)
                if data is not None:
                    return data
            return None

        return await self.call(load)

    async def call(self, work: Callable[[], T]) -> T:
        """Return what a function returns that is called in a thread.

        Raises:
            StoreUnavailable: if the database or the disk refuses it.
        """
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        except (sqlite3.Error, OSError) as error:
            raise unavailable(error) from error
        except RuntimeError as error:  # the threads were stopped
            raise StoreUnavailable("The store is closed.") from error

    def close(self) -> None:
        """End the threads; blocks until they are done."""
        self._pool.shutdown()
        for connection in self._connections:
            connection.close()

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        own: Connection | None = getattr(self._local, "connection", None)
        if own is None:
            own = self._local.connection = Connection(self._database)
            self._connections.append(own)
        connection = own.get()
        connection.execute("begin")
        try:
            return work(connection)
        finally:
            roll_back(connection)
