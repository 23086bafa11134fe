"""Row 25: the process with the run and its connection is killed, and nothing else streams."""

import time
from pathlib import Path

import pytest

from tests.support.machines import connection_of, kill, machines, take_updates
from tests.support.page import data, new_id, opened

LOST_SECONDS = 10


@pytest.mark.notice
def test_fault_25_s1_s2_the_remaining_worker_ends_runs_without_an_owner(
    tmp_path: Path, redis_url: str
) -> None:
    """S1: the page resumes while nothing else streams. S2: a page attaches to a kept run."""
    with (
        machines(tmp_path, redis_url) as served,
        opened(served[0]) as here,
        opened(served[1]) as there,
    ):
        body, kept = here.body("endless0"), here.body("keep", page=there.page)
        last = ""
        with here.stream("start", body) as events:
            for event in events:
                last = event.id or last
                if event.event == "update":
                    break
            with here.stream("start", kept) as others:
                take_updates(others, 1)
            killed = time.monotonic()
            kill(served[0])
        run, kept_run = (one["flash_events"]["run"] for one in (body, kept))
        with there.stream("resume", there.resume(connection_of(body), last)) as events:
            ends = [data(event) for event in events if event.event == "end"]
        assert time.monotonic() - killed < LOST_SECONDS
        assert ends == [{"run": run, "n": 0, "reason": "lost"}]
        runs = [{"run": kept_run, "seen": 1}]
        fields = {"connection": new_id(), "connections": [], "runs": runs}
        attach = {"flash_events": {"version": 1, "page": there.page, **fields}}
        asked = time.monotonic()
        with there.stream("attach", attach) as events:
            ends = [data(event) for event in events if event.event == "end"]
        assert time.monotonic() - asked < LOST_SECONDS
        assert ends == [{"run": kept_run, "n": 0, "reason": "lost"}]
