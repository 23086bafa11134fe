"""Event callbacks whose bodies run in Celery: real Redis, a real worker, real servers."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.celery_worker import Celery, another
from tests.support.machines import connection_of, kill, take_updates
from tests.support.page import Page, all_of, data, end_of, new_id, opened, sets
from tests.support.server import wait_until

CRUNCH = "tests.apps.crunch:server"


@pytest.fixture
def page(celery: Celery) -> Iterator[Page]:
    with opened(celery.served) as page:
        yield page


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def run_of(body: dict[str, Any]) -> str:
    return str(body["flash_events"]["run"])


def attached(page: Page, run: str) -> dict[str, Any]:
    runs = [{"run": run, "seen": 0}]
    fields = {"version": 1, "page": page.page, "connection": new_id(), "connections": []}
    return {"flash_events": {**fields, "runs": runs}}


def test_a_burst_from_a_worker_arrives_complete_and_in_order(page: Page) -> None:
    events = all_of(page, "burst")
    assert sets(events, "out") == list(range(1, 20_001))
    assert end_of(events)["n"] == 20_000


def test_the_body_gets_its_arguments_and_context_in_the_process_of_a_worker(
    page: Page, celery: Celery
) -> None:
    events = all_of(page, "told")
    assert sets(events, "message") == ["told 1"]
    *told, pid = str(sets(events, "out")[0]).rsplit(" ", 1)
    assert told == ["1 S {'told.n_clicks': 1} {'who.value': 'S'}"]
    assert int(pid) in celery.worker.children()


def test_t1_an_error_in_a_worker_shows_its_trace_where_the_web_server_is_in_debug_mode(
    celery: Celery, tmp_path: Path, page: Page
) -> None:
    assert set(end_of(all_of(page, "wrong"))["error"]) == {"code", "ref"}
    with another(celery, tmp_path, FLASH_EVENTS_DEBUG="1") as served, opened(served) as debugged:
        error = end_of(all_of(debugged, "wrong"))["error"]
    assert error["callback"] == "tests.apps.elsewhere.wrong"
    assert 'elsewhere.py", line ' in error["trace"]
    assert "ValueError: no luck" in error["trace"]


def test_on_error_handles_an_exception_in_a_worker(page: Page) -> None:
    events = all_of(page, "wrong")
    assert sets(events, "message") == ["sorry: ValueError no luck"]
    assert end_of(events)["reason"] == "error"


@pytest.mark.deadline
@pytest.mark.parametrize("name", ["ticks", "plain"])
def test_a_cancel_stops_the_generator_in_the_worker_within_a_second(
    page: Page, celery: Celery, name: str
) -> None:
    before = len(celery.served.marks(f"{name} finally"))
    for n in range(1, 11):
        page.page = new_id()
        with page.stream("start", body := page.body(name)) as events:
            take_updates(events, 2)
            asked = time.time()
            page.stop(run_of(body))
            done = celery.served.wait_for_mark(f"{name} finally", before + n)
            assert done["time"] - asked < 1
            assert end_of(list(events))["reason"] == "cancelled"


def test_a_body_that_ignores_its_cancellation_is_terminated(page: Page, celery: Celery) -> None:
    with page.stream("start", body := page.body("deaf")) as events:
        pid = celery.served.wait_for_mark("deaf began")["pid"]
        page.stop(run_of(body))
        assert end_of(list(events))["reason"] == "cancelled"
        celery.served.wait_for_mark("deaf finally")
    wait_until(lambda: pid not in celery.worker.children(), 5, "the end of its process")


def test_a_page_that_leaves_stops_its_runs_in_workers(page: Page, celery: Celery) -> None:
    before = len(celery.served.marks("ticks finally"))
    with page.stream("start", page.body("ticks")) as events:
        take_updates(events, 2)
    celery.served.wait_for_mark("ticks finally", before + 1)  # after the grace


def test_a_queued_run_can_be_cancelled(page: Page, celery: Celery) -> None:
    before = len(celery.served.marks("ticks began"))
    with celery.busy(), page.stream("start", body := page.body("ticks")) as events:
        assert next(events).event == "open"
        page.stop(run_of(body))
        assert end_of(list(events))["reason"] == "cancelled"
    assert len(celery.served.marks("ticks began")) == before


def test_a_queued_run_that_is_revoked_ends(page: Page, celery: Celery) -> None:
    body = page.body("ticks")
    with celery.busy(), page.stream("start", body) as events:
        assert next(events).event == "open"
        celery.client.control.revoke(run_of(body))
        Path(f"{celery.served.marks_file}.hold").touch()  # so that a worker takes it from the queue
        assert end_of(list(events))["reason"] == "cancelled"


def test_a_newer_run_starts_after_the_older_one_has_stopped(page: Page, celery: Celery) -> None:
    finished = len(celery.served.marks("ticks finally"))
    first = page.body("ticks")
    with page.stream("start", first) as events:
        take_updates(events, 2)
        fields = {"connections": [connection_of(first)], "replaces": [run_of(first)]}
        second = page.body("ticks", **fields)
        assert page.post("start", second).status_code == 202
        begun = next(event for event in events if data(event)["run"] == run_of(second))
        assert begun.event == "start"
        [done] = celery.served.marks("ticks finally")[finished:]
        page.stop(run_of(second))
        celery.served.wait_for_mark("ticks finally", finished + 2)
    began = celery.served.marks("ticks began")[-1]
    assert done["time"] <= began["time"]


def test_a_run_continues_when_its_web_server_dies_and_another_resumes_the_connection(
    celery: Celery, tmp_path: Path, page: Page
) -> None:
    numbers: list[int] = []
    last = ""
    with (
        another(celery, tmp_path) as served,
        opened(served) as other,
        other.stream("start", body := other.body("ticks")) as events,
    ):
        for event in events:
            last = event.id or last
            if event.event == "update":
                numbers.append(data(event)["n"])
                if len(numbers) == 5:
                    break
        kill(served)
    connection = connection_of(body)
    with page.stream("resume", page.resume(connection, last)) as events:
        numbers += take_updates(events, 100)
        assert numbers == list(range(1, 106))
        page.stop(run_of(body))
        assert end_of(list(events))["reason"] == "cancelled"


def test_a_kept_run_is_shown_again_while_it_lives_and_after_its_end(
    page: Page, celery: Celery
) -> None:
    with page.stream("start", body := page.body("keep")) as events:
        take_updates(events, 3)
    with page.stream("attach", attached(page, run_of(body))) as events:
        assert data(next(event for event in events if event.event == "update"))["snapshot"]
        take_updates(events, 3)
        with celery.ending():
            rest = list(events)
            assert end_of(rest)["reason"] == "done"
            wait_until(lambda: not celery.active(), 5, "a free worker")
    [text] = [text for text in sets(rest, "out") if str(text).startswith("kept to the end")]
    with page.stream("attach", attached(page, run_of(body))) as events:
        again = list(events)
    assert sets(again, "out") == [text]
    assert end_of(again)["reason"] == "done"


def test_a_queued_kept_run_is_shown_at_its_pages_current_connection(
    page: Page, celery: Celery, stack: ExitStack
) -> None:
    body = page.body("keep")
    with celery.busy(), page.stream("start", body) as events:
        assert next(events).event == "open"
        attach = page.stream("attach", attached(page, run_of(body)))
        again = stack.enter_context(attach)
    assert take_updates(again, 3) == [1, 2, 3]
    page.stop(run_of(body))
