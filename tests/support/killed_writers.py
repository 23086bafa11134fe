"""Writers of a store in SQLite that are killed."""

import asyncio
import random
from pathlib import Path

from flash_events.stores import START, Store
from tests.support.store_process import KEEP, store_process
from tests.support.stores import append, new_log

LOCKED_SECONDS = 2.0
"""Maximum time for which a killed writer may stop others."""


async def kill_writers(store: Store, path: Path, count: int, seed: int) -> None:
    """Kills writers before a commit and at any time; nothing may be missing or there twice.

    Args:
        store: another client, which writes all the time.
        path: of the store.
        count: number of writers that are killed.
        seed: of the times.
    """
    log, chance = new_log(), random.Random(seed)
    mine: list[str] = []

    async def write() -> None:
        while True:
            nonce = f"mine{len(mine)}"
            async with asyncio.timeout(LOCKED_SECONDS):
                await append(store, log, "mine", KEEP, nonce=nonce)
            mine.append(nonce)
            await asyncio.sleep(0.002)

    writing = asyncio.create_task(write())
    acknowledged: set[str] = set()
    for n in range(count):
        acknowledged |= await asyncio.to_thread(_kill_one, path, log, n % 2 == 0, chance)
        assert not writing.done(), writing
    writing.cancel()
    read = await store.logs.read(log, START, 2**40)
    nonces = [entry.nonce for entry in read.entries]
    assert [entry.offset for entry in read.entries] == list(range(1, len(nonces) + 1))
    assert read.head.offset == len(nonces)
    assert len(set(nonces)) == len(nonces)
    assert acknowledged | set(mine) <= set(nonces)
    assert acknowledged
    assert mine


def _kill_one(path: Path, log: str, before_commit: bool, chance: random.Random) -> set[str]:
    """Returns the nonces of what was stored, as far as the writer knew."""
    with store_process(path) as process:
        if before_commit:
            process.ask("die_before_commit", after=chance.randrange(100))
        process.tell("write_for_ever", log=log)
        first = process.answer()
        if not before_commit and first:
            for _ in range(chance.randrange(200)):
                process.answer()
            process.kill()
        process.wait()
        return {first, *process.answers()} - {None}
