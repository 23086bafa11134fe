"""Command props: points of a graph and rows of a grid, none of which may be lost."""

from collections.abc import Iterator

from benchmarks.apps.page import POINTS, ROWS
from benchmarks.browser import Burst, bursts
from benchmarks.contenders import STREAMS
from benchmarks.figures import Figure

TITLE = "points and rows in a burst"


def measure(rounds: int) -> Iterator[Figure]:
    for burst, prop in (
        (Burst("points", POINTS, "points"), "extendData"),
        (Burst("rows", ROWS, "rows"), "rowTransaction"),
    ):
        heading = f"{burst.goal:,} {burst.what} in a burst, one `{prop}` each"
        yield from bursts(heading, "ms to the last", burst, STREAMS, rounds)
