"""Time from a click to the first update, compared to an ordinary callback of the same page."""

import statistics
from collections.abc import Iterator

from playwright.sync_api import Page

from benchmarks.apps.page import scaled
from benchmarks.browser import Burst, chromium, visiting, watch
from benchmarks.contenders import NATIVE, OURS, UNPACED, WEBSOCKET, Contender, started
from benchmarks.figures import Figure

TITLE = "from a click to the first update"
CLICKS = scaled(50)
WARM_UP_CLICKS = 3
"""Number of clicks before the measurement, in which the page loads scripts and connects."""
BREAK_MS = 50
"""Pause between two clicks, in which the first run ends."""

ANEW = Contender(
    "flash_events, each click connects anew",
    OURS.app,
    None,
    {"FLASH_EVENTS_LINGER_SECONDS": "0.001"},
)
"""The worst case: the connection is closed at once after each run."""

CONTENDERS = (OURS, ANEW, WEBSOCKET, NATIVE, UNPACED)
FIRST, ORDINARY = Burst("first", 1, "updates", limit_seconds=10), Burst("ordinary", 1, "answers")
REFERENCE = "ordinary Dash callback, same page"


def measure(rounds: int) -> Iterator[Figure]:
    firsts: dict[Contender, list[float]] = {contender: [] for contender in CONTENDERS}
    ordinary: dict[Contender, list[float]] = {contender: [] for contender in CONTENDERS}
    with chromium() as browser, started(CONTENDERS) as running:
        for _ in range(rounds):
            for contender, served in running.servers.items():
                with visiting(browser, served) as page:
                    first, answer = clicked(page)
                firsts[contender].append(first)
                ordinary[contender].append(answer)
    quantity = f"ms, median of {CLICKS} clicks"
    yield Figure(TITLE, REFERENCE, quantity, tuple(ordinary[OURS]), f"the page of {OURS.name}")
    for contender in CONTENDERS:
        samples, note = tuple(firsts[contender]), running.absent.get(contender, "")
        if samples:
            own = statistics.median(ordinary[contender])
            note = f"an ordinary callback of its own page: {own:.1f} ms"
        yield Figure(TITLE, contender.name, quantity, samples, note)


def clicked(page: Page) -> tuple[float, float]:
    """Returns the medians of a first update and of an ordinary callback, clicked in turn."""
    firsts: list[float] = []
    answers: list[float] = []
    for _ in range(WARM_UP_CLICKS + CLICKS):
        for burst, times in ((FIRST, firsts), (ORDINARY, answers)):
            times.append(watch(page, burst, settle_ms=BREAK_MS).ms)
    return statistics.median(firsts[WARM_UP_CLICKS:]), statistics.median(answers[WARM_UP_CLICKS:])
