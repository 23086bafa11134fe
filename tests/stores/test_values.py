"""The contract of values and leads; every store must pass it."""

import asyncio
import secrets
from collections.abc import Callable

import pytest

from flash_events.stores import LARGE_BYTES, Quota, Slot, Store

QUOTA = Quota(max_items=200, max_bytes=2**20)


@pytest.fixture
def slot() -> Slot:
    return new_slot()


def new_slot(group: str = "") -> Slot:
    """Returns a place that nobody has used."""
    return Slot(group or secrets.token_hex(8), secrets.token_hex(8))


async def put(
    store: Store,
    slot: Slot,
    data: bytes | str = b"",
    quota: Quota = QUOTA,
    ttl_seconds: float | None = None,
    fence: str = "",
) -> bool:
    data = data.encode() if isinstance(data, str) else data
    return await store.values.put(slot, data, quota, ttl_seconds=ttl_seconds, fence=fence)


async def lead(store: Store, slot: Slot) -> str:
    fence = await store.values.lead(slot)
    assert fence
    return fence


async def kept(store: Store, slots: list[Slot]) -> list[int]:
    """Returns the places in the list of those that have a value."""
    return [n for n, slot in enumerate(slots) if await store.values.get(slot) is not None]


async def test_a_value_comes_back_to_all_clients(store: Store, other: Store, slot: Slot) -> None:
    assert await store.values.get(slot) is None
    assert await put(store, slot, "a")
    assert await store.values.get(slot) == await other.values.get(slot) == b"a"
    assert await put(other, slot, "b")
    assert await store.values.get(slot) == await other.values.get(slot) == b"b"


async def test_values_are_told_apart_by_group_and_by_name(store: Store, slot: Slot) -> None:
    same_group, same_name = new_slot(slot.group), Slot(new_slot().group, slot.name)
    for n, one in enumerate((slot, same_group, same_name)):
        await put(store, one, str(n))
    found = [await store.values.get(one) for one in (slot, same_group, same_name)]
    assert found == [b"0", b"1", b"2"]


async def test_values_of_any_size_and_content_come_back(
    store: Store, other: Store, slot: Slot
) -> None:
    quota = Quota(10, 2**24)
    for data in (
        b"",
        bytes(range(256)),
        b"\0" * LARGE_BYTES,
        secrets.token_bytes(2**22),
        secrets.token_bytes(LARGE_BYTES + 1),
        b"small again",
    ):
        assert await put(store, slot, data, quota)
        assert await other.values.get(slot) == data


async def test_a_value_expires(store: Store, other: Store, slot: Slot) -> None:
    later = new_slot(slot.group)
    await put(store, slot, "a", ttl_seconds=0.2)
    await put(store, later, "b", ttl_seconds=60)
    assert await other.values.get(slot) == b"a"
    await asyncio.sleep(0.25)
    assert await store.values.get(slot) is await other.values.get(slot) is None
    assert await other.values.get(later) == b"b"


async def test_a_later_put_decides_when_a_value_expires(store: Store, slot: Slot) -> None:
    await put(store, slot, "a", ttl_seconds=0.2)
    await put(store, slot, "b")
    await asyncio.sleep(0.25)
    assert await store.values.get(slot) == b"b"


async def test_an_expired_value_does_not_count_toward_the_quota(store: Store, slot: Slot) -> None:
    slots = [new_slot(slot.group) for _ in range(3)]
    quota = Quota(2, 1000)
    await put(store, slots[0], "a", quota)
    await put(store, slots[1], "b", quota, ttl_seconds=0.1)
    await asyncio.sleep(0.15)
    await put(store, slots[2], "c", quota)
    assert await kept(store, slots) == [0, 2]


async def test_the_least_recently_put_values_are_evicted_by_number(
    store: Store, other: Store, slot: Slot
) -> None:
    slots = [new_slot(slot.group) for _ in range(5)]
    for n, one in enumerate(slots):
        await put((store, other)[n % 2], one, str(n), Quota(3, 1000))
    assert await kept(store, slots) == await kept(other, slots) == [2, 3, 4]
    await put(store, slots[2], "again", Quota(3, 1000))
    await put(store, slots[0], "again", Quota(3, 1000))
    assert await kept(store, slots) == [0, 2, 4]


async def test_the_least_recently_put_values_are_evicted_by_size(store: Store, slot: Slot) -> None:
    slots = [new_slot(slot.group) for _ in range(4)]
    for one in slots:
        await put(store, one, b"x" * 30, Quota(200, 100))
    assert await kept(store, slots) == [1, 2, 3]
    await put(store, slots[0], b"x" * 61, Quota(200, 100))
    assert await kept(store, slots) == [0, 3]


async def test_a_value_that_is_replaced_counts_once(store: Store, slot: Slot) -> None:
    slots = [new_slot(slot.group) for _ in range(2)]
    quota = Quota(2, 100)
    for _ in range(3):
        for one in slots:
            await put(store, one, b"x" * 50, quota)
    assert await kept(store, slots) == [0, 1]


async def test_a_used_value_is_evicted_later(store: Store, other: Store, slot: Slot) -> None:
    slots = [new_slot(slot.group) for _ in range(5)]
    for one in slots[:3]:
        await put(store, one, "", Quota(3, 1000))
    await other.values.touch(slots[0])
    await store.values.touch(new_slot(slot.group))  # there is none
    for one in slots[3:]:
        await put(store, one, "", Quota(3, 1000))
    assert await kept(store, slots) == [0, 3, 4]


