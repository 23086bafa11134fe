"""Topics and shared values in crowds of full size, over each store."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from flash_events.settings import Settings
from flash_events.sharing.process import Namespace
from flash_events.sharing.values import DeclaredValues
from tests.support.redis_server import redis_server
from tests.support.topic_crowds import (
    Place,
    join_late,
    mix_sizes,
    publish_and_read,
    share_large_values,
    update_together,
)

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """A new store of each kind."""
    kind = request.param
    if kind == "redis":
        with redis_server(tmp_path) as server:
            yield Place(kind, DeclaredValues(unused), server.url, tmp_path)
    elif kind == "sqlite":
        yield Place(kind, DeclaredValues(unused), f"sqlite:///{tmp_path}/store.db", tmp_path)
    else:
        namespace = Namespace("memory://", Settings(namespace=secrets.token_hex(8)))
        hub = await namespace.serve()
        yield Place(kind, DeclaredValues(lambda: namespace), None, tmp_path)
        await namespace.end(hub)


def unused() -> Namespace:
    raise AssertionError("only other processes use this store")


async def test_20_readers_get_40000_messages_in_one_order(place: Place, redis_url: str) -> None:
    celery_url = "" if place.store is None else redis_url
    await publish_and_read(place, 10_000, readers=20, processes=4, celery_url=celery_url)


async def test_1000_late_joiners_see_no_hole_and_no_double(place: Place) -> None:
    await join_late(place, 1000)


async def test_300_updates_of_three_processes_are_all_there(place: Place) -> None:
    await update_together(place, 3, 100)


async def test_a_value_of_10_mb_that_two_processes_set_is_always_whole(place: Place) -> None:
    await share_large_values(place, 10, 40)


async def test_200_messages_of_up_to_1_mb_come_in_order(place: Place) -> None:
    await mix_sizes(place, 105, readers=4)
