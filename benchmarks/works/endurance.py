"""An hour's updates in one page: growth of browser and server memory."""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import CDPSession, Page

from benchmarks.browser import chromium, opened
from benchmarks.figures import Figure
from benchmarks.processes import rss_bytes
from tests.support.server import serving

UPDATES = int(os.environ.get("ENDURANCE_UPDATES", "1000000"))
TITLE = f"{UPDATES:,} updates in one page"

SAMPLES = 10
GIVE_UP_SECONDS = 900.0

COUNT = "Number(document.getElementById('out-0').textContent)"
"""Progress: the first component contains the number of its last update."""

ARRIVED = """() => Array.from({length: 10}, (_, n) =>
    Number(document.getElementById(`out-${n}`).textContent))"""

MB = 1e6


@dataclass(frozen=True)
class Sample:
    """Memory at some point.

    Attributes:
        heap_bytes: of JavaScript in the page, without garbage.
        rss_bytes: of the server.
    """

    heap_bytes: float
    rss_bytes: int


def measure(rounds: int) -> Iterator[Figure]:
    lines: list[list[Sample]] = []
    note = ""
    for _ in range(rounds):
        samples, short = _endure()
        lines.append(samples)
        note = short or note
    whole = [samples for samples in lines if len(samples) == SAMPLES]
    for number in (0, 1):
        since = f"MB of growth from {100 * (number + 1) // SAMPLES} % on"
        heap = tuple((one[-1].heap_bytes - one[number].heap_bytes) / MB for one in whole)
        rss = tuple((one[-1].rss_bytes - one[number].rss_bytes) / MB for one in whole)
        yield Figure(TITLE, "JavaScript heap", since, heap, note)
        # What is kept to be sent again (`replay_bytes`) is full after about 170,000 of these.
        fills = "" if number else "the replay window still fills"
        yield Figure(TITLE, "server RSS", since, rss, note or fills)
    for number in range(SAMPLES):
        at = f"at {100 * (number + 1) // SAMPLES} %"
        there = [samples[number] for samples in lines if len(samples) > number]
        heap = tuple(one.heap_bytes / MB for one in there)
        rss = tuple(one.rss_bytes / MB for one in there)
        yield Figure(f"{TITLE}: on the way", at, "MB of JavaScript heap", heap)
        yield Figure(f"{TITLE}: on the way", at, "MB of server RSS", rss)


def _endure() -> tuple[list[Sample], str]:
    """Returns samples of the memory, and the missing updates."""
    samples: list[Sample] = []
    environment: Any = {"UPDATES": str(UPDATES)}
    with (
        tempfile.TemporaryDirectory() as home,
        serving("benchmarks.apps.endless:server", Path(home), **environment) as served,
        chromium() as browser,
        opened(browser, served.url, "#start") as page,
    ):
        [worker] = served.workers()
        devtools = page.context.new_cdp_session(page)
        devtools.send("HeapProfiler.enable")
        page.click("#start")
        for number in range(1, SAMPLES):
            if not _reached(page, f"{COUNT} >= {UPDATES * number // SAMPLES}"):
                return samples, f"not at {100 * number // SAMPLES} % in time"
            samples.append(Sample(_heap(devtools), rss_bytes(worker)))
        if not _reached(page, "document.getElementById('end').textContent === 'end 1'"):
            return samples, "does not end in time"
        samples.append(Sample(_heap(devtools), rss_bytes(worker)))
        last = page.evaluate(ARRIVED)
        whole = last == list(range(UPDATES - len(last), UPDATES))
        return samples, "" if whole else f"the last texts are {last}"


def _reached(page: Page, condition: str) -> bool:
    """Waits in the page itself; returns whether it arrived."""
    done: Any = page.evaluate(
        f"""(giveUpMs) => new Promise((resolve) => {{
            const asked = performance.now();
            const look = () => {{
                if ({condition}) resolve(true);
                else if (performance.now() - asked > giveUpMs) resolve(false);
                else setTimeout(look, 20);
            }};
            look();
        }})""",
        1000 * GIVE_UP_SECONDS,
    )
    return bool(done)


def _heap(devtools: CDPSession) -> float:
    devtools.send("HeapProfiler.collectGarbage")
    return float(devtools.send("Runtime.getHeapUsage")["usedSize"])