async def test_groups_evict_nothing_of_each_other(store: Store, slot: Slot) -> None:
    await put(store, slot, "mine", Quota(1, 1000))
    for _ in range(3):
        await put(store, new_slot(), "theirs", Quota(1, 1000))
    assert await store.values.get(slot) == b"mine"


async def test_a_value_larger_than_the_quota_is_refused(store: Store, slot: Slot) -> None:
    first = new_slot(slot.group)
    await put(store, first, "small", Quota(10, 100))
    assert not await put(store, slot, b"x" * 101, Quota(10, 100))
    assert not await put(store, slot, b"x" * (LARGE_BYTES + 1), Quota(10, LARGE_BYTES))
    assert await put(store, slot, b"x" * 95, Quota(10, 100))
    assert await kept(store, [first, slot]) == [0, 1]


async def test_named_values_are_dropped(store: Store, other: Store, slot: Slot) -> None:
    slots = [new_slot(slot.group) for _ in range(4)]
    for one in slots:
        await put(store, one, b"x" * (LARGE_BYTES + 1))
    await other.values.drop(slot.group, slots[0].name, slots[2].name, "unknown")
    assert await kept(store, slots) == [1, 3]


async def test_a_whole_group_is_dropped(store: Store, other: Store, slot: Slot) -> None:
    elsewhere, slots = new_slot(), [new_slot(slot.group) for _ in range(3)]
    for one in (elsewhere, *slots):
        await put(store, one, "a")
    await other.values.drop(slot.group)
    assert await kept(store, [elsewhere, *slots]) == [0]
    await other.values.drop(slot.group)  # does nothing


async def test_one_client_leads_at_a_time(store: Store, other: Store, slot: Slot) -> None:
    fence = await lead(store, slot)
    assert await other.values.lead(slot) is None
    assert await store.values.lead(slot) is None
    assert await other.values.lead(new_slot(slot.group))
    await store.values.release(slot, fence)
    assert await lead(other, slot) != fence


async def test_of_many_that_ask_at_once_one_leads(store: Store, other: Store, slot: Slot) -> None:
    fences = await asyncio.gather(*((store, other)[n % 2].values.lead(slot) for n in range(20)))
    assert len([fence for fence in fences if fence]) == 1


async def test_putting_the_value_ends_the_lead(store: Store, other: Store, slot: Slot) -> None:
    fence = await lead(store, slot)
    assert await put(store, slot, "a", fence=fence)
    assert await other.values.get(slot) == b"a"
    assert await lead(other, slot)
    assert not await put(store, slot, "late", fence=fence)
    assert await other.values.get(slot) == b"a"


async def test_a_refused_value_ends_the_lead(store: Store, other: Store, slot: Slot) -> None:
    fence = await lead(store, slot)
    assert not await put(store, slot, "xx", Quota(1, 1), fence=fence)
    assert await lead(other, slot)


async def test_a_put_without_a_token_leaves_the_lead(
    store: Store, other: Store, slot: Slot
) -> None:
    fence = await lead(store, slot)
    assert await put(other, slot, "set")
    assert await other.values.lead(slot) is None
    assert await put(store, slot, "led", fence=fence)
    assert await other.values.get(slot) == b"led"


async def test_a_token_is_refused_when_somebody_else_leads(
    store: Store, other: Store, slot: Slot
) -> None:
    old = await lead(store, slot)
    await store.values.release(slot, old)
    new = await lead(other, slot)
    assert not await put(store, slot, "late", fence=old)
    await store.values.release(slot, old)  # does nothing
    assert await store.values.lead(slot) is None
    assert await store.values.get(slot) is None
    assert await put(other, slot, "new", fence=new)


async def test_a_token_is_refused_where_nobody_leads(store: Store, slot: Slot) -> None:
    assert not await put(store, slot, "a", fence="made up")
    elsewhere = await lead(store, new_slot(slot.group))
    assert not await put(store, slot, "a", fence=elsewhere)
    large = b"x" * (LARGE_BYTES + 1)
    assert not await put(store, slot, large, fence=elsewhere)
    assert await store.values.get(slot) is None


async def test_dropping_ends_leads(store: Store, other: Store, slot: Slot) -> None:
    """What is computed from old data must not be stored after `drop`."""
    second = new_slot(slot.group)
    fence, kept_fence = await lead(store, slot), await lead(store, second)
    await other.values.drop(slot.group, slot.name)
    assert not await put(store, slot, "old", fence=fence)
    assert await put(store, second, "a", fence=kept_fence)
    fence, elsewhere = await lead(store, second), new_slot()
    other_fence = await lead(store, elsewhere)
    await other.values.drop(slot.group)
    assert not await put(store, second, "old", fence=fence)
    assert await put(store, elsewhere, "a", fence=other_fence)


async def test_closing_ends_the_leads_of_a_client(
    new_store: Callable[[], Store], store: Store, slot: Slot
) -> None:
    closed = new_store()
    await closed.open()
    await put(closed, slot, "kept")
    await lead(closed, slot)
    mine = await lead(store, new_slot(slot.group))
    assert await store.values.lead(slot) is None
    await closed.close()
    assert await lead(store, slot) != mine
    assert await store.values.get(slot) == b"kept"
