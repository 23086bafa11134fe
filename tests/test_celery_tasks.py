"""Celery tasks stream their updates into a run: real Redis, a real worker, a real server."""

import re
import time
from collections import defaultdict
from collections.abc import Iterator

import pytest

from tests.support.celery_worker import Celery
from tests.support.page import Page, all_of, data, end_of, new_id, opened, read_until, sets
from tests.support.server import wait_until

STOP_SECONDS = 1.0


@pytest.fixture
def page(celery: Celery) -> Iterator[Page]:
    with opened(celery.served) as page:
        yield page


def test_ten_thousand_emits_of_four_tasks_each_arrive_complete_and_in_order(page: Page) -> None:
    shown = defaultdict(list)
    events = all_of(page, "four")
    for event in events:
        if event.event == "update":
            for target, props in data(event)["set"]:
                shown[target].append(props["children"])
    assert shown.pop("result") == [[10_000] * 4]
    assert shown == {f"out{n}": list(range(1, 10_001)) for n in range(4)}
    assert end_of(events)["reason"] == "done"


def test_the_run_sees_each_state_and_the_result(page: Page) -> None:
    events = all_of(page, "count")
    assert sets(events, "state") == ["0 queued 0", "0 started 1", "0 success 1"]
    assert sets(events, "waiting") == [0, None, None]
    assert sets(events, "result") == ["result 10000"]


def test_a_failed_task_raises_its_own_exception_in_the_callback(page: Page) -> None:
    events = all_of(page, "fail")
    assert sets(events, "out") == ["about to fail"]
    assert sets(events, "message") == ["OddError: out of paper"]
    assert sets(events, "state")[-1] == "0 failure 1"
    assert end_of(events)["reason"] == "error"


def test_an_exception_with_arguments_other_than_text_is_reported(page: Page) -> None:
    [text] = sets(all_of(page, "odd"), "message")
    assert text.startswith("KeyError: ")
    assert "00000000-0000-0000-0000-000000000001" in text


def test_updates_of_a_retried_task_have_their_attempt(page: Page) -> None:
    events = all_of(page, "stubborn")
    assert sets(events, "out") == ["attempt 1", "attempt 2", "attempt 3"]
    assert sets(events, "result") == ["result at last"]
    states = sets(events, "state")
    assert [state for state in states if "started" in state] == [
        f"0 started {n}" for n in (1, 2, 3)
    ]
    assert states[-1] == "0 success 3"


@pytest.mark.parametrize(
    ("canvas", "result", "parts"),
    [("group", "[0, 2, 4]", 3), ("chain", "2", 1), ("chord", "6", 3)],
)
def test_the_parts_of_a_canvas_interleave_in_order_per_part(
    page: Page, canvas: str, result: str, parts: int
) -> None:
    events = all_of(page, canvas)
    emitted = defaultdict(list)
    for text in sets(events, "out"):
        if found := re.fullmatch(r"(\d)\+\d (\d)", text):
            emitted[found[1]].append(found[2])
    assert sorted(emitted.values()) == [["1", "2", "3"]] * parts
    assert sets(events, "result") == [f"result {result}"]


def test_a_missing_result_is_an_error_only_when_it_is_read(page: Page) -> None:
    """C6: all emitted updates are shown first."""
    events = all_of(page, "unasked")
    assert sets(events, "out") == list(range(1, 101))
    assert end_of(events)["reason"] == "done"
    events = all_of(page, "unkept")
    assert sets(events, "out") == list(range(1, 101))
    [message] = sets(events, "message")
    assert message.startswith("ConfigurationError: The result of tests.apps.tasks.unkept")
    assert "ignore_result=True" in message


@pytest.mark.parametrize(
    ("name", "shown", "result"),
    [
        ("replaced", ["the first", "the second"], "of the second"),
        ("replaced_by_chain", ["the first", "total of 1"], "3"),
        ("replaced_by_group", [], "[0, 2]"),
    ],
)
def test_a_task_that_replaces_itself_is_followed(
    page: Page, name: str, shown: list[str], result: str
) -> None:
    """C8: until its replacement has ended."""
    events = all_of(page, name)
    assert sets(events, "message") == []
    assert sets(events, "out") == shown
    assert sets(events, "result") == [f"result {result}"]
    assert sets(events, "state")[-1].startswith("0 success")


@pytest.mark.parametrize("name", ["ignoring", "ignored_chain"])
def test_a_task_that_is_ignored_is_not_revoked(page: Page, name: str) -> None:
    """C8: it ends without a result, and its successors never run."""
    events = all_of(page, name)
    assert sets(events, "out") == ["nothing to do"]
    assert "0 ignored 1" in sets(events, "state")
    assert sets(events, "result") == ["result None"]
    assert end_of(events)["reason"] == "done"


def test_progress_is_tracked_in_a_task(page: Page) -> None:
    events = all_of(page, "tracked")
    bars = sets(events, "bar", "value")
    assert (bars[0], bars[-1]) == (0.0, 100.0)
    assert sets(events, "out")[-1].startswith("100 %")


@pytest.mark.deadline
def test_a_cancel_ends_the_task_and_its_finally_runs_fifty_times(
    page: Page, celery: Celery
) -> None:
    began, before = (len(celery.served.marks(f"tick {name}")) for name in ("began", "finally"))
    slowest = 0.0
    for n in range(1, 51):
        page.page = new_id()
        with page.stream("start", body := page.body("tick")) as events:
            read_until(events, "tick 2")
            asked = time.time()
            page.stop(body["flash_events"]["run"])
            done = celery.served.wait_for_mark("tick finally", before + n)
            slowest = max(slowest, done["time"] - asked)
    assert slowest < STOP_SECONDS
    assert len(celery.served.marks("tick began")) == began + 50
    assert len(celery.served.marks("tick finally")) == before + 50
    wait_until(lambda: not celery.active(), 10, "the worker to be free")


def test_a_task_that_ignores_its_cancellation_is_terminated(page: Page, celery: Celery) -> None:
    body = page.body("sleepy")
    with page.stream("start", body) as events:
        read_until(events, "asleep")
        pid = celery.served.marks("sleepy began")[-1]["pid"]
        assert pid in celery.worker.children()
        page.stop(body["flash_events"]["run"])
        celery.served.wait_for_mark("sleepy finally")
    wait_until(lambda: pid not in celery.worker.children(), 5, "the end of its process")
    wait_until(lambda: not celery.active(), 10, "the worker to be free")


def test_each_part_of_a_group_has_its_queue_position(page: Page, celery: Celery) -> None:
    with celery.busy() as waiting, page.stream("start", body := page.body("group")) as events:
        shown = [next(event for event in events if event.event == "update") for _ in range(3)]
        page.stop(body["flash_events"]["run"])
        list(events)
    assert sets(shown, "state") == ["0 queued 0", "1 queued 0", "2 queued 0"]
    assert sets(shown, "waiting") == [waiting, waiting + 1, waiting + 2]


def test_a_queued_task_has_its_queue_position_and_never_starts_once_cancelled(
    page: Page, celery: Celery
) -> None:
    before = len(celery.served.marks("tick began"))
    with celery.busy() as waiting:
        body = page.body("tick")
        with page.stream("start", body) as events:
            first = next(event for event in events if event.event == "update")
            assert sets([first], "state") == ["0 queued 0"]
            assert sets([first], "waiting") == [waiting]
            page.stop(body["flash_events"]["run"])
            assert end_of(list(events))["reason"] == "cancelled"
    assert len(celery.served.marks("tick began")) == before
