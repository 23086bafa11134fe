"""Stores in SQLite in tests, and what they have written."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from flash_events.stores.sqlite import SqliteStore


@asynccontextmanager
async def opened(path: Path, **options: Any) -> AsyncIterator[SqliteStore]:
    """A client of a store."""
    store = SqliteStore(path, **options)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def rows(path: Path, statement: str) -> list[tuple[Any, ...]]:
    """Executes a statement on the database, beside the store."""
    connection = sqlite3.connect(path, timeout=5)
    try:
        with connection:
            return connection.execute(statement).fetchall()
    finally:
        connection.close()


def count(path: Path, table: str) -> int:
    """Returns the number of rows of a table."""
    [[number]] = rows(path, f"select count(*) from {table}")
    return int(number)


def large_files(path: Path) -> list[Path]:
    """Returns the files of large data of a named store."""
    return list((path.parent / f"{path.name}-files/data").iterdir())


def names(directory: Path, pattern: str = "*") -> list[str]:
    """Returns the names in a directory."""
    return sorted(str(path.relative_to(directory)) for path in directory.glob(pattern))
