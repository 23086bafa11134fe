"""Data that is too large for the database, in files beside it."""

import os
import secrets
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

ORPHAN_SECONDS = 60.0
"""Age at which a file that the database does not name is a leftover: its writer has died."""


class LargeFiles:
    """The files of a store; each has a name of its own and is written once.

    They are written before what names them is committed, and removed after.

    Args:
        directory: the directory of the files.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def write(self, data: bytes) -> str:
        """Write a file and return its name; raises OSError if there is no room."""
        name = secrets.token_hex(16)
        try:
            with open(self._directory / name, "xb", buffering=0) as file:
                rest = memoryview(data)
                while rest:
                    rest = rest[file.write(rest) :]
        except OSError:
            self.remove([name])
            raise
        return name

    def read(self, name: str) -> bytes | None:
        """Return the content of a file; None if it was removed."""
        try:
            return (self._directory / name).read_bytes()
        except FileNotFoundError:
            return None

    def remove(self, names: Iterable[str]) -> None:
        """Remove files."""
        for name in names:
            with suppress(OSError):
                os.unlink(self._directory / name)

    def old(self) -> list[str]:
        """Return the names of the files that are old enough to be leftovers."""
        before = time.time() - ORPHAN_SECONDS
        found = []
        with suppress(OSError):
            for entry in os.scandir(self._directory):
                with suppress(OSError):
                    if entry.stat(follow_symlinks=False).st_mtime < before:
                        found.append(entry.name)
        return found
