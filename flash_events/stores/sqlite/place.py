"""Where the files of a store are."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Place:
    """The paths of a store.

    Attributes:
        database: the file of the database.
        data: directory of data that is too large for the database.
        live: directory of the sockets and files of clients that live.
    """

    database: Path
    data: Path
    live: Path


def place_of(path: Path, is_private: bool) -> Place:
    """Return where the files of a store are, and make the directories.

    Args:
        path: of the database.
        is_private: whether the directory of the database has nothing else in it.

    Raises:
        OSError: if a directory cannot be made.
    """
    path = path if is_private else path.resolve()
    beside = path.parent if is_private else path.with_name(f"{path.name}-files")
    place = Place(path, data=beside / "data", live=beside / "live")
    for directory in (beside, place.data, place.live):
        directory.mkdir(exist_ok=True)
    return place
