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
"""Condition: the graph and the grid of apps/page.py exist, if the page has them."""
TELLS = "bench: "
"""Prefix of the page's own messages."""
HANGS_MS = 15_000
"""Maximum time after its limit until a page reports its progress."""
SHOWN_MS = 300_000
"""Timeout for a page to load: Dash's own time grows with the square of its ids, to minutes for
5,000.
"""
SETTLE_MS = 300
"""Pause before a click and after the last arrival, in which duplicates would arrive."""


@dataclass(frozen=True)
class Burst:
    """A click and its expected result.

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
    """Progress of a burst in the page.

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
    """The launcher of browsers."""
    with sync_playwright() as playwright:
        yield playwright.chromium


@contextmanager
def opened(chromium: BrowserType, url: str, ready: str) -> Iterator[Page]:
    """Opens a new page that contains an element matching `ready`.

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
    """Opens a new page of apps/page.py that is ready for a click."""
    with opened(chromium, served.url, "#text") as page:
        page.wait_for_function(DRAWN)
        page.wait_for_timeout(SETTLE_MS)  # late scripts; polling pages are never quite idle
        yield page


def watch(page: Page, burst: Burst, settle_ms: float = SETTLE_MS) -> Seen:
    """Clicks with the mouse, and waits until the result is complete or a timeout ends."""
    return _watch(page, burst, settle_ms, page.click)


def press(page: Page, button: str, last: str, limit_seconds: float) -> float | None:
    """Clicks; returns the milliseconds until `#end` shows its last text, or None after the timeout.

    The click is the page's own: a mouse's way through the browser takes some milliseconds more.
    """
    burst = Burst(button, 1, "ends", last=last, limit_seconds=limit_seconds)
    seen = _watch(page, burst, 0, lambda selector: page.dispatch_event(selector, "click"))
    return seen.ms if seen.done else None


def _watch(page: Page, burst: Burst, settle_ms: float, click: Callable[[str], None]) -> Seen:
    """Makes the page watch its progress from a click on.

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
    """Yields the time of each contender in rounds; one that fails is not repeated."""
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
    """Returns a note with what the time does not express."""
    if seen.done and seen.arrived == burst.goal:
        return f"in {seen.steps:,} step{'s' * (seen.steps != 1)}"
    arrived = f"{seen.arrived:,} of {burst.goal:,} {burst.what}"
    if seen.done:
        return f"{arrived}: some twice"
    if not seen.ms:
        return f"nothing within {burst.limit_seconds:.0f} s, or the page hangs"
    return f"{arrived} within {burst.limit_seconds:.0f} s, the last of them after {seen.ms:,.0f} ms"
