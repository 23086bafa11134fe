"""Runs the benchmarks: flash_events and the alternatives, on the same work in the same run.

Run: python -m benchmarks [work ...] [--rounds N]

Prints tables as they come, and writes them into docs/performance.md, its plot, and results.json.
"""

import argparse
import os
import pkgutil
from importlib import import_module
from pathlib import Path
from types import ModuleType

from benchmarks import capacity, works
from benchmarks.report import REFERENCE, plot, tables
from benchmarks.results import Result, insert, read, surroundings, write

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results.json"
PAGE = ROOT / "docs" / "performance.md"
PLOT = ROOT / "docs" / "images" / "performance.svg"

WORKS = sorted(module.name for module in pkgutil.iter_modules(works.__path__))


def run(work: ModuleType, rounds: int) -> Result:
    """Measures a work."""
    about = surroundings()
    reference = getattr(work, "REFERENCE", REFERENCE)
    figures = tuple(work.measure(rounds))
    return Result(title=work.TITLE, rounds=rounds, reference=reference, figures=figures, **about)


def keep(results: dict[str, Result]) -> None:
    """Writes the results so far, so that an interrupted run loses none."""
    write(RESULTS, results)
    parts = [
        (name, f"{tables(result.figures, result.reference)}\n\n{result.about}")
        for name, result in results.items()
    ]
    if plan := capacity.section(results):
        parts.append(("capacity", plan))
    for name in insert(PAGE, parts):
        print(f"{PAGE.name} has no place for {name!r}.")
    plot((figure for name in sorted(results) for figure in results[name].figures), PLOT)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("works", nargs="*", metavar="work", help=f"of {', '.join(WORKS)}")
    parser.add_argument("--rounds", type=int, default=5, help="of all contenders, in turn")
    parser.add_argument("--scale", type=float, default=1, help="of the work; below 1 keeps nothing")
    arguments = parser.parse_args()
    if unknown := set(arguments.works) - set(WORKS):
        parser.error(f"no work is called {', '.join(unknown)}; there are {', '.join(WORKS)}")
    os.environ["BENCH_SCALE"] = str(arguments.scale)  # before a work reads it; servers inherit it
    results = read(RESULTS)
    for name in arguments.works or WORKS:
        work = import_module(f"{works.__name__}.{name}")
        print(f"\n## {work.TITLE}\n", flush=True)
        results[name] = run(work, arguments.rounds)
        print(tables(results[name].figures, results[name].reference), flush=True)
        if arguments.scale == 1:
            keep(results)


if __name__ == "__main__":
    main()
