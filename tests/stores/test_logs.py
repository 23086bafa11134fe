"""The contract of logs; every store must pass it."""

import asyncio
import secrets
import time
from dataclasses import replace

import pytest

from flash_events.errors import Conflict
from flash_events.stores import LARGE_BYTES, START, Keep, LogId, Position, Store
from tests.support.server import until
from tests.support.stores import KEEP, Watcher, append, new_log, offsets


async def test_entries_are_numbered_from_1_without_gaps(store: Store, log: LogId) -> None:
    positions = [await append(store, log, str(n), nonce=f"n{n}") for n in range(3)]
    assert positions == [Position(1, "n0"), Position(2, "n1"), Position(3, "n2")]
    read = await store.logs.read(log, START)
    assert [(one.offset, one.nonce, one.data) for one in read.entries] == [
        (1, "n0", b"0"), (2, "n1", b"1"), (3, "n2", b"2"),
    ]  # fmt: skip
    assert (read.head, read.first, read.is_known) == (Position(3, "n2"), 1, True)


async def test_an_unknown_log_is_empty(store: Store, log: LogId) -> None:
    read = await store.logs.read(log, START)
    assert (read.entries, read.head, read.first, read.is_known) == ((), START, 1, True)
    assert await store.logs.heads([log, new_log()]) == [START, START]
    assert await store.logs.load(log, 1) is None
    assert (await store.logs.read_last(log, 5)).entries == ()


async def test_logs_are_independent(store: Store, log: LogId) -> None:
    await append(store, log, "a")
    other = new_log()
    assert (await append(store, other, "b")).offset == 1
    heads = await store.logs.heads([other, log])
    assert [head.offset for head in heads] == [1, 1]
    assert heads[0] != heads[1]


async def test_all_clients_see_the_same(store: Store, other: Store, log: LogId) -> None:
    await append(store, log, "a", origin="page")
    await append(other, log, "b")
    read = await store.logs.read(log, START)
    assert read == await other.logs.read(log, START)
    assert [(one.origin, one.data) for one in read.entries] == [("page", b"a"), ("", b"b")]


async def test_concurrent_appends_of_clients_are_all_there(
    store: Store, other: Store, log: LogId
) -> None:
    keep = replace(KEEP, history=1000)
    appends = (append((store, other)[n % 2], log, str(n), keep) for n in range(200))
    positions = await asyncio.gather(*appends)
    assert sorted(position.offset for position in positions) == list(range(1, 201))
    read = await store.logs.read(log, START)
    assert offsets(read.entries) == list(range(1, 201))
    by_offset = {one.offset: one.data for one in read.entries}
    assert all(by_offset[one.offset] == b"%d" % n for n, one in enumerate(positions))


async def test_a_nonce_is_appended_once(store: Store, other: Store, log: LogId) -> None:
    first = await append(store, log, "a", nonce="same")
    await append(store, log, "b")
    assert await append(other, log, "a", nonce="same") == first
    assert (await store.logs.heads([log]))[0].offset == 2
    assert (await append(store, new_log(), "a", nonce="same")).offset == 1


async def test_a_key_is_appended_once(store: Store, other: Store, log: LogId) -> None:
    first = await append(store, log, "a", key="order 7")
    await append(store, log, "b")
    assert await append(other, log, "c", key="order 7") == first
    assert (await append(store, log, "c", key="order 8")).offset == 3
    assert (await append(store, new_log(), "a", key="order 7")).offset == 1


async def test_a_retry_succeeds_though_the_offset_is_no_longer_the_expected_one(
    store: Store, log: LogId
) -> None:
    first = await append(store, log, "a", nonce="same", expect=0)
    assert await append(store, log, "a", nonce="same", expect=0) == first


async def test_an_append_with_another_expected_offset_is_a_conflict(
    store: Store, log: LogId
) -> None:
    with pytest.raises(Conflict) as error:
        await append(store, log, "a", expect=1)
    assert error.value.offset == 0
    await append(store, log, "a", expect=0)
    with pytest.raises(Conflict) as error:
        await append(store, log, "b", expect=0)
    assert error.value.offset == 1
    assert offsets((await store.logs.read(log, START)).entries) == [1]


async def test_of_concurrent_appends_with_one_expected_offset_one_succeeds(
    store: Store, other: Store, log: LogId
) -> None:
    tries = (append((store, other)[n % 2], log, str(n), expect=0) for n in range(20))
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert [result for result in results if not isinstance(result, Conflict)] == [
        (await store.logs.heads([log]))[0]
    ]


@pytest.mark.parametrize("history", [1, 3, 10])
async def test_the_history_is_bounded_exactly(store: Store, log: LogId, history: int) -> None:
    for n in range(10):
        await append(store, log, str(n), replace(KEEP, history=history))
        read = await store.logs.read(log, START)
        assert offsets(read.entries) == list(range(max(0, n + 1 - history) + 1, n + 2))
        assert read.first == read.entries[0].offset


