"""Stores in SQLite whose processes die or stand still, as often and as long as is promised."""

import asyncio
import secrets
import signal
import time
from pathlib import Path

import pytest

from flash_events.stores import Quota, Slot
from tests.support.killed_writers import kill_writers
from tests.support.sqlite_files import opened
from tests.support.store_process import store_process

QUOTA = Quota(10, 1000)


@pytest.mark.timeout(900)
async def test_a_hundred_killed_writers_leave_no_hole_and_nothing_twice(tmp_path: Path) -> None:
    async with opened(tmp_path / "store.db") as store:
        await kill_writers(store, tmp_path / "store.db", 100, secrets.randbelow(10**9))


async def test_a_leader_that_is_stopped_for_20_s_loses_its_lead_within_10_s(
    tmp_path: Path,
) -> None:
    slot, path = Slot("group", "name"), tmp_path / "store.db"
    async with opened(path) as store:
        with store_process(path) as process:
            fence = process.ask("lead", group=slot.group, name=slot.name)
            process.send(signal.SIGSTOP)
            stopped_at = time.monotonic()
            async with asyncio.timeout(10):
                mine = None
                while mine is None:
                    await asyncio.sleep(0.05)
                    mine = await store.values.lead(slot)
            await asyncio.sleep(stopped_at + 20 - time.monotonic())
            process.send(signal.SIGCONT)
            late = {"group": slot.group, "name": slot.name, "text": "late", "fence": fence}
            assert process.ask("put", **late) is False
            assert await store.values.put(slot, b"mine", QUOTA, ttl_seconds=None, fence=mine)
