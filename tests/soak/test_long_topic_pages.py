"""Pages with a `Subscription` when connections and workers fail, at full size."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.redis_server import redis_server
from tests.support.server import Served, serving
from tests.support.topic_troubles import APP, cut_often, kill_workers, read_nothing

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/store.db"
        return
    with redis_server(tmp_path) as server:
        yield server.url


@pytest.fixture
def served(store: str, tmp_path: Path) -> Iterator[Served]:
    with serving(APP, tmp_path, FLASH_EVENTS_STORE=store) as served:
        yield served


def test_20_cuts_in_2000_messages_lose_none(served: Served, store: str) -> None:
    cut_often(served, store, count=2000, cuts=20)


def test_3_killed_workers_in_2000_messages_lose_none(
    served: Served, store: str, tmp_path: Path
) -> None:
    kill_workers(served, store, tmp_path, count=2000, kills=3, FLASH_EVENTS_STORE=store)


def test_a_page_that_reads_nothing_for_60_s_disturbs_nobody_and_is_told(
    served: Served, store: str
) -> None:
    read_nothing(served, store, seconds=60, rate=200, warm=20_000)
