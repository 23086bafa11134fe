"""Every rule of the semantics in a real browser, with `finally` observed on the server."""

import json
import time
from collections.abc import Callable

import pytest

from tests.support.server import wait_until
from tests.support.tab import Tab, goes_on

CARD = '{{"index":"{}","type":"card"}}'
GO = '{{"index":"{}","type":"go"}}'
HALT = '{{"index":"{}","type":"halt"}}'


def stops_within_a_second(tab: Tab, name: str, act: Callable[[], object]) -> None:
    """Performs an action that must stop a run, and waits for its `finally` on the server."""
    before = len(tab.served.marks(name))
    asked = time.time()
    act()
    done = tab.served.wait_for_mark(name, before + 1)
    assert done["time"] - asked < 1


class TestCancel:
    """Each kind of trigger stops the generator within a second."""

    @pytest.mark.deadline
    def test_a_change_to_anything_but_the_allowed_value_cancels(self, tab: Tab) -> None:
        tab.click("start")
        tab.wait_for("out", "A")
        assert tab.page.is_visible("#spinner")
        stops_within_a_second(tab, "ticks finally", lambda: tab.click("stop"))
        tab.wait_for("out", "reset")
        assert not tab.page.is_visible("#spinner")

    @pytest.mark.deadline
    def test_only_changes_count(self, tab: Tab) -> None:
        for _ in range(3):
            tab.click("stop")  # no live run: no effect
        tab.click("start")
        tab.wait_for("out", "A")
        stops_within_a_second(tab, "ticks finally", lambda: tab.click("stop"))

    @pytest.mark.deadline
    def test_leaving_the_page_by_a_link_cancels(self, tab: Tab) -> None:
        tab.click("start")
        tab.wait_for("out", "A")
        stops_within_a_second(tab, "ticks finally", lambda: tab.click("away"))
        tab.wait_for("out", "reset")

    def test_a_change_to_the_allowed_value_does_not_cancel(self, tab: Tab) -> None:
        tab.click("away")
        tab.click("start")
        tab.wait_for("out", "A")
        tab.page.go_back()  # the pathname gets the allowed value
        before = int(tab.text("out")[1:])
        tab.wait_until(
            f"Number(document.querySelector('#out').textContent.slice(1)) > {before + 5}"
        )
        tab.click("stop")

    @pytest.mark.deadline
    def test_closing_the_page_cancels(self, tab: Tab) -> None:
        tab.click("start")
        tab.wait_for("out", "A")
        stops_within_a_second(tab, "ticks finally", tab.page.close)

    @pytest.mark.deadline
    def test_reloading_the_page_cancels(self, tab: Tab) -> None:
        tab.click("start")
        tab.wait_for("out", "A")
        stops_within_a_second(tab, "ticks finally", tab.page.reload)

    @pytest.mark.deadline
    def test_a_plain_generator_stops_at_its_next_yield(self, tab: Tab) -> None:
        tab.click("plain")
        tab.wait_for("out", "plain")
        stops_within_a_second(tab, "plain finally", lambda: tab.click("stop"))

    @pytest.mark.deadline
    def test_a_trigger_component_that_leaves_the_page_cancels(self, tab: Tab) -> None:
        tab.click("insert")
        tab.wait_for("inserted", "late")
        stops_within_a_second(tab, "late finally", lambda: tab.click("remove"))

    @pytest.mark.deadline
    def test_keep_alive_opts_out(self, tab: Tab) -> None:
        tab.click("insert")
        tab.page.wait_for_selector("#late-keep")
        tab.click("late-keep")
        tab.wait_for("runs", "kept")
        tab.click("remove")
        tab.page.wait_for_selector("#late-keep", state="detached")
        before = int(tab.text("runs").split()[1])
        tab.wait_until(
            f"Number(document.querySelector('#runs').textContent.split(' ')[1]) > {before + 5}"
        )
        stops_within_a_second(tab, "kept finally", lambda: tab.click("stop"))

    def test_the_cancelled_run_sends_nothing_more(self, tab: Tab) -> None:
        tab.click("start")
        tab.wait_for("out", "A")
        tab.click("stop")
        tab.wait_for("out", "reset")
        tab.click("ordinary")
        tab.wait_for("answer", "answer")
        assert tab.text("out") == "reset"


