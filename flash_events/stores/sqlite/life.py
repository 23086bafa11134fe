"""Whether a worker lives: a lock that the kernel releases, and a lease that a thread renews."""

import os
import struct
import threading
import time
from contextlib import suppress
from pathlib import Path

from flash_events.stores.sqlite.locks import FileLock

LEASE_SECONDS = 8.0
"""Default time after which a worker that stands still counts as dead."""

SUFFIX = ".life"


class Life:
    """The life of one client, and of others.

    A client that leads or has members has a file. It holds a lock on it, so that its death is
    noticed at once, and writes the time into it, so that it is noticed when its process is stopped.
    That needs no lock of the database, which a stopped process may hold.

    Args:
        directory: the directory of these files.
        worker: the id of this client.
        lease_seconds: time after which a client that writes no time counts as dead.
    """

    def __init__(self, directory: Path, worker: str, lease_seconds: float) -> None:
        self._directory = directory
        self._path = directory / f"{worker}{SUFFIX}"
        self._seconds = lease_seconds
        self._lock: FileLock | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(
            target=self._renew, name="flash_events store lease", daemon=True
        )

    def begin(self) -> None:
        """Say that this client lives, from now on; blocks for a moment.

        Raises:
            OSError: if the file cannot be made.
        """
        if self._lock is not None:
            return
        made = self._path.with_suffix(".new")  # nobody takes it for one of a dead client
        lock = FileLock(made, os.O_RDWR | os.O_CREAT)
        try:
            if not lock.try_exclusive():
                raise BlockingIOError(f"{made} is locked.")
            self._write(lock)
            made.rename(self._path)
        except OSError:
            lock.close()
            raise
        self._lock = lock
        self._thread.start()

    def end(self) -> None:
        """Say no longer that this client lives."""
        self._ended.set()
        if self._lock is not None:
            self._thread.join()
            self._path.unlink(missing_ok=True)
            self._lock.close()

    def lives(self, worker: str) -> bool:
        """Return whether a client lives and its process is not stopped."""
        try:
            with FileLock(self._directory / f"{worker}{SUFFIX}", os.O_RDONLY) as lock:
                if lock.try_shared():
                    return False
                content = os.pread(lock.fd, 8, 0)
        except FileNotFoundError:
            return False
        [written] = struct.unpack("<d", content)
        return time.monotonic() - float(written) < self._seconds

    def is_dead(self, worker: str) -> bool:
        """Return whether a client has ended or was killed; one that is only stopped is not dead."""
        try:
            with FileLock(self._directory / f"{worker}{SUFFIX}", os.O_RDONLY) as lock:
                return lock.try_shared()
        except FileNotFoundError:
            return True

    def sweep(self) -> None:
        """Remove the files of clients that were killed."""
        for path in self._directory.glob(f"*{SUFFIX}"):
            if self.is_dead(path.name.removesuffix(SUFFIX)):
                path.unlink(missing_ok=True)

    def _renew(self) -> None:
        while not self._ended.wait(self._seconds / 4):
            if self._lock is not None:
                with suppress(OSError):
                    self._write(self._lock)

    @staticmethod
    def _write(lock: FileLock) -> None:
        """Write the time, which is the same clock in all processes of a machine."""
        os.pwrite(lock.fd, struct.pack("<d", time.monotonic()), 0)
