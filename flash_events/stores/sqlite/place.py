"""Where the files of a store are."""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from flash_events.brokers.family import PREFIX
from flash_events.stores.sqlite.private import check_private

SOCKET_PATH_BYTES = 100
"""Maximum length of the path of a Unix socket, which is 103 on some systems."""

SOCKET_NAME_BYTES = len("/12345678.sock")


@dataclass(frozen=True, slots=True)
class Place:
    """The paths of a store.

    Attributes:
        database: the file of the database.
        data: directory of data that is too large for the database.
        live: directory of the files that say which workers live.
        sockets: directory of the sockets by which clients wake each other.
    """

    database: Path
    data: Path
    live: Path
    sockets: Path


def place_of(path: Path, is_private: bool) -> Place:
    """Return where the files of a store are, and make the directories.

    Args:
        path: of the database.
        is_private: whether the directory of the database has nothing else in it.

    Raises:
        ConfigurationError: if a directory for sockets is not private to this user.
        OSError: if a directory cannot be made.
    """
    path = path if is_private else path.resolve()
    beside = path.parent if is_private else path.with_name(f"{path.name}-files")
    data, live = beside / "data", beside / "live"
    for directory in (beside, data, live):
        directory.mkdir(exist_ok=True)
    if len(os.fsencode(live)) + SOCKET_NAME_BYTES <= SOCKET_PATH_BYTES:
        return Place(path, data, live, live)
    name = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    sockets = Path(tempfile.gettempdir()) / f"{PREFIX}live-{os.getuid()}-{name}"
    check_private(sockets)
    return Place(path, data, live, sockets)
