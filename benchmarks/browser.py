"""An app in Chromium: opened, clicked, and timed from within the page."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserType, Error, Page, TimeoutError, sync_playwright

from benchmarks.contenders import Contender, started
from benchmarks.figures import Figure
from tests.support.chromium import CHROMIUM_FLAGS, executable
from tests.support.server import Served

WATCH = Path(__file__).with_name("watch.js")
DRAWN = """() => !document.getElementById("graph") || (
    document.querySelector("#graph .js-plotly-plot .main-svg")
    && globalThis.dash_ag_grid?.getApi("grid")
)"""
"""Whether the graph and the grid of apps/page.py are there, if the page has them."""
TELLS = "bench: "
"""Before what the page tells."""
HANGS_MS = 15_000
"""How long after its limit a page may take to tell how far it got."""
SHOWN_MS = 300_000
"""Dash's own time to show a page grows with the square of its ids: minutes for 5,000."""
SETTLE_MS = 300
"""Before a click, and after the last has arrived: what arrives twice has come by then."""


@dataclass(frozen=True)
class Burst:
    """A click, and what it is to bring.

    Attributes:
        button: that is clicked; in apps/page.py, the work's name.
        goal: how much is to arrive.
        what: it is, for people.
        spots: how many components are written into, where there are many.
        last: the text that each of those shows in the end, or `#end` where the page has that.
        limit_seconds: after which it is given up; far above what any takes that gets there.
    """

    button: str
    goal: int
    what: str
    spots: int = 0
    last: str = ""
    limit_seconds: float = 30


@dataclass(frozen=True)
class Seen:
    """What the page has seen of a burst.

    Attributes:
        done: whether all arrived.
        ms: from the click to the last that arrived.
        arrived: how much that was.
        steps: in which it came: how often what the page shows has changed.
        delays: from being sent to being shown, in ms, of those that say when they were sent.
    """

    done: bool
    ms: float
    arrived: int
    steps: int
    delays: tuple[float, ...] = ()


@contextmanager
def chromium() -> Iterator[BrowserType]:
    """What starts browsers."""
    with sync_playwright() as playwright:
        yield playwright.chromium


@contextmanager
def opened(chromium: BrowserType, url: str, ready: str) -> Iterator[Page]:
    """A fresh page in which there is something that matches `ready`.

    Each has a browser of its own: one that hangs could otherwise not be closed, and would take
    time from those after it.
    """
    browser = chromium.launch(executable_path=executable(), args=CHROMIUM_FLAGS)
    try:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(SHOWN_MS)
        page.add_init_script(path=WATCH)
        page.goto(url)
        page.wait_for_selector(ready, state="attached")
        yield page
    finally:
        browser.close()


@contextmanager
def visiting(chromium: BrowserType, served: Served) -> Iterator[Page]:
    """A fresh page of apps/page.py that is ready to be clicked."""
    with opened(chromium, served.url, "#text") as page:
        page.wait_for_function(DRAWN)
        page.wait_for_timeout(SETTLE_MS)  # what loads late; polling pages are never quite idle
        yield page


def watch(page: Page, burst: Burst, settle_ms: float = SETTLE_MS) -> Seen:
    """Clicks as a mouse does, and waits until all is there or the time is up."""
    return _watch(page, burst, settle_ms, page.click)


def press(page: Page, button: str, last: str, limit_seconds: float) -> float | None:
    """Clicks; milliseconds until `#end` shows its last text, None where that does not come.

    The click is the page's own: a mouse's way through the browser takes some milliseconds more.
    """
    burst = Burst(button, 1, "ends", last=last, limit_seconds=limit_seconds)
    seen = _watch(page, burst, 0, lambda selector: page.dispatch_event(selector, "click"))
    return seen.ms if seen.done else None


def _watch(page: Page, burst: Burst, settle_ms: float, click: Callable[[str], None]) -> Seen:
    """Has the page watch from a click on.

    The page tells by itself, as one that hangs answers no question, and one that is asked again
    and again has less time for its work.
    """
    limit_ms = 1000 * burst.limit_seconds
    options = {
        "goal": burst.goal, "spots": burst.spots, "last": burst.last,
        "settleMs": settle_ms, "limitMs": limit_ms,
    }  # fmt: skip
    page.evaluate("([work, options]) => bench.begin(work, options)", [burst.button, options])
    try:
        with page.expect_console_message(
            lambda message: message.text.startswith(TELLS), timeout=limit_ms + HANGS_MS
        ) as told:
            click(f"#{burst.button}")
    except Error:
        return Seen(False, 0, 0, 0)
    result: dict[str, Any] = json.loads(told.value.text.removeprefix(TELLS))
    return Seen(**{**result, "delays": tuple(result["delays"])})


def bursts(
    heading: str,
    quantity: str,
    burst: Burst,
    contenders: Sequence[Contender],
    rounds: int,
    **env: str,
) -> Iterator[Figure]:
    """How long each contender takes, in rounds; one that does not get there is not asked again."""
    samples: dict[Contender, list[float]] = {contender: [] for contender in contenders}
    notes: dict[Contender, str] = {}
    with chromium() as browser, started(contenders, **env) as all_of_them:
        notes.update(all_of_them.absent)
        given_up = set(all_of_them.absent)
        for _ in range(rounds):
            for contender, served in all_of_them.servers.items():
                if contender in given_up:
                    continue
                try:
                    with visiting(browser, served) as page:
                        seen = watch(page, burst)
                except TimeoutError:
                    notes[contender] = f"the page does not show within {SHOWN_MS / 1000:.0f} s"
                    given_up.add(contender)
                    continue
                notes[contender] = told(burst, seen)
                if contender.skips:
                    notes[contender] = f"{seen.steps:,} of {burst.goal:,} reach the page"
                if seen.done and seen.arrived == burst.goal:
                    samples[contender].append(seen.ms)
                else:
                    given_up.add(contender)
                    samples[contender].clear()
    for contender in contenders:
        yield Figure(
            heading, contender.name, quantity, tuple(samples[contender]), notes.get(contender, "")
        )


def told(burst: Burst, seen: Seen) -> str:
    """What the time does not say."""
    if seen.done and seen.arrived == burst.goal:
        return f"in {seen.steps:,} step{'s' * (seen.steps != 1)}"
    arrived = f"{seen.arrived:,} of {burst.goal:,} {burst.what}"
    if seen.done:
        return f"{arrived}: some twice"
    if not seen.ms:
        return f"nothing within {burst.limit_seconds:.0f} s, or the page hangs"
    return f"{arrived} within {burst.limit_seconds:.0f} s, the last of them after {seen.ms:,.0f} ms"
