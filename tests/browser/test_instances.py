"""Runs belong to mounted components: the same id that is redrawn is another component."""

from typing import Any

from tests.support.tab import Tab, app_fixture, goes_on

app = app_fixture("tests.apps.pages:server")


def noted(tab: Tab, name: str, key: str, since: int = 0) -> list[Any]:
    return [mark[key] for mark in tab.served.marks(name)[since:]]


def text_of(number: int) -> str:
    return f'{{"n":{number},"type":"text"}}'


def chosen(name: str) -> str:
    return f'{{"name":"{name}","type":"chosen"}}'


class TestPages:
    """A page or a pane whose components have the same ids as earlier ones."""

    def test_p4_the_run_of_the_old_page_ends_and_that_of_the_new_one_starts(self, tab: Tab) -> None:
        began, ended = (len(tab.served.marks(f"prices {one}")) for one in ("began", "finally"))
        tab.click("aapl")
        goes_on(tab, "price", "AAPL ")
        tab.wait_for("light", "on")
        tab.click("msft")
        goes_on(tab, "price", "MSFT ")
        tab.wait_for("heard", "ordinary MSFT")
        tab.served.wait_for_mark("prices finally", ended + 1)
        assert noted(tab, "prices began", "symbol", began) == ["AAPL", "MSFT"]
        assert noted(tab, "prices finally", "symbol", ended) == ["AAPL"]
        assert (tab.text("light"), tab.text("note")) == ("on", "no note")

    def test_p4_a_pane_that_an_ordinary_callback_draws(self, tab: Tab) -> None:
        tab.open("panes")
        began, ended = (len(tab.served.marks(f"prices {one}")) for one in ("began", "finally"))
        tab.click("pane-one")
        goes_on(tab, "price", "pane-one ")
        tab.click("pane-two")
        goes_on(tab, "price", "pane-two ")
        tab.served.wait_for_mark("prices finally", ended + 1)
        tab.click("pane-two")  # the same content, redrawn
        tab.served.wait_for_mark("prices finally", ended + 2)
        goes_on(tab, "price", "pane-two ")
        assert noted(tab, "prices began", "symbol", began) == ["pane-one", "pane-two", "pane-two"]
        assert tab.text("note") == "no note"

    def test_p4_a_redrawn_stop_button_does_not_cancel(self, tab: Tab) -> None:
        tab.open("panes")
        tab.click("keep-one")
        tab.click("pane-halt")
        tab.click("keep-start")
        goes_on(tab, "keep-out", "keep ")
        tab.click("keep-one")  # its button has 0 clicks, and the old one had 1
        goes_on(tab, "keep-out", "keep ")
        tab.click("pane-halt")
        tab.wait_for("keep-out", "stopped")

    def test_p4_only_a_redrawn_component_is_another_instance(self, tab: Tab) -> None:
        ended = len(tab.served.marks("held finally"))
        tab.open("held")
        goes_on(tab, "held-out")
        began = len(tab.served.marks("held began"))
        for n in (1, 2):  # inserted before it, and reversed
            tab.click("patch")
            tab.wait_for(f"patched-{n}", "patched")
        tab.click("tab-two")
        tab.wait_for("in-two", "two")
        goes_on(tab, "held-out")
        tab.click("tab-one")
        tab.page.wait_for_selector("#patched-2")
        goes_on(tab, "held-out")
        assert len(tab.served.marks("held began")) == began
        assert len(tab.served.marks("held finally")) == ended
        tab.click("round-trip")  # the callback gets and returns the components
        tab.served.wait_for_mark("held finally", ended + 1)
        tab.served.wait_for_mark("held began", began + 1)
        goes_on(tab, "held-out")

    def test_p18_a_component_that_left_with_its_trigger_causes_no_warning(self, tab: Tab) -> None:
        tab.click("aapl")
        goes_on(tab, "price", "AAPL ")
        tab.click("home")
        tab.wait_for("prices-seen", "cancelled")
        assert tab.warnings == []

    def test_p18_an_id_that_was_never_on_the_page_causes_a_warning(self, tab: Tab) -> None:
        tab.open("panes")
        tab.click("pane-one")
        tab.click("wrong")
        tab.wait_for("note", "wrong began")
        tab.click("home")
        tab.wait_for("wrong-seen", "cancelled")
        [warning] = tab.warnings
        assert '"no-such-id" is on the page' in warning


