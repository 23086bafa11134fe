"""The client of a store in SQLite."""

import asyncio
import socket
import sqlite3
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from flash_events.errors import ConfigurationError
from flash_events.stores.sqlite.bells import Bell, BellDirectory, Ringer
from flash_events.stores.sqlite.database import MAX_BYTES, Connection, Database
from flash_events.stores.sqlite.files import LargeFiles
from flash_events.stores.sqlite.follower import Follower
from flash_events.stores.sqlite.life import LEASE_SECONDS, Life
from flash_events.stores.sqlite.logs import SqliteLogs
from flash_events.stores.sqlite.members import SqliteMembers, forget_worker
from flash_events.stores.sqlite.place import place_of
from flash_events.stores.sqlite.private import PrivateDirectory
from flash_events.stores.sqlite.reader import Reader
from flash_events.stores.sqlite.sweeper import Sweeper
from flash_events.stores.sqlite.values import SqliteValues
from flash_events.stores.sqlite.writer import Writer
from flash_events.stores.store import Store


class SqliteStore(Store):
    """A client of a store in a file, which processes of one machine share.

    Nothing is opened before `open`, so that it can be made before a process forks.

    Args:
        path: absolute path of the file. Directories and files beside it belong to the store.
        is_private: whether the file is that of `private_path()`: it is new for the first client,
            and is removed with its directory by the last. Otherwise it stays.
        max_bytes: maximum size of the database in bytes. When it is reached, appending raises
            `StoreUnavailable`, and reading goes on. Data of more than LARGE_BYTES does not count.
        lease_seconds: time after which a client whose process is stopped counts as dead.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        is_private: bool = False,
        max_bytes: int = MAX_BYTES,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        super().__init__()
        self.path = Path(path)
        self._is_private = is_private
        self._max_bytes = max_bytes
        self._lease_seconds = lease_seconds
        self._closing = ExitStack()

    async def open(self) -> None:
        if not hasattr(socket, "AF_UNIX"):
            raise ConfigurationError(
                "The store in SQLite does not work on Windows. Serve with one worker, or set store "
                "to a Redis: 'redis://host:port/db'."
            )
        if not self.path.is_absolute():
            raise ConfigurationError(
                f"Expected the path of the store to be absolute, got '{self.path}'. Write "
                f"'sqlite:///{self.path.absolute()}'."
            )
        try:
            await asyncio.to_thread(self._open)
        except (sqlite3.Error, OSError) as error:
            self._closing.close()
            raise ConfigurationError(
                f"The store {self.path} cannot be opened: {error}. Set store to the path of a file "
                "in a directory that all workers can write to."
            ) from error
        except BaseException:  # a cancellation, too: locks and files must not stay open
            self._closing.close()
            raise
        self._writer.start()
        self._follower.start()

    async def close(self) -> None:
        await asyncio.to_thread(self._closing.close)

    def _open(self) -> None:
        """Open the files; blocks."""
        later = self._closing.callback
        if self._is_private:
            directory = PrivateDirectory(self.path.parent)
            directory.join()
            later(directory.leave)
        place = place_of(self.path, self._is_private)
        database = Database(place.database, self._is_private, self._max_bytes)
        database.create()
        files = LargeFiles(place.data)
        life = Life(place.live, self.worker, self._lease_seconds)
        later(life.end)
        bells = BellDirectory(place.live)
        later(bells.close)
        ringer = Ringer(bells)
        later(ringer.close)
        reader = Reader(database, files)
        later(reader.close)
        self._follower = Follower(Connection(database), Bell(bells, self.worker), files)
        later(self._follower.close)
        self._follower.prepare()
        self._writer = Writer(
            Connection(database),
            files,
            on_news=ringer.ring,
            sweep=Sweeper(files, life),
            at_end=partial(forget_worker, worker=self.worker),
        )
        later(self._writer.close)
        self.logs = SqliteLogs(self._writer, reader, self._follower)
        self.values = SqliteValues(self.worker, self._writer, reader, life)
        self.members = SqliteMembers(self.worker, self._writer, reader, life)
