"""The examples work in a browser: some alone, the others in the gallery."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache

import pytest
from playwright.sync_api import BrowserContext

from tests.support.server import Served, serving, wait_until
from tests.support.tab import HAS_LOADED, Tab, wait_for_runs

Examples = Callable[[str], Served]

ROWS = "dash_ag_grid.getApi('table-grid').getDisplayedRowCount()"
RECORD = """id => {
    const element = document.getElementById(id), told = globalThis.told = [];
    new MutationObserver(() => told.push(element.textContent))
        .observe(element, {characterData: true, childList: true, subtree: true});
}"""
"""Keeps every text that an element shows."""


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Examples]:
    """Serves each example once, on demand."""
    with ExitStack() as stack:

        @cache
        def serve(name: str) -> Served:
            home, app = tmp_path_factory.mktemp(name), f"examples.{name}:server"
            return stack.enter_context(serving(app, home, FLASH_EVENTS_METRICS="1"))

        yield serve


@contextmanager
def opened(context: BrowserContext, served: Served, ready: str, path: str = "") -> Iterator[Tab]:
    """An example in a browser; fails on any error or remaining run."""
    tab = Tab(context.new_page(), served).open(path)
    tab.page.wait_for_selector(ready)
    yield tab
    tab.page.close()
    assert not tab.errors
    wait_for_runs(served, 0)


def points(component_id: str, trace: int = 0) -> str:
    graph = f"document.querySelector('[id=\"{component_id}\"] .js-plotly-plot')"
    return f"{graph}?.data[{trace}].x.length"


def text(component_id: str) -> str:
    return f"document.querySelector(`[id='{component_id}']`).textContent"


def changes(tab: Tab, expression: str, times: int = 3) -> None:
    """Waits until a value has changed a few times."""
    for _ in range(times):
        before = tab.page.evaluate(expression)
        wait_until(lambda b=before: tab.page.evaluate(expression) != b, 10, expression)


def test_quickstart_streams_stops_and_resets(context: BrowserContext, examples: Examples) -> None:
    with opened(context, examples("quickstart"), "#graph .js-plotly-plot") as tab:
        tab.click("start")
        tab.wait_until(f"{points('graph', 5)} > 10")
        tab.click("stop")
        tab.wait_until(f"{points('graph')} === 0")
        tab.click("start")
        tab.wait_until(f"{points('graph')} === 105", seconds=20)


class TestProgressTable:
    """The gapminder table fills; cancel empties it; reload starts again."""

    @pytest.fixture
    def tab(self, context: BrowserContext, examples: Examples) -> Iterator[Tab]:
        with opened(context, examples("progress_table"), "#table-grid .ag-root") as tab:
            yield tab

    def test_every_row_arrives_once(self, tab: Tab) -> None:
        tab.click("table-start")
        tab.page.wait_for_selector("text=All 1,704 rows are here.", timeout=30_000)
        tab.wait_for("table-progress-text", "1,704 of 1,704 rows")
        tab.wait_until(f"{ROWS} === 1704")

    def test_cancel_empties_the_table(self, tab: Tab) -> None:
        tab.click("table-start")
        tab.wait_until(f"{ROWS} > 50")
        tab.click("table-cancel")
        tab.wait_until(f"{ROWS} === 0")
        tab.wait_for("table-progress-text", "Stopped. The table is empty again.")

    def test_reload_begins_again(self, tab: Tab) -> None:
        tab.click("table-start")
        tab.wait_until(f"{ROWS} > 50")
        for _ in range(3):
            tab.click("table-reload")
        tab.page.wait_for_selector("text=All 1,704 rows are here.", timeout=30_000)
        tab.wait_until(f"{ROWS} === 1704")


class TestLiveDashboard:
    """Four stocks tick until they are stopped or the feed fails."""

    @pytest.fixture
    def tab(self, context: BrowserContext, examples: Examples) -> Iterator[Tab]:
        drawn = "#dashboard-graph-MSFT .js-plotly-plot"
        with opened(context, examples("live_dashboard"), drawn) as tab:
            tab.click("dashboard-start")
            for stock in ("GOOG", "AAPL", "AMZN", "MSFT"):
                tab.wait_until(f"{points(f'dashboard-graph-{stock}')} > 5")
            yield tab

    def test_end_stops_the_ticks(self, tab: Tab) -> None:
        assert tab.text("dashboard-status") == "Live"
        tab.click("dashboard-end")
        tab.wait_for("dashboard-status", "Idle")
        assert tab.page.is_enabled("#dashboard-start")

    def test_a_failure_shows_a_notification(self, tab: Tab) -> None:
        tab.click("dashboard-fail")
        tab.page.wait_for_selector(".mantine-Notification-root >> text=The feed has failed")
        tab.wait_for("dashboard-status", "Failed")
        tab.click("dashboard-start")
        tab.wait_for("dashboard-status", "Live")
        tab.wait_until(f"{points('dashboard-graph-AAPL')} > 2")
        # T11: the failure is not repeated
        tab.page.wait_for_selector("text=The feed has failed", state="detached")


class TestChat:
    """Answers arrive token by token, and can be stopped and regenerated."""

    BOX = "document.getElementById('chat-earlier').parentElement.parentElement"

    @pytest.fixture
    def tab(self, context: BrowserContext, gallery: Served) -> Iterator[Tab]:
        with opened(context, gallery, "#chat-answer p", "chat") as tab:
            tab.page.fill("#chat-prompt", "What is a stream?")
            tab.page.press("#chat-prompt", "Enter")
            tab.wait_until("document.querySelectorAll('#chat-earlier > *').length === 2")
            tab.wait_until(f"{text('chat-answer')}.length > 10")
            yield tab

    def stop(self, tab: Tab) -> str:
        """Stops the answer; returns its text."""
        tab.click("chat-stop")
        tab.page.wait_for_selector("#chat-stop:disabled")
        wait_for_runs(tab.served, 0)
        return tab.text("chat-answer")

    def test_an_answer_grows_until_it_is_complete(self, tab: Tab) -> None:
        changes(tab, text("chat-answer"))
        tab.page.wait_for_selector("#chat-stop:disabled", timeout=30_000)
        assert "What is a stream?" in tab.text("chat-answer")

    def test_t11_its_dots_are_shown_while_it_answers(self, tab: Tab) -> None:
        dots = "[...document.getElementById('chat-loader').children]"
        tab.wait_until(f"{dots}.length === 3 && {dots}.every(dot => dot.offsetWidth > 0)")
        self.stop(tab)
        tab.wait_until(f"{dots}.every(dot => dot.offsetWidth === 0)")

    def test_t11_a_long_word_is_broken(self, tab: Tab) -> None:
        tab.page.fill("#chat-prompt", 50 * "long")
        tab.click("chat-send")
        tab.wait_until("document.getElementById('chat-earlier').textContent.includes('longlong')")
        tab.wait_until(f"{text('chat-answer')}.length > 10")
        tab.wait_until("(box => box.scrollWidth === box.clientWidth)(" + self.BOX + ")")

    def test_stop_keeps_the_partial_answer(self, tab: Tab) -> None:
        answer = self.stop(tab)
        tab.page.fill("#chat-prompt", "And then?")
        tab.click("chat-send")
        tab.wait_until("document.querySelectorAll('#chat-earlier > *').length === 4")
        assert tab.text("chat-earlier").endswith(f"{answer}And then?")

    def test_regenerate_replaces_the_last_answer(self, tab: Tab) -> None:
        changes(tab, text("chat-answer"))
        self.stop(tab)
        tab.page.evaluate(RECORD, "chat-answer")
        tab.click("chat-again")
        tab.wait_until("told.length > 2 && told.at(-1).length > 10")
        assert len(tab.page.evaluate("told[0]")) < 10
        assert tab.text("chat-earlier").count("What is a stream?") == 1

    def test_nobody_else_sees_it(self, tab: Tab, context: BrowserContext) -> None:
        with opened(context, tab.served, "#chat-answer p", "chat") as other:
            assert other.text("chat-answer").startswith("Hello!")
            assert not other.text("chat-earlier")
            tab.page.close()


class TestLogTail:
    """Appended lines of a file are shown."""

    LINES = "document.getElementById('log-lines').textContent.split('\\n')"

    @pytest.fixture
    def tab(self, context: BrowserContext, gallery: Served) -> Iterator[Tab]:
        with opened(context, gallery, "#log-start", "log-tail") as tab:
            tab.click("log-start")
            tab.wait_until(f"{self.LINES}.length > 5")
            yield tab

    def test_the_lines_of_the_file_come_in_order(self, tab: Tab) -> None:
        tab.click("log-stop")
        wait_for_runs(tab.served, 0)
        [file] = tab.served.log_file.parent.glob("log_tail*/shop.log")
        shown = tab.page.evaluate(self.LINES)
        assert "\n".join(shown) in file.read_text("utf-8")

    def test_the_last_lines_are_kept(self, tab: Tab) -> None:
        [file] = tab.served.log_file.parent.glob("log_tail*/shop.log")
        with file.open("a", encoding="utf-8") as log:
            log.write("".join(f"12:00:00 INFO number {n}\n" for n in range(300)))
        tab.wait_until(f"{self.LINES}.some(line => line.endsWith('number 299'))")
        assert len(tab.page.evaluate(self.LINES)) == 200

    def test_a_level_filters_existing_and_new_lines(self, tab: Tab) -> None:
        [file] = tab.served.log_file.parent.glob("log_tail*/shop.log")
        with file.open("a", encoding="utf-8") as log:
            log.write("12:00:00 ERROR a first one\n12:00:00 INFO no error\n")
        errors = f"{self.LINES}.every(line => line.includes(' ERROR '))"
        tab.page.click("text=Errors")
        tab.wait_until(f"{self.LINES}.some(line => line.endsWith('a first one')) && {errors}")
        changes(tab, f"{self.LINES}.length", times=1)
        assert tab.page.evaluate(errors)


CHOICES = {
    "log": ("log-tail", "label:has-text('{}')", ("Errors", "Warnings")),
    "frames": ("frames", "[role=slider]", ("4", "5")),
}


@pytest.mark.parametrize("name", CHOICES)
def test_t11_a_choice_restarts_a_live_run_and_starts_none(
    name: str, context: BrowserContext, gallery: Served
) -> None:
    path, choice, (first, second) = CHOICES[name]

    def choose(value: str) -> None:
        if path == "frames":
            tab.page.press(choice, "ArrowRight")
            tab.page.wait_for_selector(f"{choice}[aria-valuenow='{value}']")
        else:
            tab.page.click(choice.format(value))

    def starts() -> int:
        return gallery.metric("starts_total")

    with opened(context, gallery, f"#{name}-start", path) as tab:
        before = starts()
        choose(first)
        tab.wait_until(HAS_LOADED)
        tab.click(f"{name}-start")
        tab.page.wait_for_selector(f"#{name}-stop:enabled")
        wait_for_runs(gallery, 1)
        assert starts() == before + 1
        choose(second)
        wait_until(lambda: starts() == before + 2, 5, "the start that replaces it")
        wait_for_runs(gallery, 1)


class TestForm:
    """Checks run one after the other, for the latest input."""

    @pytest.fixture
    def tab(self, context: BrowserContext, gallery: Served) -> Iterator[Tab]:
        with opened(context, gallery, "#form-name", "form") as tab:
            tab.page.evaluate(RECORD, "form-problem-3")
            tab.page.fill("#form-email", "ada@example.net")
            tab.page.fill("#form-password", "12345678")
            tab.page.fill("#form-name", "ada")
            yield tab

    def test_each_check_shows_waiting_running_and_result(self, tab: Tab) -> None:
        tab.page.wait_for_selector("#form-mark-0 .mantine-Loader-root")
        assert tab.text("form-mark-4") == "○"
        tab.wait_for("form-problem-0", "“ada” is taken")
        tab.wait_for("form-problem-4", "everybody knows this one")
        assert [tab.text(f"form-mark-{n}") for n in range(5)] == ["✗", "✓", "✓", "✗", "✗"]

    def test_t11_an_empty_form_is_not_shown_as_checked(self, tab: Tab) -> None:
        tab.wait_for("form-verdict", "Checking")
        for field in ("name", "email", "password"):
            tab.page.fill(f"#form-{field}", "")
        tab.wait_for("form-verdict", "Nothing to check yet.")
        tab.page.fill("#form-password", "long enough")
        tab.wait_for("form-verdict", "2 of 5 are good.")

    def test_a_newer_keystroke_ends_the_older_checks(self, tab: Tab) -> None:
        tab.page.wait_for_selector("#form-mark-0 .mantine-Loader-root")
        tab.page.fill("#form-password", "123456789")
        tab.wait_for("form-problem-3", "1 characters")
        assert not [told for told in tab.page.evaluate("told") if told.startswith("2")]
        assert tab.served.metric("ends_cancelled_total") > 0


class TestCards:
    """Cards stream independently."""

    @staticmethod
    def part(name: str, index: int) -> str:
        return f'{{"index":{index},"type":"cards-{name}"}}'

    def begin(self, tab: Tab, index: int) -> None:
        tab.click(self.part("start", index))
        tab.wait_for(self.part("badge", index), "live")
        changes(tab, text(self.part("value", index)))

    def test_stopping_one_does_not_stop_the_others(
        self, context: BrowserContext, gallery: Served
    ) -> None:
        with opened(context, gallery, "#cards-add", "cards") as tab:
            for index in (1, 2):
                self.begin(tab, index)
            tab.click(self.part("stop", 1))
            tab.wait_for(self.part("badge", 1), "stopped")
            wait_for_runs(tab.served, 1)
            changes(tab, text(self.part("value", 2)))
            assert tab.text(self.part("badge", 3)) == "idle"

    def test_an_added_card_streams_as_well(self, context: BrowserContext, gallery: Served) -> None:
        with opened(context, gallery, "#cards-add", "cards") as tab:
            self.begin(tab, 3)
            tab.click("cards-add")
            self.begin(tab, 4)
            changes(tab, text(self.part("value", 3)))


def test_the_picture_changes_continuously(context: BrowserContext, gallery: Served) -> None:
    with opened(context, gallery, "#frames-picture", "frames") as tab:
        tab.click("frames-start")
        changes(tab, "document.getElementById('frames-picture').src", times=5)
        tab.wait_until("/\\d frames a second/.test(" + text("frames-rate") + ")")
        tab.click("frames-stop")
        wait_for_runs(tab.served, 0)


class TestSharedFilter:
    """What one page chooses, all pages show."""

    def choose(self, tab: Tab, name: str, choice: str) -> None:
        tab.click(f"filter-{name}")
        tab.page.click(f"[role=option]:visible:has-text('{choice}')")

    def test_two_pages_and_a_late_one_show_the_same(
        self, context: BrowserContext, gallery: Served
    ) -> None:
        shown = (
            "['continent', 'year'].map(n => document.getElementById(`filter-${n}`).value).join()"
        )
        drawn = "document.querySelector('#filter-graph .js-plotly-plot')?.data[0].text.length"
        with (
            opened(context, gallery, "#filter-graph .point", "shared-filter") as one,
            opened(context, gallery, "#filter-graph .point", "shared-filter") as other,
        ):
            self.choose(one, "continent", "Oceania")
            other.wait_until(f"{shown} === 'Oceania,2007' && {drawn} === 2")
            self.choose(other, "year", "1952")
            one.wait_until(f"{shown} === 'Oceania,1952' && {drawn} === 2")
            with opened(context, gallery, "#filter-graph .point", "shared-filter") as late:
                late.wait_until(f"{shown} === 'Oceania,1952' && {drawn} === 2")
            self.choose(one, "continent", "Asia")
            other.wait_until(f"{shown} === 'Asia,1952' && {drawn} === 33")


def test_a_script_feeds_all_pages_and_a_late_one(context: BrowserContext, gallery: Served) -> None:
    first = "document.querySelector('#feed-graph .js-plotly-plot')?.data[0].x[0]"
    with opened(context, gallery, "#feed-graph .js-plotly-plot", "script-feed") as one:
        one.click("feed-start")
        one.wait_for("feed-note", "The script runs for a minute")
        one.wait_until(f"{points('feed-graph')} > 5")
        with opened(context, gallery, "#feed-graph .js-plotly-plot", "script-feed") as late:
            late.wait_until(f"{points('feed-graph')} > 5")
            assert late.page.evaluate(first) == one.page.evaluate(first)
            late.wait_for("feed-state", "live")
            late.click("feed-start")
            late.wait_for("feed-note", "The script runs already")
