"""Row 26: Redis answers with errors or not at all, temporarily or permanently."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.machines import connection_of, machines, take_updates
from tests.support.page import opened
from tests.support.redis_server import redis_server
from tests.support.server import wait_until
from tests.support.trouble_streams import Troubled, is_refused, troubled
from tests.support.troubles import FINAL, PASSING

TROUBLE_SECONDS = 2.0


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Troubled]:
    with troubled(tmp_path_factory.mktemp("troubled")) as pair:
        yield pair


@pytest.mark.parametrize("name", PASSING)
def test_fault_26_s3_s4_streams_wait_and_continue(pair: Troubled, name: str) -> None:
    """S3, S4: Redis refuses all commands, or all writes."""
    assert pair.cause(PASSING[name], TROUBLE_SECONDS) == []


@pytest.mark.parametrize("name", FINAL)
def test_fault_26_s3_streams_end_and_the_page_gets_their_ends(pair: Troubled, name: str) -> None:
    """S3: any other error reply."""
    ends = pair.cause(FINAL[name], TROUBLE_SECONDS)
    assert [end["reason"] for end in ends] == ["lost", "lost"]


@pytest.mark.notice
def test_fault_26_s5_streams_survive_an_outage_of_the_set_time_and_no_longer(
    tmp_path: Path,
) -> None:
    """S5: even if the page is cut off meanwhile for longer than its grace period."""
    with (
        redis_server(tmp_path, appendonly=True) as redis,
        machines(
            tmp_path,
            redis.url,
            count=1,
            FLASH_EVENTS_BROKER_OUTAGE_SECONDS="4",
            FLASH_EVENTS_GRACE_SECONDS="0.5",
        ) as [served],
        opened(served) as page,
    ):
        body = page.body("start")
        with page.stream("start", body) as events:
            assert take_updates(events, 5) == [1, 2, 3, 4, 5]
            redis.stop()
        resume = page.resume(connection_of(body))
        time.sleep(1.5)  # the outage lasts three times the grace period
        is_refused(page.post("resume", resume))
        assert not served.marks("ticks finally")
        redis.start()
        wait_until(lambda: page.post("stop", STOP_NOTHING).status_code == 202, 5, "Redis")
        with page.stream("resume", resume) as events:
            assert take_updates(events, 100) == list(range(1, 101))
            redis.stop()
            list(events)  # the body ends
        answer = page.post("resume", resume)
        assert (answer.status_code, answer.json()["error"]) == (410, "lost")
        served.wait_for_mark("ticks finally")


STOP_NOTHING = {"flash_events": {"version": 1, "page": "p" * 22, "runs": ["r" * 22]}}
