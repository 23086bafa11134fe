"""A run that survives its page: reloads, absences, and the stop button in any tab."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext

from tests.support.server import Served, serving, wait_until
from tests.support.tab import WITHOUT_WORKER, Tab, goes_on

KITCHEN = "tests.apps.kitchen:server"
GRACES = {"within the grace": "30", "after the grace": "0.2"}


@pytest.fixture(scope="module", params=GRACES.values(), ids=list(GRACES))
def app(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A page that returns may find its old connection, or an expired one."""
    home = tmp_path_factory.mktemp("finish")
    with serving(KITCHEN, home, FLASH_EVENTS_GRACE_SECONDS=request.param) as served:
        yield served


@contextmanager
def ended(served: Served) -> Iterator[None]:
    """Lets the runs of `keep` end."""
    end = Path(f"{served.marks_file}.end")
    count = len(served.marks("keep began"))
    end.touch()
    try:
        served.wait_for_mark("keep finally", count)
        yield
    finally:
        end.unlink()


class Kept:
    """A tab whose run continues without it."""

    def __init__(self, context: BrowserContext, served: Served, init_script: str = "") -> None:
        self.served = served
        self.before = len(served.marks("keep began"))
        self.tab = Tab(context.new_page(), served)
        if init_script:
            self.tab.page.add_init_script(init_script)
        self.tab.open()
        self.tab.page.fill("#ticker", "Zoe")  # a reloaded page shows A
        self.tab.click("keep")
        self.goes_on()

    def goes_on(self) -> None:
        """Waits until the page shows all earlier updates and more."""
        goes_on(self.tab, "out", "keep ")
        assert self.tab.text("message") == "kept for Zoe"
        assert self.tab.page.is_visible("#spinner")
        assert len(self.served.marks("keep began")) == self.before + 1
        assert len(self.served.marks("keep finally")) == self.before

    def count(self) -> int:
        return int(self.tab.text("out").removeprefix("keep "))

    def reload(self) -> None:
        self.tab.page.reload()
        self.tab.page.wait_for_selector("button")

    def stops(self, tab: Tab | None = None) -> None:
        """Presses the stop button, here or in another tab."""
        tab = tab or self.tab
        tab.click("stop")
        done = self.served.wait_for_mark("keep finally", self.before + 1)
        assert done["time"] - tab.clicked_at() < 1
        self.tab.wait_for("message", "keep was reset")
        self.tab.wait_until("document.getElementById('spinner').hidden")

    def close(self) -> None:
        assert not self.tab.errors
        assert not self.tab.warnings
        self.tab.page.close()


@pytest.mark.deadline
def test_a_reloaded_page_gets_missed_and_later_updates(
    context: BrowserContext, app: Served
) -> None:
    kept = Kept(context, app)
    for _ in range(2):
        shown = kept.count()
        kept.reload()
        kept.goes_on()
        assert kept.count() > shown
    kept.stops()
    kept.close()


@pytest.mark.deadline
def test_a_page_that_is_reloaded_before_it_is_ready_finds_its_run_again(
    context: BrowserContext, app: Served
) -> None:
    kept = Kept(context, app)
    for _ in range(8):
        kept.tab.page.goto(app.url, wait_until="commit")
    kept.goes_on()
    kept.stops()
    kept.tab.page.close()


def test_a_page_that_returns_after_the_end_gets_the_final_state(
    context: BrowserContext, app: Served
) -> None:
    kept = Kept(context, app)
    kept.tab.page.goto("about:blank")
    with ended(app):
        kept.tab.open()
        kept.tab.wait_for("message", "kept for Zoe")
        kept.tab.wait_until("document.getElementById('spinner').hidden")
        assert kept.count() == app.marks("keep finally")[-1]["count"]
        kept.tab.click("ordinary")
        kept.tab.wait_for("answer", "answer 1")
        assert kept.tab.text("message") == "kept for Zoe"
    kept.close()


@pytest.mark.deadline
def test_without_a_shared_worker_a_reloaded_page_continues_too(
    context: BrowserContext, app: Served
) -> None:
    kept = Kept(context, app, WITHOUT_WORKER)
    kept.reload()
    kept.goes_on()
    kept.stops()
    kept.close()


