"""Readers of topics whose store is in trouble; tests/soak has the full size."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.redis_server import RedisServer, redis_server
from tests.support.topic_stores import (
    disturb_news,
    flush,
    kill_writers,
    set_back,
    stall,
    subscribe_while_away,
    take_down,
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


async def test_lost_connections_for_news_lose_no_message(server: RedisServer) -> None:
    await disturb_news(server, kills=5)


async def test_a_redis_that_was_restarted_has_everything(tmp_path: Path) -> None:
    with redis_server(tmp_path, appendonly=True) as server:
        await take_down(server, seconds=0.2, keeps=True)


async def test_a_redis_that_has_forgotten_everything_is_told_once(server: RedisServer) -> None:
    await take_down(server, seconds=0.2, keeps=False)


async def test_a_redis_that_was_set_back_is_told_once(server: RedisServer, tmp_path: Path) -> None:
    await set_back(server, tmp_path)


async def test_a_redis_that_was_flushed_is_told_once(server: RedisServer) -> None:
    await flush(server)


async def test_a_redis_that_stalls_loses_nothing(server: RedisServer) -> None:
    await stall(server, seconds=0.5)


async def test_who_subscribes_while_redis_is_away_gets_what_comes_later(
    tmp_path: Path,
) -> None:
    with redis_server(tmp_path, appendonly=True) as server:
        await subscribe_while_away(server)


async def test_nobody_waits_for_a_writer_that_was_killed(tmp_path: Path) -> None:
    assert await kill_writers(f"sqlite:///{tmp_path}/store.db", kills=1) < 2
