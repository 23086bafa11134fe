"""The private directory of a server's workers, which exists while one of them lives."""

import os
import shutil
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from flash_events.brokers.family import PREFIX, family
from flash_events.errors import ConfigurationError
from flash_events.stores.sqlite.locks import FileLock

STORE_PREFIX = f"{PREFIX}store-"
"""Not the prefix of the directories of signals, whose owners remove what is empty."""

FILE = "store.db"

JOIN_SECONDS = 10.0
"""Timeout of joining, while others empty or remove the directory."""

RETRY_SECONDS = 0.005
"""Time between two tries to join."""


def private_path() -> Path | None:
    """Return the path of the store that the workers of this server share; None without workers.

    A store of this path is private: it ends with the last worker.
    """
    name = family()
    if name is None:
        return None
    return Path(tempfile.gettempdir()) / name.replace(PREFIX, STORE_PREFIX, 1) / FILE


class PrivateDirectory:
    """A directory that its users empty when they come first, and remove when they leave last.

    Each user holds a shared lock on the directory itself. Who gets the exclusive lock knows that
    nobody else uses it. (Programs that clean up temporary directories respect such a lock.)

    Args:
        path: of the directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: FileLock | None = None

    def join(self) -> None:
        """Make the directory, or empty it if those who have made it are dead; blocks.

        Raises:
            ConfigurationError: if it belongs to somebody else, or others can reach it.
            OSError: if it cannot be made.
        """
        _remove_dead(self.path)
        until = time.monotonic() + JOIN_SECONDS
        while not self._try_to_join():
            if time.monotonic() > until:
                raise TimeoutError(f"{self.path} is locked by another process.")
            time.sleep(RETRY_SECONDS)  # `SqliteStore.open` calls this in a thread

    def leave(self) -> None:
        """Give it up; the last user removes it."""
        if self._lock is not None:
            _remove(self._lock)
            self._lock.close()
            self._lock = None

    def _try_to_join(self) -> bool:
        """Return False if the directory has changed meanwhile."""
        with suppress(FileExistsError):
            self.path.mkdir(0o700)
        try:
            lock = FileLock(self.path, os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            _check(lock)
            if lock.try_exclusive():
                if not lock.is_at_its_path():
                    return False
                _empty(self.path)
            # Getting the shared lock gives up the exclusive one first, so that somebody else may
            # have emptied the directory, or removed it.
            if not lock.try_shared() or not lock.is_at_its_path():
                return False
            self._lock = lock
            return True
        finally:
            if self._lock is None:
                lock.close()


def _check(lock: FileLock) -> None:
    found = os.fstat(lock.fd)
    if (
        not stat.S_ISDIR(found.st_mode)
        or found.st_uid != os.getuid()
        or stat.S_IMODE(found.st_mode) != 0o700
    ):
        raise ConfigurationError(
            f"Expected {lock.path} to be a directory that only this user can reach. Remove it, or "
            "set the variable TMPDIR to another directory."
        )


def _remove_dead(own: Path) -> None:
    """Remove the directories of servers whose workers were all killed."""
    for path in own.parent.glob(f"{STORE_PREFIX}{os.getuid()}-*"):
        if path != own:
            with suppress(OSError, ConfigurationError), FileLock(path, os.O_RDONLY) as lock:
                _check(lock)
                _remove(lock)


def _remove(lock: FileLock) -> None:
    """Remove a directory that nobody else uses."""
    if lock.try_exclusive() and lock.is_at_its_path():
        _empty(lock.path)
        with suppress(OSError):
            lock.path.rmdir()


def _empty(path: Path) -> None:
    for entry in list(os.scandir(path)):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
        else:
            with suppress(OSError):
                os.unlink(entry.path)
