"""A page of 5,000 components, each written four times in one burst."""

from collections.abc import Iterator

from benchmarks.apps.page import TIMES, scaled
from benchmarks.browser import Burst, bursts
from benchmarks.contenders import STREAMS
from benchmarks.figures import Figure

COMPONENTS = scaled(5_000)
TITLE = f"{TIMES} updates to each of {COMPONENTS:,} components in a burst"


def measure(rounds: int) -> Iterator[Figure]:
    burst = Burst("spots", COMPONENTS, "components", COMPONENTS, str(TIMES), limit_seconds=60)
    quantity = "ms to the last in the DOM"
    yield from bursts(
        TITLE, quantity, burst, STREAMS, rounds, BENCH_SPOTS=str(COMPONENTS), BENCH_NO_GRAPH="1"
    )
