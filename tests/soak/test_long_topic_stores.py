"""Readers of topics whose store is in trouble, and random programs, at full size."""

import asyncio
import itertools
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from flash_events.settings import Settings
from flash_events.sharing.process import Namespace
from tests.support.redis_server import RedisServer, redis_server
from tests.support.topic_programs import OPTIONS, STEPS, Step, run_in_memory, run_program
from tests.support.topic_readers import watch_many
from tests.support.topic_stores import (
    declared,
    disturb_news,
    kill_writers,
    set_back,
    stall,
    take_down,
    write_together,
)

pytestmark = pytest.mark.timeout(600)

UNHURRIED = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


async def test_100_lost_connections_for_news_lose_no_message(server: RedisServer) -> None:
    await disturb_news(server, kills=100)


@pytest.mark.parametrize("keeps", [True, False])
async def test_a_redis_that_is_down_for_3_s(tmp_path: Path, keeps: bool) -> None:
    with redis_server(tmp_path, appendonly=keeps) as server:
        await take_down(server, seconds=3, keeps=keeps)


async def test_a_redis_that_was_set_back_five_times(tmp_path: Path) -> None:
    for n in range(5):
        directory = tmp_path / str(n)
        directory.mkdir()
        with redis_server(directory) as server:
            await set_back(server, directory)


async def test_a_redis_that_stalls_for_4_s_loses_nothing(server: RedisServer) -> None:
    await stall(server, seconds=4)


async def test_nobody_waits_for_a_hundred_writers_that_were_killed(tmp_path: Path) -> None:
    assert await kill_writers(f"sqlite:///{tmp_path}/store.db", kills=100) < 2


async def test_four_workers_that_write_at_once(tmp_path: Path) -> None:
    await write_together(f"sqlite:///{tmp_path}/store.db", count=5000, readers=8)


@pytest.mark.parametrize("kind", ["memory", "sqlite", "redis"])
async def test_10000_topics_are_watched_at_once_and_left_again(
    kind: str, server: RedisServer, tmp_path: Path
) -> None:
    url = {"memory": "memory://", "sqlite": f"sqlite:///{tmp_path}/s.db", "redis": server.url}
    async with declared(url[kind]) as app:
        await watch_many(app.namespace().hub(), app.topic("room/{room}"), 10_000, seconds=120)


@settings(UNHURRIED, max_examples=2000)
@given(OPTIONS, STEPS)
def test_programs_in_memory(options: dict[str, Any], steps: list[Step]) -> None:
    run_in_memory(options, steps)


@settings(UNHURRIED, max_examples=150)
@given(OPTIONS, STEPS)
def test_programs_in_redis(server: RedisServer, options: dict[str, Any], steps: list[Step]) -> None:
    name = secrets.token_hex(8)
    asyncio.run(run_in(server.url, name, options, steps))


numbers = itertools.count()


@settings(UNHURRIED, max_examples=150)
@given(OPTIONS, STEPS)
def test_programs_in_sqlite(tmp_path: Path, options: dict[str, Any], steps: list[Step]) -> None:
    asyncio.run(run_in(f"sqlite:///{tmp_path}/{next(numbers)}.db", "programs", options, steps))


async def run_in(url: str, name: str, options: dict[str, Any], steps: list[Step]) -> None:
    """Runs a program in a store whose messages expire after 50 ms."""
    ttl = options["ttl"] and options["ttl"] / 200
    pause = [step if step[0] != "pass" else ("sleep", step[1] / 200) for step in steps]

    def new_namespace() -> Namespace:
        return Namespace(url, Settings(namespace=name))

    await run_program(new_namespace, options | {"ttl": ttl}, pause, lambda _: None)
