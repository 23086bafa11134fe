"""The same updates on a page with few ids and on one with many."""

import statistics
from collections.abc import Iterator

from benchmarks.apps.page import FEW, SPREAD, STEADY, scaled
from benchmarks.browser import Burst, Seen, chromium, told, visiting, watch
from benchmarks.contenders import NATIVE, OURS, UNPACED, WEBSOCKET, Contender, started
from benchmarks.figures import Figure

SMALL, LARGE = FEW, max(FEW, scaled(5_000))
TITLE = f"the same updates on a page of {SMALL} ids and on one of {LARGE:,}"
CONTENDERS = (OURS, WEBSOCKET, NATIVE, UNPACED)
BURST = Burst("few", FEW, "components", FEW, str(SPREAD), limit_seconds=60)
PACED = Burst("steady", STEADY, "texts", limit_seconds=60)

HEADINGS = {
    BURST: f"{FEW * SPREAD:,} updates to {FEW} components in a burst: ms to the last in the DOM",
    PACED: f"{STEADY:,} texts, one each ms: ms from `yield` to the DOM, median",
}

Samples = dict[tuple[Contender, Burst, int], list[float]]


def value(burst: Burst, seen: Seen) -> float:
    """Returns the measured value of a burst."""
    return statistics.median(seen.delays) if burst is PACED else seen.ms


def measure(rounds: int) -> Iterator[Figure]:
    samples: Samples = {(c, b, s): [] for c in CONTENDERS for b in HEADINGS for s in (SMALL, LARGE)}
    notes: dict[tuple[Contender, Burst], str] = {}
    with (
        chromium() as browser,
        started(CONTENDERS, BENCH_SPOTS=str(SMALL), BENCH_NO_GRAPH="1") as small,
        started(CONTENDERS, BENCH_SPOTS=str(LARGE), BENCH_NO_GRAPH="1") as large,
    ):
        for _ in range(rounds):
            for contender in small.servers:
                for burst in HEADINGS:
                    for spots, servers in ((SMALL, small.servers), (LARGE, large.servers)):
                        if (contender, burst) in notes:
                            continue
                        with visiting(browser, servers[contender]) as page:
                            seen = watch(page, burst)
                        if seen.done:
                            samples[contender, burst, spots].append(value(burst, seen))
                        else:
                            notes[contender, burst] = f"{spots:,} ids: {told(burst, seen)}"
    absent = small.absent
    for burst in HEADINGS:
        for contender in CONTENDERS:
            note = absent.get(contender) or notes.get((contender, burst), "")
            yield from figures(contender, burst, samples, note)


def figures(contender: Contender, burst: Burst, samples: Samples, note: str) -> Iterator[Figure]:
    """Measures both pages, and the ratio of the larger one round by round."""
    small, large = ([] if note else samples[contender, burst, size] for size in (SMALL, LARGE))
    times = [many / few for few, many in zip(small, large, strict=True)]
    for quantity, numbers in (
        (f"{SMALL} ids", small),
        (f"{LARGE:,} ids", large),
        (f"times as long with {LARGE:,}", times),
    ):
        yield Figure(HEADINGS[burst], contender.name, quantity, tuple(numbers), note)
