"""Row 24: processes are killed, or restarted, in random order under load."""

from pathlib import Path

import pytest

from tests.support.chaos import chaos, killing, restarting
from tests.support.redis_server import redis_server

SECONDS = 8.0
PAGES = 4


@pytest.mark.notice
async def test_fault_24_killed_processes_lose_their_own_runs_only(tmp_path: Path) -> None:
    with redis_server(tmp_path) as redis:
        report = await chaos(
            tmp_path, redis.url, SECONDS, killing(redis.url, (3.0, 4.0)), pages=PAGES
        )
    assert report.faults == []
    assert report.counts["kills"] >= 2


@pytest.mark.notice
async def test_fault_24_a_rolling_restart_reports_every_lost_run(tmp_path: Path) -> None:
    with redis_server(tmp_path) as redis:
        report = await chaos(tmp_path, redis.url, SECONDS, restarting(), pages=PAGES)
    assert report.faults == []
    assert report.counts["restarts"] >= 1
