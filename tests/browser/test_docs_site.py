"""Promises of the tutorial and the how-tos about pages, tested in Chromium."""

import os
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext

from tests.support.listings import listing, shown
from tests.support.server import ROOT, Served, wait_until
from tests.support.tab import Tab, sound_tab

METRICS: Any = {"FLASH_EVENTS_METRICS": "1"}


def wait_for_log(served: Served, text: str, count: int = 1) -> None:
    """Waits until the server has written a text `count` times."""
    wait_until(lambda: served.log().count(text) >= count, 10, f"{text!r} in the log")


class TestTutorial:
    """The steps about buttons, states and graphs."""

    def test_the_stop_button_and_closing_the_tab_stop_the_run(
        self, context: BrowserContext, tmp_path: Path
    ) -> None:
        with shown(listing("tutorial.md", "stop"), tmp_path) as served:
            with sound_tab(context, served) as tab:
                tab.click("measure")
                tab.wait_until(
                    "/^-?\\d+\\.\\d °C$/.test(document.getElementById('result').innerText)"
                )
                tab.click("stop")
                tab.wait_for("result", "Nothing measured")
                wait_for_log(served, "The sensor is off.")
                tab.click("measure")
                wait_for_log(served, "The sensor is on.", 2)
                assert served.log().count("The sensor is off.") == 1
            wait_for_log(served, "The sensor is off.", 2)

    def test_buttons_and_texts_follow_the_run(
        self, context: BrowserContext, tmp_path: Path
    ) -> None:
        faster = {"sleep(0.25)": "sleep(0.1)"}
        with (
            shown(listing("tutorial.md", "states"), tmp_path, faster) as served,
            sound_tab(context, served) as tab,
        ):
            tab.wait_for("state", "The run: idle")
            assert tab.page.is_disabled("#stop")
            tab.click("measure")
            tab.wait_for("state", "The run: running")
            assert tab.page.is_disabled("#measure")
            tab.click("stop")
            tab.wait_for("state", "The run: cancelled")
            tab.click("measure")
            tab.wait_for("state", "The run: error")
            assert tab.text("result").startswith("9: ")
            assert tab.text("problem") == "The sensor does not answer."
            assert tab.page.is_enabled("#measure")

    def test_the_graph_keeps_the_last_points_in_order(
        self, context: BrowserContext, tmp_path: Path
    ) -> None:
        faster = {"sleep(0.05)": "sleep(0.001)"}
        x = "Array.from(document.querySelector('#graph .js-plotly-plot').data[0].x)"
        with (
            shown(listing("tutorial.md", "graph"), tmp_path, faster) as served,
            sound_tab(context, served) as tab,
        ):
            tab.page.wait_for_selector("#graph .js-plotly-plot", timeout=30_000)
            tab.click("measure")
            tab.wait_until(f"{x}[0] > 1")
            seen = tab.page.evaluate(x)
            assert seen == list(range(seen[0], seen[0] + 200))
            tab.click("stop")


KEPT = """
_tokens = tokens


async def tokens(question, turns):
    try:
        async with aclosing(_tokens(question, turns)) as stream:
            async for token in stream:
                yield token
    finally:
        print("The model is left.")
"""
"""A fake of a client that closes its connection."""


def test_a_chat_streams_stops_asks_again_and_remembers(
    context: BrowserContext, tmp_path: Path
) -> None:
    program = listing("how-to/chat.md", "chat") + KEPT
    with shown(program, tmp_path) as served, sound_tab(context, served) as tab:
        tab.page.fill("#prompt", "hello")
        tab.click("send")
        tab.wait_for("answer", "You ask hello")
        tab.page.wait_for_selector("#answer em")  # it is Markdown
        tab.click("stop")
        wait_for_log(served, "The model is left.")
        tab.page.wait_for_selector("#again:enabled")
        stopped = tab.text("answer").strip()
        assert stopped.startswith("You ask hello")
        assert stopped.count("Or do I?") < 20
        tab.click("again")
        tab.wait_until("document.getElementById('answer').innerText.split('Or do I?').length > 20")
        wait_for_log(served, "The model is left.", 2)
        assert tab.text("history") == ""
        answer = tab.text("answer").strip()
        assert "It is turn 1." in answer
        tab.page.fill("#prompt", "and now")
        tab.page.press("#prompt", "Enter")
        tab.wait_for("answer", "You ask and now")
        tab.wait_until("document.getElementById('answer').innerText.includes('It is turn 2.')")
        assert tab.text("question").strip() == "and now"
        assert tab.text("history").strip().startswith("hello")
        assert answer in tab.text("history")
        tab.page.reload()
        wait_for_log(served, "The model is left.", 3)


