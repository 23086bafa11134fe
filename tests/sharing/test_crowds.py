"""Many publishers and readers in several processes; tests/soak has them at full size."""

from pathlib import Path

import pytest

from flash_events.sharing.values import DeclaredValues
from tests.support.topic_crowds import (
    Place,
    join_late,
    mix_sizes,
    publish_and_read,
    share_large_values,
    update_together,
)


@pytest.fixture
def place(app: DeclaredValues, kind: str, tmp_path: Path) -> Place:
    """A store for several processes, or in memory for threads, each with an event loop."""
    store = None if kind == "memory" else f"sqlite:///{tmp_path}/store.db"
    return Place(kind, app, store, tmp_path)


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.node.callspec.params["new_namespace"]
    return name


in_processes = pytest.mark.parametrize("new_namespace", ["sqlite"], indirect=True)
in_threads = pytest.mark.parametrize("new_namespace", ["memory"], indirect=True)


@in_processes
async def test_readers_in_several_processes_get_everything_in_one_order(
    place: Place, redis_url: str
) -> None:
    await publish_and_read(place, 300, readers=4, processes=2, celery_url=redis_url)


@in_processes
async def test_late_joiners_in_several_processes_see_no_hole_and_no_double(place: Place) -> None:
    await join_late(place, 60)


@in_processes
async def test_updates_in_several_processes_are_all_there(place: Place) -> None:
    await update_together(place, 3, 20)


@in_threads
async def test_a_large_value_that_two_loops_set_is_always_whole(place: Place) -> None:
    await share_large_values(place, 2, 5)


@in_threads
async def test_large_messages_between_small_ones_come_in_order(place: Place) -> None:
    await mix_sizes(place, 14, readers=2)