class TestKeepAlive:
    """A run that continues after its page was left is shown again on return."""

    def test_p19_the_page_shows_the_runs_current_values(self, tab: Tab) -> None:
        tab.click("to-job")
        tab.click("job-start")
        tab.wait_for("job-inner", "filled")
        goes_on(tab, "job-step")
        before = int(tab.text("job-step"))
        tab.click("home")
        tab.wait_for("at-home", "home")
        tab.wait_for("job-seen", f"{before + 10}")
        tab.click("to-job")
        tab.wait_for("job-inner", "filled")
        tab.wait_for("job-light", "on")
        goes_on(tab, "job-step")
        lines = tab.text("job-lines").split()
        assert lines == [str(n + 1) for n in range(len(lines))]
        assert len(lines) > before + 10
        tab.click("home")
        tab.wait_for("at-home", "home")
        tab.click("job-halt")
        tab.wait_for("job-state-seen", "cancelled")
        tab.click("to-job")
        tab.wait_for("job-note", "was reset")
        assert tab.text("job-light") == "off again"
        assert tab.warnings == []

    def test_p19_the_result_of_a_run_that_has_ended_meanwhile_is_shown_once(self, tab: Tab) -> None:
        tab.click("to-job")
        tab.click("short-start")
        tab.wait_for("short-out", "begun")
        tab.click("home")
        tab.wait_for("at-home", "home")
        tab.wait_for("short-seen", "done")
        tab.click("to-job")
        tab.wait_for("short-out", "finished")
        tab.click("home")
        tab.wait_for("at-home", "home")
        tab.click("to-job")
        tab.wait_for("short-out", "not begun")


class TestInitialCalls:
    """With `prevent_initial_call=False` each component of an Input starts its run, once."""

    def test_p8_each_component_with_match_starts_its_run_at_page_load(self, tab: Tab) -> None:
        for count in (1, 2, 40):
            before = len(tab.served.marks("card began"))
            tab.open(f"cards/{count}")
            for n in range(count):
                tab.wait_for(text_of(n), f"{n} waits")
            tab.click("another")  # inserted by an ordinary callback
            tab.wait_for(text_of(101), "101 waits")
            tab.click("streamed")  # and by a run
            tab.wait_for(text_of(201), "201 waits")
            began = noted(tab, "card began", "n", before)
            assert sorted(began) == [*range(count), 101, 201]

    def test_p8_each_component_with_match_starts_its_run_on_a_page_that_is_entered(
        self, tab: Tab
    ) -> None:
        for _ in range(2):
            before = len(tab.served.marks("card began"))
            tab.click("three")
            for n in range(3):
                tab.wait_for(text_of(n), f"{n} waits")
            assert sorted(noted(tab, "card began", "n", before)) == [0, 1, 2]
            tab.click("home")
            tab.wait_for("at-home", "home")

    def test_p8_all_starts_one_run_and_match_with_all_one_for_each_match(self, tab: Tab) -> None:
        for count in (1, 3):
            every, rows = (len(tab.served.marks(f"{one} began")) for one in ("every", "row"))
            tab.open(f"cards/{count}")
            tab.wait_for("every-out", ",".join("a" * count))
            tab.served.wait_for_mark("row began", rows + count)
            tab.click("streamed")
            tab.wait_for(text_of(201), "201 waits")
            assert noted(tab, "every began", "texts", every) == [["a"] * count]
            assert noted(tab, "row began", "cells", rows) == [["x", "y"]] * count

    def test_p8_an_input_that_an_ordinary_callback_will_set_starts_one_run(self, tab: Tab) -> None:
        before = len(tab.served.marks("fed began"))
        tab.open("cards/1")
        tab.wait_for("fed-out", "fed by the ordinary callback")
        tab.click("home")
        tab.wait_for("at-home", "home")
        tab.click("three")
        tab.wait_for("fed-out", "fed by the ordinary callback")
        assert noted(tab, "fed began", "data", before) == ["by the ordinary callback"] * 2

    def test_p8_a_run_that_draws_its_own_trigger_continues_and_starts_no_other(
        self, tab: Tab
    ) -> None:
        before = len(tab.served.marks("redraw began"))
        tab.open("redraw")
        tab.wait_for("redraw-out", "None 9")
        tab.click("redraw")
        tab.wait_for("redraw-out", "1 9")
        assert noted(tab, "redraw began", "n", before) == [None, 1]


class TestInsertedByARun:
    """P9: ordinary callbacks of components that a run inserts are called, as after an Output."""

    def test_p9_a_dropdown_that_a_run_inserts_has_its_callback_called(self, tab: Tab) -> None:
        tab.open("choices")
        before = len(tab.served.marks("chosen"))
        tab.wait_for("count", "0 choices")
        tab.click("replace")
        for name in ("r1", "s1"):
            tab.wait_for(chosen(name), "chosen a")
        tab.wait_for("count", "2 choices")
        tab.click("append")
        tab.wait_for(chosen("p1"), "chosen a")
        tab.wait_for("count", "3 choices")
        calls = tab.served.marks("chosen")[before:]
        assert sorted(call["chosen"] for call in calls) == ["p1", "r1", "s1"]
        assert not any(call["triggered"] for call in calls)

    def test_p9_a_callback_with_all_is_called_after_a_run_removes_a_component(
        self, tab: Tab
    ) -> None:
        tab.open("choices")
        tab.click("replace")
        tab.wait_for("count", "2 choices")
        tab.click("clear")
        tab.wait_for("count", "0 choices")
