"""20,000 texts into one component, as fast as possible."""

from collections.abc import Iterator

from benchmarks.apps.page import TEXTS
from benchmarks.browser import Burst, bursts
from benchmarks.contenders import BACKGROUND, INTERVAL, STREAMS
from benchmarks.figures import Figure

TITLE = f"{TEXTS:,} texts in a burst"


def measure(rounds: int) -> Iterator[Figure]:
    burst = Burst("texts", TEXTS, "texts")
    contenders = (*STREAMS, BACKGROUND, INTERVAL)
    yield from bursts(TITLE, "ms to the last in the DOM", burst, contenders, rounds)
