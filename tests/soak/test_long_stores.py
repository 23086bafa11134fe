"""Troubles of stores at a size that is too slow for a merge."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from flash_events.stores import Slot
from flash_events.stores.redis import RedisStore
from tests.support.redis_server import redis_server
from tests.support.store_troubles import eventually, kill_connections, opened, restart, stall
from tests.support.stores import new_log

TAKEOVER_SECONDS = 10.0


@pytest.mark.timeout(300)
async def test_a_reader_gets_everything_once_over_100_killed_connections(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        await kill_connections(server, times=100)


@pytest.mark.timeout(300)
async def test_what_is_published_while_redis_stalls_for_12_s_is_late_and_not_lost(
    tmp_path: Path,
) -> None:
    """Longer than a connection waits for an answer."""
    with redis_server(tmp_path) as server:
        await stall(server, seconds=12)


@pytest.mark.timeout(300)
async def test_a_reader_gets_everything_once_over_ten_restarts(tmp_path: Path) -> None:
    with redis_server(tmp_path, appendonly=True) as server:
        for _ in range(10):
            await restart(server)


LEADER = """
import asyncio, sys
from flash_events.stores import Slot
from flash_events.stores.redis import RedisStore
from flash_events.stores.redis import RedisStore

async def main():
    store = RedisStore(sys.argv[1])
    await store.open()
    assert await store.values.lead(Slot(sys.argv[2], "name"))
    await store.members.enter(sys.argv[2], "member", b"")
    print("leads", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.deadline
@pytest.mark.timeout(60)
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP])
async def test_the_death_of_a_worker_is_noticed_within_10_s(
    tmp_path: Path, end: signal.Signals
) -> None:
    group = new_log()
    with redis_server(tmp_path) as server:
        command = [sys.executable, "-c", LEADER, server.url, group]
        leader = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
        assert leader.stdout is not None
        assert await leader.stdout.readline() == b"leads\n"
        async with opened(server.url) as store:
            assert await store.values.lead(Slot(group, "name")) is None
            assert len(await store.members.of(group)) == 1
            leader.send_signal(end)
            async with asyncio.timeout(TAKEOVER_SECONDS):
                await eventually(lambda: store.values.lead(Slot(group, "name")))
                await eventually(lambda: is_empty(store, group))
        if end != signal.SIGKILL:
            leader.kill()
        await leader.wait()


async def is_empty(store: RedisStore, group: str) -> bool:
    return await store.members.of(group) == []