class TestOverlap:
    """A second trigger while a run is alive."""

    @pytest.mark.deadline
    def test_restart_replaces_without_resets(self, tab: Tab) -> None:
        began = len(tab.served.marks("restart finally"))
        tab.click("restart")
        tab.wait_for("out", "restart 1.")
        tab.click("restart")
        tab.wait_for("out", "restart 2.")
        done = tab.served.wait_for_mark("restart finally", began + 1)
        assert (done["n"], done["time"] - tab.clicked_at() < 1) == (1, True)
        assert tab.text("message") == ""
        assert tab.page.is_visible("#spinner")
        tab.wait_for("out", "restart 2.19")
        tab.wait_until("document.querySelector('#spinner').hidden")
        assert tab.text("out") == "restart 2.19"

    def test_skip_changes_nothing(self, tab: Tab) -> None:
        began = len(tab.served.marks("skip began"))
        tab.click("skip")
        tab.wait_for("out", "skip 1.")
        tab.click("skip")
        tab.wait_for("out", "skip 1.19")
        tab.wait_until("document.querySelector('#spinner').hidden")
        assert len(tab.served.marks("skip began")) == began + 1

    def test_queued_triggers_run_one_after_the_other_with_the_values_of_the_trigger(
        self, tab: Tab
    ) -> None:
        began = len(tab.served.marks("queue began"))
        for _ in range(3):
            tab.click("queue")
        tab.wait_for("out", "queue 3.19")
        tab.wait_until("document.querySelector('#spinner').hidden")
        marks = tab.served.marks("queue began")[began:]
        ends = tab.served.marks("queue finally")[-3:]
        assert [mark["n"] for mark in marks] == [1, 2, 3]
        assert all(end["time"] <= mark["time"] for end, mark in zip(ends, marks[1:], strict=False))

    def test_parallel_runs_side_by_side(self, tab: Tab) -> None:
        began = len(tab.served.marks("parallel began"))
        ended = len(tab.served.marks("parallel finally"))
        tab.click("parallel")
        tab.click("parallel")
        tab.served.wait_for_mark("parallel began", began + 2)
        assert len(tab.served.marks("parallel finally")) == ended
        tab.served.wait_for_mark("parallel finally", ended + 2)
        tab.wait_until("document.querySelector('#spinner').hidden")

    def test_more_than_sixteen_triggers_are_not_queued(self, tab: Tab) -> None:
        tab.page.evaluate(  # two frames apart, because Dash merges several clicks into one trigger
            """async () => {
                const frame = () => new Promise(done => requestAnimationFrame(done));
                for (let n = 0; n < 18; n++) {
                    document.getElementById('queue').click();
                    await frame();
                    await frame();
                }
            }"""
        )
        wait_until(lambda: tab.warnings, 10, "a warning")
        assert len(tab.warnings) == 1
        assert "limit of 16 queued triggers" in tab.warnings[0]
        tab.click("stop")  # stops the live run and drops the queued ones
        tab.wait_for("message", "queue was reset")
        tab.wait_until("document.querySelector('#spinner').hidden")


class TestErrors:
    """An error resets the page once, and on_error's updates survive the reset."""

    def test_the_message_survives_the_reset(self, tab: Tab) -> None:
        tab.click("fail")
        tab.wait_for("message", "sorry: no luck")
        tab.wait_for("out", "reset by fail")
        assert not tab.page.is_visible("#spinner")
        assert "no luck" in tab.served.log()

    def test_the_console_gets_a_code_and_no_text(self, tab: Tab) -> None:
        tab.click("fail")
        tab.wait_for("message", "sorry")
        [warning] = tab.warnings
        assert "callback_error" in warning
        assert "no luck" not in warning
        ref = warning.split("ref ")[1].split(" ")[0]
        assert ref in tab.served.log()

    def test_a_timeout_is_an_error(self, tab: Tab) -> None:
        tab.click("timeout")
        tab.wait_for("out", "timed out")
        assert "timeout" in tab.warnings[0]

    def test_a_value_that_cannot_be_sent_is_named_in_the_log(self, tab: Tab) -> None:
        tab.click("bad")
        tab.wait_for("out", "bad was reset")
        assert "'children' of component 'out' cannot be sent: object at children" in (
            tab.served.log()
        )


