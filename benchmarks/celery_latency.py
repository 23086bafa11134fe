"""Latency of an update from a Celery worker to the page.

Run: python -m benchmarks.celery_latency

Starts Redis, a worker, a web server and Chromium, and stops them again. The worker's clock is read
right before it writes, the page's when its text has changed; both are the same machine's.
"""

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from benchmarks.browser import chromium, opened
from benchmarks.results import surroundings
from tests.support.celery_worker import working
from tests.support.redis_server import redis_server
from tests.support.server import serving

WAYS = {
    "task": "`stream_task`, `emit`",
    "worker": "`worker=celery_app`, `yield`",
    "dash": "Dash's background callback, `progress=`",
}
"""The ways that the app's buttons start."""

PROCESSES = 2
SECONDS_PER_UPDATE = 1.0
"""Timeout for an update, far above any measured latency."""

OBSERVE = """id => {
    const element = document.getElementById(id);
    globalThis.seen = [];
    globalThis.observer?.disconnect();
    globalThis.observer = new MutationObserver(() => {
        globalThis.seen.push([element.textContent, Date.now()]);
    });
    globalThis.observer.observe(element, {childList: true, characterData: true, subtree: true});
}"""


@dataclass(frozen=True)
class Measured:
    """Measurements of one way.

    Attributes:
        sent: when the worker wrote its updates, in seconds.
        seen: when the page showed which of them.
    """

    sent: list[float]
    seen: dict[float, float]

    def arrived_ms(self) -> list[float]:
        """Returns the latency of each update that was shown."""
        return [1000 * (self.seen[sent] - sent) for sent in self.sent if sent in self.seen]

    def behind_ms(self) -> list[float]:
        """Returns the time until each update, or a newer one, was shown."""
        return [
            1000 * (min(at for what, at in self.seen.items() if what >= sent) - sent)
            for sent in self.sent
        ]


def measure(page: Page, way: str, updates: int) -> Measured:
    """Presses a way's button, waits for its end, and returns the measurements."""
    page.evaluate(OBSERVE, f"{way}-out")
    page.click(f"#{way}")
    timeout_ms = 1000 * (10 + updates * SECONDS_PER_UPDATE)
    end = page.wait_for_selector(f"#{way}-sent:not(:empty)", state="attached", timeout=timeout_ms)
    assert end is not None
    seen = {float(text): at_ms / 1000 for text, at_ms in page.evaluate("seen") if text}
    return Measured([float(text) for text in (end.text_content() or "").split()], seen)


def row(way: str, measured: Measured) -> str:
    """Returns a line of the table."""
    arrived = f"{len(measured.arrived_ms())} of {len(measured.sent)}"
    cells = (arrived, *spread(measured.arrived_ms()), *spread(measured.behind_ms()))
    return f"| {WAYS[way]} | {' | '.join(cells)} |"


def spread(milliseconds: Sequence[float]) -> tuple[str, str]:
    """Returns median and 95th percentile."""
    p95 = statistics.quantiles(milliseconds, n=20, method="inclusive")[-1]
    return f"{statistics.median(milliseconds):,.0f} ms", f"{p95:,.0f} ms"


def about() -> str:
    """Returns the date and the versions of a measurement."""
    here = surroundings()
    versions = {**here["versions"], "celery": version("celery")}
    return (
        f"{here['date']}; {', '.join(f'{name} {number}' for name, number in versions.items())}; "
        f"{here['cores']} cores, load {here['load']:.1f} before, {PROCESSES} worker processes"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--updates", type=int, default=100, help="in each of the three ways")
    updates = parser.parse_args().updates
    with (
        tempfile.TemporaryDirectory() as name,
        redis_server(Path(name)) as redis,
        chromium() as browser,
    ):
        home = Path(name)
        environment: Any = {"FLASH_EVENTS_BROKER": redis.url, "UPDATES": str(updates)}
        options = ("--concurrency", str(PROCESSES))
        app = "benchmarks.three_ways"
        print(about(), end="\n\n")
        with (
            working(home, *options, app=f"{app}:celery_app", **environment),
            serving(f"{app}:server", home, **environment) as served,
            opened(browser, served.url, "#updates") as page,
        ):
            print("| | arrived | median | p95 | behind, median | behind, p95 |")
            print("|---|---|---|---|---|---|")
            for way in WAYS:
                print(row(way, measure(page, way, updates)), flush=True)


if __name__ == "__main__":
    main()