OPENAI = """
import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace as Some


class Completion:
    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        print("The connection to the model is closed.")

    async def __aiter__(self):
        for n in range(100):
            yield Some(choices=[Some(delta=Some(content=f"*word* {n} "))])
            await asyncio.sleep(0.03)
        yield Some(choices=[Some(delta=Some(content=None))])
        yield Some(choices=[])


class AsyncOpenAI:
    def __init__(self):
        self.chat = Some(completions=self)

    async def create(self, *, model, messages, stream):
        if messages == [{"role": "user", "content": "Fail"}]:
            raise ConnectionError("no network")
        assert stream and model
        return Completion()
"""
"""A fake of `openai` with the names that the listing uses."""


def test_t10_an_answer_of_openais_client_streams_and_a_stop_closes_it(
    context: BrowserContext, tmp_path: Path
) -> None:
    (tmp_path / "openai.py").write_text(OPENAI, "utf-8")
    program = listing("how-to/chat.md", "openai")
    path = f"{ROOT}{os.pathsep}{tmp_path}"
    with shown(program, tmp_path, PYTHONPATH=path) as served, sound_tab(context, served) as tab:
        tab.page.fill("#prompt", "Hello")
        tab.click("send")
        tab.wait_for("answer", "word 0 word 1")
        tab.page.wait_for_selector("#answer em")
        tab.click("stop")
        wait_for_log(served, "The connection to the model is closed.")
        tab.page.wait_for_selector("#send:enabled")
        assert "word 99" not in tab.text("answer")
        tab.click("send")
        tab.wait_until("document.getElementById('answer').textContent.includes('word 99')")
        tab.page.fill("#prompt", "Fail")
        tab.page.wait_for_selector("#send:enabled")
        tab.click("send")
        tab.wait_for("answer", "No answer: ConnectionError")


def test_t10_an_uploaded_csv_becomes_a_card_for_each_column(
    context: BrowserContext, tmp_path: Path
) -> None:
    (tmp_path / "good.csv").write_text("city,degrees\nRome,20.5\nOslo,7\n", "utf-8")
    (tmp_path / "bad.csv").write_text('a,b\n"never closed', "utf-8")
    program = listing("how-to/upload.md", "upload")
    limit: Any = {"FLASH_EVENTS_MAX_BODY_BYTES": "1000000"}
    with shown(program, tmp_path, **limit) as served, sound_tab(context, served) as tab:
        tab.page.set_input_files("input[type=file]", str(tmp_path / "good.csv"))
        tab.wait_for("status", "good.csv: 2 rows")
        assert tab.text("cards") == "city2 different valuesdegrees7.0 to 20.5, mean 13.8"
        tab.page.set_input_files("input[type=file]", str(tmp_path / "bad.csv"))
        tab.wait_for("status", "The file cannot be read: Error tokenizing")
        assert tab.text("cards") == ""
        (tmp_path / "large.csv").write_bytes(b"n\n" + b"1234567\n" * 200_000)
        tab.page.set_input_files("input[type=file]", str(tmp_path / "large.csv"))
        tab.wait_for("status", "The file is too large.")
        wait_until(lambda: tab.errors, 5, "what the browser says of a 413")
        assert all("413" in error or "could not be started" in error for error in tab.errors)
        tab.errors.clear()


def test_t10_dcc_loading_spins_while_the_run_shows_it(
    context: BrowserContext, tmp_path: Path
) -> None:
    with (
        shown(listing("troubleshooting.md", "loading"), tmp_path) as served,
        sound_tab(context, served) as tab,
    ):
        spinner = "#loading .dash-spinner"
        assert not tab.page.query_selector(spinner)
        tab.click("load")
        tab.page.wait_for_selector(spinner)
        tab.wait_for("result", "Loaded.")
        tab.page.wait_for_selector(spinner, state="detached")


