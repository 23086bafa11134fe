"""The renderer: size of its scripts, and blocking of the page by many updates."""

import gzip
import json
import os
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserType, Page

import flash_events
from benchmarks.browser import chromium, opened, press
from benchmarks.figures import Figure
from tests.support.server import serving

PER_SECOND = 2_000
SECONDS = float(os.environ.get("RENDERER_SECONDS", "10"))
TITLE = f"The page while {PER_SECOND:,} updates/s arrive for {SECONDS:.0f} s"

SCRIPTS = ("flash_events.js", "flash_events_worker.js")
LONG_MS = 50.0
"""Duration of a long task, as the web platform defines it."""

GIVE_UP_SECONDS = 60.0

PLOTLY_ALONE = """([perSecond, seconds]) => new Promise((resolve) => {
    const graph = document.querySelector("#graph .js-plotly-plot");
    const begun = performance.now();
    const all = perSecond * seconds;
    let drawn = 0;
    const frame = async () => {
        const due = Math.floor((performance.now() - begun) * perSecond / 1000);
        const x = Array.from({length: Math.min(due, all) - drawn}, (_, n) => drawn + n);
        drawn += x.length;
        if (x.length) {
            await Plotly.extendTraces(graph, {x: [x], y: [x.map((n) => n % 100)]}, [0], 1000);
        }
        if (drawn < all) requestAnimationFrame(frame);
        else resolve(performance.now() - begun);
    };
    requestAnimationFrame(frame);
})"""
"""Baseline of drawing: all due points, once a frame."""

OBSERVE = """() => {
    globalThis.longTasks = [];
    new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) globalThis.longTasks.push(entry.duration);
    }).observe({type: "longtask"});
}"""


Act = Callable[[Page], float | None]
"""Performs a work in a page; returns the milliseconds until all has arrived, or None after the
timeout.
"""


def _press(button: str) -> Act:
    return lambda page: press(page, button, "end 1", GIVE_UP_SECONDS)


def _draw(page: Page) -> float:
    return float(page.evaluate(PLOTLY_ALONE, [PER_SECOND, SECONDS]))


ACTS: dict[str, Act] = {
    "text, 20 components": _press("paced"),
    "extendData, one graph": _press("points"),
    "the same points by Plotly alone": _draw,
}


def measure(rounds: int) -> Iterator[Figure]:
    for script in SCRIPTS:
        text = (Path(flash_events.__file__).parent / "static" / script).read_bytes()
        size = len(gzip.compress(text, 9, mtime=0)) / 1000
        yield Figure("Size of the scripts", script, "KB gzipped", (size,) * rounds)
    samples: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    notes: dict[str, str] = {}
    with chromium() as browser:
        for _ in range(rounds):
            for contender, act in ACTS.items():
                seen = _watch(browser, act)
                if seen is None:
                    notes[contender] = f"not done after {GIVE_UP_SECONDS:.0f} s"
                    continue
                for quantity, number in seen.items():
                    samples[contender, quantity].append(number)
    for (contender, quantity), numbers in samples.items():
        yield Figure(TITLE, contender, quantity, tuple(numbers), notes.get(contender, ""))
    for contender in notes.keys() - {contender for contender, _ in samples}:
        yield Figure(TITLE, contender, "ms, longest task", (), notes[contender])


def _watch(chromium: BrowserType, act: Act) -> dict[str, float] | None:
    """Measures the page's main thread meanwhile; None if the end does not arrive."""
    environment: Any = {"UPDATES": str(round(PER_SECOND * SECONDS))}
    with (
        tempfile.TemporaryDirectory() as home,
        serving("benchmarks.apps.many:server", Path(home), **environment) as served,
        opened(chromium, served.url, "#graph") as page,
    ):
        page.wait_for_selector("#graph .main-svg")  # Plotly's first drawing is a long task
        browser = page.context.browser
        assert browser
        page.evaluate(OBSERVE)
        browser.start_tracing(page=page, categories=["toplevel"])
        milliseconds = act(page)
        trace = json.loads(browser.stop_tracing())
        long_tasks = page.evaluate("longTasks")
    if milliseconds is None:
        return None
    tasks = _main_thread_tasks_ms(trace)
    return {
        "ms, longest task": max(tasks),
        "tasks over 50 ms": float(sum(task > LONG_MS for task in tasks)),
        "long tasks that the page can observe": float(len(long_tasks)),
        "% of the main thread": 100 * sum(tasks) / milliseconds,
        "s in all": milliseconds / 1000,
    }


def _main_thread_tasks_ms(trace: dict[str, list[Any]]) -> list[float]:
    """Returns the duration of each task of the renderer's main threads in a trace."""
    entries = trace["traceEvents"]
    main = {
        (entry["pid"], entry["tid"])
        for entry in entries
        if entry["name"] == "thread_name" and entry["args"]["name"] == "CrRendererMain"
    }
    return [
        entry["dur"] / 1000
        for entry in entries
        if (entry["pid"], entry["tid"]) in main and "dur" in entry
    ]