class TestMatch:
    """Siblings under MATCH never disturb each other."""

    @pytest.mark.deadline
    def test_each_streams_into_its_own_and_is_cancelled_alone(self, tab: Tab) -> None:
        for index in "abc":
            tab.click(GO.format(index))
        for index in "abc":
            tab.wait_for(CARD.format(index), index)
        stops_within_a_second(tab, "card b finally", lambda: tab.click(HALT.format("b")))
        tab.wait_for(CARD.format("b"), "reset")
        for index in "ac":
            goes_on(tab, CARD.format(index), index)
        assert tab.text(CARD.format("b")) == "reset"
        for index in "ac":
            tab.click(HALT.format(index))

    def test_all_updates_every_matching_component(self, tab: Tab) -> None:
        tab.click("everyone")
        for index in "abc":
            tab.wait_for(CARD.format(index), "everyone")


class TestContext:
    """`dash.ctx` and `dash.set_props` work inside the generator, even after awaits."""

    def test_ctx_is_right_at_every_step(self, tab: Tab) -> None:
        tab.page.evaluate("document.cookie = 'user=ada'")
        tab.click("context")
        before, after = json.loads(tab.wait_for("context-out", "["))
        assert before == after
        assert before["path"].endswith("/_dash-flash-events/start")
        assert before == {
            "triggered": "context",
            "grouping": True,
            "path": before["path"],
            "cookie": "ada",
            "more": ["A"],
            "clicks": 1,
        }

    def test_set_props_is_streamed(self, tab: Tab) -> None:
        tab.click("setprops")
        tab.wait_for("out", "by set_props")
        tab.wait_for(CARD.format("a"), "by set_props")

    def test_a_missing_value_or_component_is_none(self, tab: Tab) -> None:
        tab.click("values")
        assert json.loads(tab.wait_for("unset", "[")) == [1, None, None]


class TestTriggers:
    """Triggers that start a run, and those that do not."""

    def test_two_event_callbacks_and_an_ordinary_one_on_one_button_all_fire(self, tab: Tab) -> None:
        tab.click("both")
        tab.wait_for("both-one", "one")
        tab.wait_for("both-two", "two")
        tab.wait_for("both-three", "three")

    def test_an_initial_call_starts_a_run(self, tab: Tab) -> None:
        tab.wait_for("log", "loaded")

    def test_a_component_that_is_inserted_starts_its_run_once(self, tab: Tab) -> None:
        before = len(tab.served.marks("late began"))
        tab.click("insert")
        tab.wait_for("inserted", "late 5")
        began = tab.served.marks("late began")[before:]
        assert [mark["triggered"] for mark in began] == [False]
        tab.click("remove")

    def test_a_runs_own_writes_neither_trigger_nor_cancel_it(self, tab: Tab) -> None:
        before = len(tab.served.marks("self began"))
        tab.click("self")
        tab.wait_for("selfcount", "done")
        tab.click("ordinary")
        tab.wait_for("answer", "answer")
        assert [mark["n"] for mark in tab.served.marks("self began")[before:]] == [1]

    def test_the_trigger_works_again_after_its_run_wrote_to_it(self, tab: Tab) -> None:
        before = len(tab.served.marks("self began"))
        for n in (1, 2):
            tab.click("self")
            tab.served.wait_for_mark("self began", before + n)
            tab.wait_for("selfcount", "done")

    def test_an_ordinary_callback_gets_the_last_value(self, tab: Tab) -> None:
        before = len(tab.served.marks("listener"))
        tab.click("burst")
        tab.wait_for("out", "burst 20000")
        tab.wait_for("listener", "heard burst 20000")
        heard = len(tab.served.marks("listener")) - before
        assert heard < 200  # once per frame, not once per update


def test_one_connection_carries_all_runs(tab: Tab) -> None:
    tab.click("endless0")
    tab.wait_for("endless-out0", "3")
    tab.click("endless1")
    tab.click("endless2")
    tab.wait_for("endless-out2", "3")
    before = len(tab.served.marks("stream opened"))
    tab.click("endless3")
    tab.wait_for("endless-out3", "3")
    assert len(tab.served.marks("stream opened")) == before
    assert before - len(tab.served.marks("stream closed")) <= 1
    tab.click("stop")


def test_no_id_is_in_a_url(tab: Tab) -> None:
    tab.click("endless0")
    tab.wait_for("endless-out0", "3")
    tab.click("stop")
    asked = {(mark["path"].rpartition("/")[2], mark["query"]) for mark in tab.served.marks("asked")}
    assert ("start", "") in asked
    assert {query for action, query in asked if action != "worker"} == {""}
