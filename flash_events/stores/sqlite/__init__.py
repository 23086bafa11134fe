"""`sqlite:////path`: a store that the processes of one machine share, in a file."""

from flash_events.stores.sqlite.private import private_path
from flash_events.stores.sqlite.store import SqliteStore

__all__ = ["SqliteStore", "private_path"]
