"""Rows 24 to 26 of the fault table at their stated size."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.chaos import chaos, killing, restarting
from tests.support.machines import connection_of, machines, take_updates
from tests.support.page import opened
from tests.support.redis_server import redis_server
from tests.support.server import wait_until
from tests.support.trouble_streams import Troubled, troubled
from tests.support.troubles import FINAL, PASSING

CHAOS_SECONDS = 180
RESTART_SECONDS = 120
TROUBLE_SECONDS = 10
OUTAGE_SECONDS = 50


@pytest.mark.timeout(300)
async def test_fault_24_three_minutes_of_kills(tmp_path: Path) -> None:
    with redis_server(tmp_path) as redis:
        report = await chaos(tmp_path, redis.url, CHAOS_SECONDS, killing(redis.url, (6, 11)))
    print(report)
    assert report.faults == []
    assert report.counts["kills"] > 10


@pytest.mark.timeout(300)
async def test_fault_24_two_minutes_of_rolling_restarts(tmp_path: Path) -> None:
    with redis_server(tmp_path) as redis:
        report = await chaos(tmp_path, redis.url, RESTART_SECONDS, restarting())
    print(report)
    assert report.faults == []
    assert report.counts["restarts"] > 4


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Troubled]:
    with troubled(tmp_path_factory.mktemp("troubled")) as pair:
        yield pair


@pytest.mark.parametrize("name", PASSING)
def test_fault_26_streams_wait_for_ten_seconds(pair: Troubled, name: str) -> None:
    assert pair.cause(PASSING[name], TROUBLE_SECONDS) == []


@pytest.mark.parametrize("name", FINAL)
def test_fault_26_pages_get_the_ends_after_ten_seconds(pair: Troubled, name: str) -> None:
    ends = pair.cause(FINAL[name], TROUBLE_SECONDS)
    assert [end["reason"] for end in ends] == ["lost", "lost"]


@pytest.mark.timeout(180)
def test_fault_26_s5_streams_survive_fifty_seconds_without_redis(tmp_path: Path) -> None:
    """Tests a stream that stays open, and one that is cut off meanwhile."""
    with (
        redis_server(tmp_path, appendonly=True) as redis,
        machines(tmp_path, redis.url, count=1) as [served],
        opened(served) as page,
        opened(served) as cut,
    ):
        stays, leaves = page.body("start"), cut.body("start")
        with page.stream("start", stays) as events:
            numbers = take_updates(events, 5)
            with cut.stream("start", leaves) as others:
                take_updates(others, 5)
            redis.stop()
            time.sleep(OUTAGE_SECONDS)  # the outage lasts
            redis.start()
            numbers += take_updates(events, 200)
        assert numbers == list(range(1, 206))
        resume = cut.resume(connection_of(leaves))
        wait_until(lambda: cut.post("alive", ALIVE).status_code != 503, 10, "Redis")
        with cut.stream("resume", resume) as events:
            assert take_updates(events, 200) == list(range(1, 201))


ALIVE = {"flash_events": {"version": 1, "connection": "c" * 22}}
