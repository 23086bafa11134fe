"""Runs in a worker with time limits and pickled results."""

from collections.abc import Iterator

import pytest

from tests.support.celery_worker import Celery, working
from tests.support.page import Page, all_of, end_of, opened, sets

pytestmark = pytest.mark.usefixtures("limited_worker")

LIMITS = ("--soft-time-limit", "1", "--time-limit", "3")


@pytest.fixture(scope="module")
def limited_worker(celery: Celery, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    # The last option allows root to read pickles.
    urls = {
        "FLASH_EVENTS_BROKER": celery.redis_url,
        "CELERY_BROKER": celery.messages_url,
        "C_FORCE_ROOT": "1",
    }
    options, home = ("-c", "4", "-n", "l@x", *LIMITS), tmp_path_factory.mktemp("limited")
    app, marks = "tests.apps.limits:limited_app", str(celery.served.marks_file)
    with working(home, *options, app=app, MARKS=marks, **urls):
        yield


@pytest.fixture
def page(celery: Celery) -> Iterator[Page]:
    with opened(celery.served) as page:
        yield page


def test_a_result_is_the_one_that_celery_returns(page: Page) -> None:
    """C7: with keys and tuples that JSON cannot represent."""
    assert sets(all_of(page, "pickled"), "out") == ["({2019: 3}, (3, 4))"]


@pytest.mark.parametrize("name", ["limited", "limited_plain", "limited_busy"])
def test_the_soft_time_limit_is_raised_in_the_generator(
    page: Page, celery: Celery, name: str
) -> None:
    """C4: even while the body waits, runs in a thread, or blocks the event loop."""
    events = all_of(page, name)
    assert sets(events, "message") == ["sorry: SoftTimeLimitExceeded SoftTimeLimitExceeded()"]
    assert end_of(events)["reason"] == "error"
    celery.served.wait_for_mark(f"{name} heard")


def test_updates_after_the_soft_time_limit_are_shown(page: Page) -> None:
    assert sets(all_of(page, "limited"), "out") == ["waits", "cleans up"]


def test_the_hard_time_limit_fails_the_run(page: Page) -> None:
    """C4: and on_error is called."""
    events = all_of(page, "overdue")
    assert sets(events, "out") == ["goes on", "goes on all the same"]
    assert sets(events, "message") == [
        "sorry: RunTimeout It ran longer than Celery's time limit of 3.0 seconds."
    ]
    assert end_of(events)["error"]["code"] == "timeout"