async def test_the_bytes_are_bounded_exactly(store: Store, log: LogId) -> None:
    keep = replace(KEEP, max_bytes=100)
    for _ in range(6):
        await append(store, log, b"x" * 30, keep)
    assert offsets((await store.logs.read(log, START)).entries) == [4, 5, 6]
    await append(store, log, b"x" * 70, keep)
    assert offsets((await store.logs.read(log, START)).entries) == [6, 7]


async def test_the_newest_entry_is_kept_whatever_its_size(store: Store, log: LogId) -> None:
    keep = replace(KEEP, max_bytes=10)
    await append(store, log, "small", keep)
    await append(store, log, b"x" * 50, keep)
    assert offsets((await store.logs.read(log, START)).entries) == [2]
    await append(store, log, "small", keep)
    assert offsets((await store.logs.read(log, START)).entries) == [3]


async def test_the_bounds_are_those_of_the_last_append(store: Store, log: LogId) -> None:
    for _ in range(5):
        await append(store, log, "a")
    await append(store, log, "a", replace(KEEP, history=2))
    assert offsets((await store.logs.read(log, START)).entries) == [5, 6]


async def test_old_entries_are_not_read(store: Store, log: LogId) -> None:
    keep = replace(KEEP, ttl_seconds=0.3)
    old = await append(store, log, "old", keep)
    await asyncio.sleep(0.2)
    await append(store, log, "new", keep)
    await asyncio.sleep(0.15)
    assert offsets((await store.logs.read(log, START)).entries) == [2]
    assert offsets((await store.logs.read_last(log, 5)).entries) == [2]
    assert await store.logs.load(log, 1) is None
    await asyncio.sleep(0.2)
    read = await store.logs.read(log, old)
    assert (read.entries, read.head.offset, read.first, read.is_known) == ((), 2, 3, True)
    assert (await append(store, log, "newer", keep)).offset == 3


async def test_without_history_nothing_is_kept(store: Store, log: LogId) -> None:
    keep = replace(KEEP, history=0)
    watcher = Watcher(store, log)
    for n in range(3):
        await append(store, log, str(n), keep)
    await watcher.until(3)
    assert [one.data for one in watcher.entries] == [b"0", b"1", b"2"]
    read = await store.logs.read(log, START)
    assert (read.entries, read.head.offset, read.first) == ((), 3, 4)


async def test_large_entries_reach_who_watches_a_log_without_history(
    store: Store, other: Store, log: LogId
) -> None:
    data = b"x" * (LARGE_BYTES + 1)
    watcher = Watcher(store, log)
    await append(store, log, "the watch has begun", replace(KEEP, history=0))
    await append(other, log, data, replace(KEEP, history=0))
    [_, entry] = await watcher.until(2)
    assert entry.data == data


async def test_a_read_is_limited_but_returns_one_entry_at_least(store: Store, log: LogId) -> None:
    for _ in range(5):
        await append(store, log, b"x" * 100)
    assert offsets((await store.logs.read(log, START, 250)).entries) == [1, 2]
    assert offsets((await store.logs.read(log, START, 10)).entries) == [1]
    assert offsets((await store.logs.read_last(log, 5, 250)).entries) == [4, 5]
    assert offsets((await store.logs.read_last(log, 5, 10)).entries) == [5]


async def test_the_last_entries(store: Store, log: LogId) -> None:
    for n in range(5):
        await append(store, log, str(n), nonce=f"n{n}")
    read = await store.logs.read_last(log, 2)
    assert offsets(read.entries) == [4, 5]
    assert (read.head, read.first) == (Position(5, "n4"), 1)
    assert (await store.logs.read_last(log, 0)).entries == ()


async def test_the_entries_after_a_position(store: Store, log: LogId) -> None:
    positions = [await append(store, log, str(n), replace(KEEP, history=3)) for n in range(6)]
    for after, expected in ((3, [5, 6]), (5, []), (0, [4, 5, 6]), (2, [4, 5, 6])):
        position = positions[after] if after else positions[0]
        if after == 0:
            expected = [4, 5, 6]  # the second and third are missed, and known to be
        read = await store.logs.read(log, position)
        assert (offsets(read.entries), read.is_known) == (expected, True)


async def test_a_position_that_the_log_never_had_is_unknown(store: Store, log: LogId) -> None:
    positions = [await append(store, log, str(n), replace(KEEP, history=3)) for n in range(6)]
    for position in (
        Position(7, "later"),
        Position(7),
        Position(6, "other"),  # the head
        Position(5, "other"),  # a kept one
        Position(3, "other"),  # the last that was removed
    ):
        read = await store.logs.read(log, position)
        assert (offsets(read.entries), read.is_known) == ([4, 5, 6], False)
    for position in (positions[2], Position(3), Position(5), Position(1, "any")):
        assert (await store.logs.read(log, position)).is_known


