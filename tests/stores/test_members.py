"""The contract of members; every store must pass it."""

import asyncio
import secrets
import time
from collections.abc import Callable

import pytest

from flash_events.stores import Store


@pytest.fixture
def group() -> str:
    return new_group()


def new_group() -> str:
    """Returns a group that nobody has entered."""
    return secrets.token_hex(8)


async def ids(store: Store, group: str) -> list[str]:
    return [member.id for member in await store.members.of(group)]


async def test_an_unknown_group_is_empty(store: Store, group: str) -> None:
    assert await store.members.of(group) == []
    await store.members.leave(group, "a")  # does nothing


async def test_members_are_in_the_order_of_entering(store: Store, other: Store, group: str) -> None:
    before = time.time()
    names = ["c", "a", "b", "0"]
    numbers = [
        await (store, other)[n % 2].members.enter(group, name, name.encode())
        for n, name in enumerate(names)
    ]
    assert numbers == [1, 2, 3, 4]
    members = await store.members.of(group)
    assert members == await other.members.of(group)
    assert [one.id for one in members] == names
    assert [one.number for one in members] == numbers
    assert [one.data for one in members] == [name.encode() for name in names]
    assert [one.worker for one in members] == [store.worker, other.worker] * 2
    assert all(before - 1 <= one.since <= time.time() + 1 for one in members)


async def test_groups_are_independent(store: Store, group: str) -> None:
    elsewhere = new_group()
    assert await store.members.enter(group, "a", b"1") == 1
    assert await store.members.enter(elsewhere, "b", b"2") == 1
    await store.members.leave(elsewhere, "a")
    assert (await ids(store, group), await ids(store, elsewhere)) == (["a"], ["b"])


async def test_who_enters_again_keeps_the_place(store: Store, group: str) -> None:
    await store.members.enter(group, "a", b"old")
    await store.members.enter(group, "b", b"")
    [first, _] = await store.members.of(group)
    assert await store.members.enter(group, "a", b"new") == 1
    [again, second] = await store.members.of(group)
    assert (again.id, again.number, again.since, again.data) == ("a", 1, first.since, b"new")
    assert (second.id, second.number) == ("b", 2)


async def test_who_has_left_enters_as_the_last(store: Store, group: str) -> None:
    for name in ("a", "b", "c"):
        await store.members.enter(group, name, b"")
    await store.members.leave(group, "a")
    await store.members.leave(group, "c")
    assert await ids(store, group) == ["b"]
    assert await store.members.enter(group, "c", b"") > 3
    assert await store.members.enter(group, "a", b"") > 4
    assert await ids(store, group) == ["b", "c", "a"]


async def test_a_group_can_be_entered_after_all_have_left(store: Store, group: str) -> None:
    await store.members.enter(group, "a", b"1")
    await store.members.leave(group, "a")
    assert await ids(store, group) == []
    await store.members.enter(group, "a", b"2")
    [member] = await store.members.of(group)
    assert (member.id, member.data) == ("a", b"2")


async def test_only_the_worker_through_which_a_member_came_in_can_remove_it(
    store: Store, other: Store, group: str
) -> None:
    """A page moves to another worker before the one that it has left notices."""
    await store.members.enter(group, "a", b"here")
    await other.members.leave(group, "a")
    assert await ids(store, group) == ["a"]
    assert await other.members.enter(group, "a", b"there") == 1
    await store.members.leave(group, "a")
    [member] = await store.members.of(group)
    assert (member.worker, member.data) == (other.worker, b"there")
    await other.members.leave(group, "a")
    assert await ids(store, group) == []


async def test_the_members_of_a_closed_client_leave(
    new_store: Callable[[], Store], store: Store, group: str
) -> None:
    elsewhere, closed = new_group(), new_store()
    await closed.open()
    for name in ("moved", "left"):
        await closed.members.enter(group, name, b"")
    await closed.members.enter(elsewhere, "left", b"")
    await store.members.enter(group, "moved", b"")
    await store.members.enter(group, "mine", b"")
    await closed.close()
    assert await ids(store, group) == ["moved", "mine"]
    assert await ids(store, elsewhere) == []


async def test_members_that_enter_at_once_get_different_numbers(
    store: Store, other: Store, group: str
) -> None:
    names = [f"m{n}" for n in range(50)]
    numbers = await asyncio.gather(
        *((store, other)[n % 2].members.enter(group, name, b"") for n, name in enumerate(names))
    )
    assert sorted(numbers) == list(range(1, 51))
    by_number = dict(zip(numbers, names, strict=True))
    assert await ids(store, group) == [by_number[n] for n in range(1, 51)]


async def test_names_and_data_can_be_anything(store: Store, group: str) -> None:
    for name, data in (("a b/c:{d}*", bytes(range(256))), ("é\u2028", b""), ("x" * 200, b"\0" * 9)):
        await store.members.enter(group, name, data)
        assert [one.data for one in await store.members.of(group) if one.id == name] == [data]