def test_a_run_whose_tab_is_closed_continues_to_its_end(
    context: BrowserContext, tmp_path: Path
) -> None:
    with serving(
        KITCHEN, tmp_path, FLASH_EVENTS_GRACE_SECONDS="0.5", FLASH_EVENTS_METRICS="1"
    ) as served:
        kept = Kept(context, served)
        kept.close()
        wait_until(lambda: served.metric("connections") == 0, 10, "the end of the grace")
        updates = served.metric("updates_total")
        wait_until(lambda: served.metric("updates_total") > updates + 5, 10, "more updates")
        assert not served.marks("keep finally")
        with ended(served):
            assert len(served.marks("keep finally")) == 1


@pytest.mark.parametrize("grace_seconds", GRACES.values(), ids=list(GRACES))
def test_points_and_patches_survive_reloads_without_duplicates_or_loss(
    context: BrowserContext, tmp_path: Path, grace_seconds: str
) -> None:
    with serving(
        "tests.apps.commands:server", tmp_path, FLASH_EVENTS_GRACE_SECONDS=grace_seconds
    ) as served:
        tab = Tab(context.new_page(), served).open()
        tab.click("keep")
        listed = "document.getElementById('listed').textContent.split(' ').length"
        points = "document.querySelector('#graph .js-plotly-plot')?.data[0].x"
        least = 60  # more points than the window contains
        for _ in range(2):
            tab.wait_until(f"{points}?.length && {listed} > {least}", seconds=20)
            tab.page.reload()
            tab.page.wait_for_selector("button")
            least += 60
        tab.wait_until(f"{listed} > {least}", seconds=20)
        with ended(served):
            tab.wait_for("message", "over after")
            count = int(tab.text("message").split()[-1])
            tab.wait_until(f"{points}.at(-1) === {count - 1}")
            assert tab.page.evaluate(f"Array.from({points})") == list(range(count - 50, count))
            assert [int(n) for n in tab.text("listed").split()] == list(range(count))
        assert not tab.errors
        assert not tab.warnings
        tab.page.close()


@pytest.mark.deadline
def test_four_workers_with_redis_find_the_run_again_and_stop_it(
    context: BrowserContext, tmp_path: Path, redis_url: str
) -> None:
    with serving(KITCHEN, tmp_path, workers=4, FLASH_EVENTS_BROKER=redis_url) as served:
        for _ in range(2):  # requests reach any of them
            kept = Kept(context, served)
            for _ in range(2):
                kept.reload()
                kept.goes_on()
            kept.stops()
            kept.close()


@contextmanager
def tabs_of(browser: Browser, served: Served, *users: str) -> Iterator[list[BrowserContext]]:
    """A browser context for each user."""
    with ExitStack() as stack:
        contexts = []
        for user in users:
            context = stack.enter_context(browser.new_context())
            context.set_default_timeout(10_000)
            context.add_cookies([{"name": "user", "value": user, "url": served.url}])
            contexts.append(context)
        yield contexts


def press_stop(tab: Tab) -> None:
    """Presses the stop button of a tab that does not show the run; waits for the response."""
    with tab.page.expect_response("**/stop") as answer:
        tab.click("stop")
    assert answer.value.status == 202


@pytest.mark.deadline
def test_the_stop_button_of_the_same_user_stops_the_run_from_another_tab(
    browser: Browser, tmp_path: Path
) -> None:
    with (
        serving(KITCHEN, tmp_path, USERS="1") as served,
        tabs_of(browser, served, "ann", "bob") as [ann, bob],
    ):
        kept = Kept(ann, served)
        press_stop(Tab(bob.new_page(), served).open())
        kept.goes_on()
        kept.stops(Tab(ann.new_page(), served).open())
        kept.close()


@pytest.mark.deadline
def test_a_stop_from_another_tab_does_nothing_without_identify(
    context: BrowserContext, tmp_path: Path
) -> None:
    with serving(KITCHEN, tmp_path) as served:
        kept = Kept(context, served)
        press_stop(Tab(context.new_page(), served).open())
        kept.goes_on()
        kept.stops()
        kept.close()
