"""The example with three Celery workers, started with its documented command."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.app.control import Control
from playwright.sync_api import BrowserContext

from examples.celery_report.tasks import CONTINENTS, QUANTILES, YEARS
from tests.support.server import ROOT, Served, free_port, serving, wait_until
from tests.support.tab import Tab

PROGRAM = "examples.celery_report"
FUTURES = "700_000"  # enough for a reload in the middle, few enough to wait for
FINISH_SECONDS = 40

LINES = len(QUANTILES) * len(CONTINENTS)
POINTS = (
    f"document.querySelector('#graph .js-plotly-plot').data.slice(0, {LINES})"
    ".map(line => Array.from(line.x))"
)
BARS = "[...document.querySelectorAll('[role=progressbar]')].map(bar => Number(bar.ariaValueNow))"
CELLS = "[...document.querySelectorAll('#table tbody td')].map(cell => cell.textContent)"
RECORD = """continents => {
    globalThis.told = {};
    for (const continent of continents) {
        const told = globalThis.told[continent] = [];
        const status = document.getElementById(`status-${continent}`);
        new MutationObserver(() => told.push(status.textContent))
            .observe(status, {characterData: true, childList: true, subtree: true});
    }
}"""
"""Keeps every text that a row shows."""


class Report:
    """A page with the report, and the workers behind it."""

    def __init__(self, context: BrowserContext, served: Served) -> None:
        self.tab = Tab(context.new_page(), served)
        self.open()

    def open(self) -> None:
        self.tab.open()
        self.tab.page.wait_for_selector("#graph .js-plotly-plot")

    def begin(self) -> None:
        """Starts it and waits for the first points."""
        self.tab.click("start")
        self.tab.wait_for("message", "Drawing")
        self.tab.wait_until(f"{POINTS}[0].length > 5", FINISH_SECONDS)

    def is_running(self) -> bool:
        return self.tab.page.is_enabled("#stop")

    def finish(self) -> None:
        """Waits for the end; the page must be complete then."""
        done = "document.getElementById('message').textContent.includes(' futures in ')"
        self.tab.wait_until(done, FINISH_SECONDS)
        self.tab.wait_until("!document.getElementById('start').disabled")
        years = [YEARS.start - 1, *YEARS]
        assert self.tab.page.evaluate(POINTS) == [years] * LINES
        assert self.tab.page.evaluate(BARS) == [100] * len(CONTINENTS)
        cells = self.tab.page.evaluate(CELLS)
        assert cells[::4] == CONTINENTS
        assert all(re.fullmatch(r"\d\d\.\d", cell) for cell in cells[1::4] + cells[2::4])
        assert all(re.fullmatch(r"\d\d\.\d to \d\d\.\d", cell) for cell in cells[3::4])
        assert not self.tab.errors


def descendants(pid: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(pid)], stdout=subprocess.PIPE, check=False)
    children = [int(child) for child in found.stdout.split()]
    return children + [one for child in children for one in descendants(child)]


def commands(pids: list[int]) -> str:
    """Returns the processes that still run, without zombies."""
    command = ["ps", "-ww", "-o", "stat=", "-o", "args=", "-p", ",".join(map(str, pids))]
    lines = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout
    return "\n".join(line for line in lines.splitlines() if not line.startswith("Z"))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="module")
def served(home: Path) -> Iterator[Served]:
    """All processes of the example; its last test stops it."""
    environment: Any = {"TMPDIR": str(home), "CELERY_REPORT_FUTURES": FUTURES}
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("FLASH_EVENTS_BROKER", raising=False)
        with serving(PROGRAM, home, **environment) as served:
            yield served


@pytest.fixture(scope="module")
def control(served: Served) -> Control:
    """Asks the workers through the Redis that was started for them."""
    found = re.search(r"redis-server (\S+)", commands(descendants(served.process.pid)))
    assert found
    return Celery(broker=f"redis://{found[1]}/0").control


@pytest.fixture(scope="module")
def report(context: BrowserContext, served: Served) -> Iterator[Report]:
    """One page for all tests; each restarts the report."""
    report = Report(context, served)
    yield report
    report.tab.page.close()


def test_every_part_is_queued_runs_and_ends_in_order(report: Report) -> None:
    report.tab.page.evaluate(RECORD, CONTINENTS)
    report.begin()
    report.finish()
    for continent, told in report.tab.page.evaluate("told").items():
        kinds = [re.sub(r"[ ,].*|\d", "", text) or "%" for text in told if text]
        assert re.fullmatch(r"(queued )*(% )+done", " ".join(kinds)), (continent, told)
        percents = [int(text.split()[0]) for text in told if "%" in text]
        assert percents == sorted(percents)
    waited = [text for text in report.tab.page.evaluate("told.Oceania") if "before it" in text]
    assert waited[-1] == "queued, 1 before it"
    workers = {report.tab.text(f"worker-{continent}") for continent in CONTINENTS}
    assert workers == {"worker1", "worker2", "worker3"}


def test_a_page_that_is_reloaded_in_the_middle_continues(report: Report) -> None:
    report.begin()
    report.open()
    report.tab.wait_until(f"{POINTS}[0].length > 5")
    assert report.is_running()
    assert any(0 < percent < 100 for percent in report.tab.page.evaluate(BARS))
    report.finish()


@pytest.mark.deadline
def test_stop_frees_the_workers_and_empties_the_page(report: Report, control: Control) -> None:
    def busy() -> int:
        return sum(map(len, (control.inspect(timeout=5, limit=3).active() or {}).values()))

    report.begin()
    wait_until(lambda: busy() == 3, 10, "three tasks")
    report.tab.click("stop")
    wait_until(lambda: busy() == 0, 10, "free workers")
    assert time.time() - report.tab.clicked_at() < 2
    for continent in CONTINENTS:
        report.tab.wait_for(f"status-{continent}", "stopped")
        assert report.tab.text(f"worker-{continent}") == ""
    report.tab.wait_until(f"{BARS}.every(percent => percent === 0)")
    report.tab.wait_until(f"{POINTS}.every(years => years.length === 1)")
    assert not report.is_running()
    assert not report.tab.errors
    assert busy() == 0  # queued ones have not started


def test_t11_bars_fit_into_a_small_window(report: Report) -> None:
    widths = "[...document.querySelectorAll('[id^=bar-]')].map(bar => bar.offsetWidth)"
    size = report.tab.page.viewport_size
    assert size
    report.tab.page.set_viewport_size({"width": 390, "height": 844})
    report.tab.wait_until(f"{widths}.every(width => width > 200)")
    report.tab.wait_until("document.documentElement.scrollWidth <= 390")
    report.tab.page.set_viewport_size(size)


def test_ctrl_c_in_the_middle_leaves_no_process_behind(
    report: Report, served: Served, home: Path
) -> None:
    report.begin()
    pids = descendants(served.process.pid)
    running = commands(pids)
    for name in ("redis-server", "worker1@", "worker2@", "worker3@", "hypercorn"):
        assert name in running
    served.process.send_signal(signal.SIGINT)
    assert served.process.wait(20) == 0
    assert commands(pids) == ""
    assert not list(home.glob("celery_report*"))


def launched(**environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", PROGRAM],
        cwd=ROOT,
        env={**os.environ, "PORT": str(free_port()), **environment},
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_process_that_ends_by_itself_is_named_and_ends_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("FLASH_EVENTS_BROKER", raising=False)
    process = launched()
    wait_until(lambda: "worker3@" in commands(descendants(process.pid)), 20, "worker3")
    pids = descendants(process.pid)
    [redis] = [pid for pid in pids if "redis-server" in commands([pid])]
    os.kill(redis, signal.SIGKILL)
    _, told = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "redis has ended (exit code -9), so all the rest was stopped." in told
    assert commands(pids) == ""


def test_t12_a_port_in_use_is_named_before_anything_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        process = launched(PORT=str(port))
        _, told = process.communicate(timeout=20)
    assert process.returncode == 1
    advice = f"Use another port: PORT={port + 1}"
    assert told == f"Port {port} is taken by another program. {advice}\n"


def test_without_redis_it_prints_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLASH_EVENTS_BROKER", raising=False)
    process = launched(PATH="/nowhere")
    _, told = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "apt-get install redis-server" in told