async def test_a_cleared_log_goes_on_counting(store: Store, log: LogId) -> None:
    positions = [await append(store, log, str(n)) for n in range(3)]
    await append(store, log, "cleared", clear=True)
    read = await store.logs.read(log, START)
    assert (offsets(read.entries), read.first) == ([4], 4)
    assert (await store.logs.read(log, positions[2])).is_known
    assert not (await store.logs.read(log, Position(3, "other"))).is_known


async def test_data_of_any_size_and_content_comes_back(store: Store, log: LogId) -> None:
    keep = replace(KEEP, max_bytes=2**26)
    for data in (b"", bytes(range(256)), b"\0" * LARGE_BYTES, secrets.token_bytes(2**20)):
        position = await append(store, log, data, keep)
        [entry] = (await store.logs.read_last(log, 1)).entries
        assert entry.data == (data if len(data) <= LARGE_BYTES else None)
        assert await store.logs.load(log, position.offset) == data


async def test_large_data_goes_with_its_entry(store: Store, log: LogId) -> None:
    keep = replace(KEEP, history=2)
    for n in range(4):
        await append(store, log, b"%d" % n + b"x" * LARGE_BYTES, keep)
    found = [await store.logs.load(log, n) for n in range(1, 6)]
    assert [data and data[:1] for data in found] == [None, None, b"2", b"3", None]


async def test_who_watches_gets_the_entries_of_all_clients_in_order(
    store: Store, other: Store, log: LogId
) -> None:
    here, there = Watcher(store, log), Watcher(other, log)
    for n in range(100):
        await append((store, other)[n % 2], log, str(n))
    await here.until(100)
    await there.until(100)
    assert offsets(here.entries) == offsets(there.entries) == list(range(1, 101))
    assert here.entries == there.entries == list((await store.logs.read(log, START)).entries)


async def test_large_entries_are_watched_without_their_data(
    store: Store, other: Store, log: LogId
) -> None:
    watcher = Watcher(store, log)
    await append(other, log, b"x" * LARGE_BYTES + b"!", nonce="n")
    [entry] = await watcher.until(1)
    assert (entry.offset, entry.nonce, entry.data) == (1, "n", None)


async def test_only_the_watched_log_is_told_until_the_watch_ends(
    store: Store, other: Store, log: LogId
) -> None:
    watcher, last = Watcher(store, log), Watcher(store, new_log())
    await append(other, new_log(), "elsewhere")
    await append(other, log, "here")
    await watcher.until(1)
    watcher.end()
    watcher.end()  # does nothing
    await append(other, log, "later")
    again = Watcher(store, log)
    position = await append(other, log, "last")
    await until(lambda: position.offset in offsets(again.entries))
    assert [one.data for one in watcher.entries] == [b"here"]
    assert last.entries == []


async def test_a_repeated_append_tells_nobody(store: Store, other: Store, log: LogId) -> None:
    watcher = Watcher(store, log)
    for _ in range(3):
        await append(other, log, "a", nonce="same")
    await append(other, log, "b")
    await watcher.until(2)
    assert offsets(watcher.entries) == [1, 2]


async def test_the_time_is_that_of_the_store(store: Store, other: Store, log: LogId) -> None:
    before = time.time()
    await append(store, log, "a")
    await append(other, log, "b")
    [one, two] = (await store.logs.read(log, START)).entries
    assert before - 1 <= one.time <= two.time + 0.001 <= time.time() + 1


async def test_heads_of_many_logs(store: Store) -> None:
    logs = [new_log() for _ in range(50)]
    positions = [await append(store, log, "a") for log in logs]
    assert await store.logs.heads(logs) == positions
    assert await store.logs.heads([]) == []


async def test_closing_stores_what_was_appended(store: Store, other: Store, log: LogId) -> None:
    appends = [asyncio.ensure_future(append(other, log, str(n))) for n in range(20)]
    await asyncio.sleep(0)
    await other.close()
    done = await asyncio.gather(*appends)
    assert [position.offset for position in done] == list(range(1, 21))
    assert len((await store.logs.read(log, START)).entries) == 20


async def test_bounds_can_be_anything(store: Store, log: LogId) -> None:
    keep = Keep(history=100_000, ttl_seconds=None, max_bytes=1)
    assert (await append(store, log, "a", keep)).offset == 1
    assert (await append(store, log, "b", keep)).offset == 2
    assert offsets((await store.logs.read(log, START)).entries) == [2]
