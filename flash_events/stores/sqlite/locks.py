"""Locks on files that the kernel releases when their process dies."""

import os
import sys
from pathlib import Path
from typing import Self
from weakref import WeakSet

if sys.platform != "win32":
    import fcntl

_held: "WeakSet[FileLock]" = WeakSet()


class FileLock:
    """A lock on a file or directory; each lock is on its own, within one process too.

    A forked child gives it up at once, or it would outlive this process.

    Args:
        path: of the file or directory.
        flags: for opening it, beside those for a private descriptor.

    Attributes:
        fd: the descriptor; negative when it is closed.

    Raises:
        OSError: if it cannot be opened.
    """

    def __init__(self, path: Path, flags: int) -> None:
        self.path = path
        self.fd = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        _held.add(self)

    def try_exclusive(self) -> bool:
        """Return whether nobody else has a lock on it; if so, nobody can get one now."""
        return self._try(fcntl.LOCK_EX)

    def try_shared(self) -> bool:
        """Return whether nobody else has an exclusive lock on it; if so, nobody can get one now."""
        return self._try(fcntl.LOCK_SH)

    def is_at_its_path(self) -> bool:
        """Return whether the path still leads to what is locked."""
        try:
            return os.path.samestat(os.fstat(self.fd), os.lstat(self.path))
        except FileNotFoundError:
            return False

    def close(self) -> None:
        """Give up the lock."""
        _held.discard(self)
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _try(self, kind: int) -> bool:
        try:
            fcntl.flock(self.fd, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _close_in_child() -> None:
    for lock in list(_held):
        lock.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)
