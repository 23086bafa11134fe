"""Stores of each kind, for the contract suites."""

import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from flash_events.stores import LogId, Store
from flash_events.stores.memory import MemoryData, MemoryStore
from flash_events.stores.redis import RedisStore
from flash_events.stores.sqlite import SqliteStore
from tests.support.stores import new_log

KINDS = ["memory", "sqlite", "redis"]


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory with a short path, as those of Unix sockets have 100 characters at most."""
    with tempfile.TemporaryDirectory(prefix="flash-") as directory:
        yield Path(directory)


@pytest.fixture(params=KINDS)
def new_store(request: pytest.FixtureRequest, short: Path) -> Callable[[], Store]:
    """Returns a function that makes further clients of one store."""
    if request.param == "redis":
        url: str = request.getfixturevalue("cluster_url")
        return lambda: RedisStore(url)
    if request.param == "sqlite":
        return lambda: SqliteStore(short / "store.db")
    data = MemoryData()
    return lambda: MemoryStore(data)


@pytest.fixture
async def store(new_store: Callable[[], Store]) -> AsyncIterator[Store]:
    async with AsyncExitStack() as stack:
        store = new_store()
        await store.open()
        stack.push_async_callback(store.close)
        yield store


@pytest.fixture
async def other(new_store: Callable[[], Store]) -> AsyncIterator[Store]:
    """Another client of the same store, as in another process."""
    async with AsyncExitStack() as stack:
        store = new_store()
        await store.open()
        stack.push_async_callback(store.close)
        yield store


@pytest.fixture
def log() -> LogId:
    return new_log()