IDS = """new Promise(resolve => {
    const ids = [];
    dash_ag_grid.getApi('grid').forEachNode(node => ids.push(node.data.id));
    resolve(ids);
})"""
ROWS = "dash_ag_grid.getApi('grid').getDisplayedRowCount()"


def test_all_rows_of_a_query_are_in_the_table_in_order(
    context: BrowserContext, tmp_path: Path
) -> None:
    program = listing("how-to/database.md", "database")
    with shown(program, tmp_path) as served, sound_tab(context, served) as tab:
        tab.page.wait_for_selector("#grid .ag-root")
        tab.click("load")
        tab.wait_for("status", "All 20,000 rows are here.")
        tab.wait_until(f"{ROWS} === 20000")
        assert tab.page.evaluate(IDS) == list(range(1, 20_001))
        tab.page.fill("#least", "39.9")
        tab.click("load")
        warm = [id for id in range(1, 20_001) if id * 7919 % 400 == 399]
        tab.wait_for("status", f"All {len(warm)} rows are here.")
        tab.wait_until(f"{ROWS} === {len(warm)}")
        assert tab.page.evaluate(IDS) == warm
        assert "Traceback" not in served.log()


def test_a_query_that_is_stopped_leaves_no_rows(context: BrowserContext, tmp_path: Path) -> None:
    program = listing("how-to/database.md", "database")
    counted = "            count += len(rows)\n"
    # A slow query, so that the stop comes in the middle.
    slower = {"import sqlite3\n": "import sqlite3\nimport time\n"}
    slower[counted] = f"            time.sleep(0.2)\n{counted}"
    with shown(program, tmp_path, slower) as served, sound_tab(context, served) as tab:
        tab.page.wait_for_selector("#grid .ag-root")
        tab.click("load")
        tab.wait_until(f"{ROWS} >= 500")
        tab.click("stop")
        tab.wait_for("status", "Stopped.")
        tab.wait_until(f"{ROWS} === 0")
        assert "Traceback" not in served.log()


def job_goes_on(tab: Tab) -> None:
    """Waits until the report of the app with several pages has advanced."""
    percent = "Number(document.getElementById('job').textContent.match(/\\d+/)[0])"
    before = tab.page.evaluate(percent)
    tab.wait_until(f"{percent} > {before}")


def test_a_run_ends_with_its_page_and_continues_if_it_is_kept(
    context: BrowserContext, tmp_path: Path
) -> None:
    program = listing("how-to/multi_page.md", "multi_page")
    with shown(program, tmp_path, **METRICS) as served, sound_tab(context, served) as tab:
        tab.wait_until("/^\\d+\\.\\d\\d$/.test(document.getElementById('price')?.textContent)")
        tab.page.click("text=Report")
        wait_for_log(served, "The prices end.")
        tab.click("build")
        tab.wait_for("job", "The report: ")
        tab.page.click("text=Price")
        wait_for_log(served, "The prices begin.", 2)
        job_goes_on(tab)
        assert served.metric("runs") == 2
        tab.click("stop")
        wait_until(lambda: served.metric("runs") == 1, 5, "the end of the report")
        assert served.log().count("The prices end.") == 1


ON_ONE_PAGE = {
    ', html.Button("Stop", id="stop", n_clicks=0)]': ', html.Button("Other")]',
    'html.Button("Build", id="build")]': 'html.Button("Build", id="build"), '
    'html.Button("Stop", id="stop", n_clicks=0)]',
}


@pytest.mark.parametrize("entry", ['(Input("stop", "n_clicks"), 0)', 'Input("stop", "n_clicks")'])
def test_a_stop_button_that_is_redrawn_does_not_cancel(
    context: BrowserContext, tmp_path: Path, entry: str
) -> None:
    program = listing("how-to/multi_page.md", "multi_page")
    replaced = {'(Input("stop", "n_clicks"), 0)': entry, **ON_ONE_PAGE}
    with shown(program, tmp_path, replaced, **METRICS) as served, sound_tab(context, served) as tab:
        tab.page.click("text=Report")
        tab.page.click("#stop")
        tab.click("build")
        tab.wait_for("job", "The report: ")
        tab.page.click("text=Price")
        tab.page.wait_for_selector("#price")
        tab.page.click("text=Report")
        tab.page.wait_for_selector("#stop")
        job_goes_on(tab)
        assert served.metric("runs") == 1
