"""Shared values: the last one counts, and no update is lost."""

import asyncio
import math
from decimal import Decimal
from typing import Any

import pytest

from flash_events import Conflict, EncodingError
from flash_events.sharing.values import DeclaredValues


async def test_a_value_is_the_initial_one_until_it_is_set(app: DeclaredValues) -> None:
    value = app.shared_value("filter", {"year": 2026})
    assert await value.get() == {"year": 2026}
    assert await value.set({"year": 2025}) == 1
    assert await value.get() == {"year": 2025}
    await value.delete()
    assert await value.get() == {"year": 2026}


async def test_each_get_returns_an_object_of_its_own(app: DeclaredValues) -> None:
    value = app.shared_value("list", [])
    (await value.get()).append(1)
    assert await value.get() == []
    await value.set([1])
    (await value.get()).append(2)
    assert await value.get() == [1]


@pytest.mark.parametrize(
    "data",
    [None, True, 0, -1, 2**70, 1.5, "", "é\ud800", b"", b"\0\xff", [], {}, {"a": [{"b": [None]}]}],
    ids=repr,
)
async def test_a_value_comes_back_equal(app: DeclaredValues, data: Any) -> None:
    value = app.shared_value("any")
    await value.set(data)
    found = await value.get()
    assert (found, type(found)) == (data, type(data))


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ((1, 2), r"at \$\. Write list"),
        ({"a": [1, (2,)]}, r"at \$\['a'\]\[1\]"),
        ({1: "a"}, r"a key of \$"),
        ({"a": math.nan}, r"nan at \$\['a'\]"),
        ([math.inf], r"\$\[0\]"),
        ({"a": Decimal(1)}, r"Decimal .* at \$\['a'\]"),
        ({1, 2}, "sorted"),
        (object(), "object"),
    ],
)
async def test_what_would_not_come_back_equal_is_refused(
    app: DeclaredValues, data: Any, path: str
) -> None:
    value = app.shared_value("any", "before")
    with pytest.raises(EncodingError, match=path):
        await value.set(data)
    assert await value.get() == "before"


async def test_a_value_larger_than_the_limit_is_refused(app: DeclaredValues) -> None:
    value = app.shared_value("any")
    with pytest.raises(EncodingError, match="max_value_bytes"):
        await value.set(b"x" * (64 * 2**20 + 1))


async def test_a_large_value_is_read_whole(app: DeclaredValues) -> None:
    value = app.shared_value("any")
    data = b"x" * 2**20
    messages = value.subscribe()
    async with messages:
        await value.set(data)
        async for message in messages:
            assert (message.data, message.offset) == (None, 1)
            break
    assert await value.get() == data


async def test_concurrent_updates_are_all_there(
    app: DeclaredValues, another_app: DeclaredValues
) -> None:
    values = [app.shared_value("count", 0), another_app.shared_value("count", 0)]
    updates = (values[n % 2].update(lambda old: old + 1) for n in range(100))
    results = await asyncio.gather(*updates)
    assert sorted(results) == list(range(1, 101))
    assert await values[0].get() == 100


async def test_an_update_that_returns_nothing_is_refused(app: DeclaredValues) -> None:
    value = app.shared_value("list", [])
    with pytest.raises(TypeError, match="forget `return`"):
        await value.update(lambda old: old.append(1))
    with pytest.raises(TypeError, match="plain function"):
        await value.update(asyncio.sleep)
    assert await value.get() == []


async def test_an_update_gives_up_after_its_tries(
    app: DeclaredValues, another_app: DeclaredValues
) -> None:
    value, other = app.shared_value("count", 0), another_app.topic("other")
    del other
    calls = 0

    def change(old: int) -> int:
        nonlocal calls
        calls += 1
        disturb.append(asyncio.ensure_future(value.set(calls * 100)))
        return old + 1

    disturb: list[asyncio.Future[int]] = []
    hub = value._hub()
    publish = hub.publish

    async def publish_late(*args: Any, **options: Any) -> Any:
        if options.get("expect") is not None:
            await asyncio.gather(*disturb)
        return await publish(*args, **options)

    hub.publish = publish_late  # type: ignore[method-assign]
    with pytest.raises(Conflict):
        await value.update(change, tries=3)
    assert calls == 3


async def test_readers_get_the_value_first_and_then_each_new_one(app: DeclaredValues) -> None:
    value = app.shared_value("filter", "initial")
    await value.set("one")
    await value.set("two")
    read: list[Any] = []
    async with value.subscribe() as messages:
        async for message in messages:
            read.append(message.data)
            if message.data == "two":
                await value.set("three")
            elif message.data == "three":
                await value.delete()
            elif message.is_cleared:
                break
    assert read == ["two", "three", "initial"]


async def test_a_value_that_is_watched_here_is_read_from_memory(app: DeclaredValues) -> None:
    value = app.shared_value("filter", 0)
    async with value.subscribe() as messages:
        await value.set(7)
        async for message in messages:
            assert message.data == 7
            break
        assert await value.get() == 7


async def test_an_expired_value_is_the_initial_one(app: DeclaredValues) -> None:
    value = app.shared_value("filter", 0, ttl=0.1)
    await value.set(7)
    assert await value.get() == 7
    await asyncio.sleep(0.15)
    assert await value.get() == 0


async def test_the_twins_of_threads(app: DeclaredValues) -> None:
    value = app.shared_value("count", 0)

    def work() -> list[Any]:
        found = [value.get_sync(), value.set_sync(5), value.update_sync(lambda old: old + 1)]
        value.delete_sync()
        return [*found, value.get_sync()]

    assert await asyncio.to_thread(work) == [0, 1, 6, 0]
