"""Runs random programs in a page, as a burst and step by step, and compares the results."""

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Literal

from dash import Patch
from playwright.sync_api import BrowserContext, Page

from flash_events import Update
from tests.support.programs import program
from tests.support.server import Served

SCRIPT = Path(__file__).with_name("programs.js")

AT_ONCE = 16
"""Number of programs that share a page; their updates wait for the same frames."""

Way = Literal["burst", "single", "reversed"]

_names = count()


@dataclass(frozen=True)
class Order:
    """A program to run.

    Attributes:
        keep: the numbers of the pairs of target and props that are kept; None keeps all.
    """

    seed: int
    keep: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Difference:
    """A program whose burst has another result than its single steps."""

    order: Order
    lines: list[str]

    def __str__(self) -> str:
        lines = [f"Seed {self.order.seed}: - is the burst, + the same updates one by one"]
        kept = program(self.order.seed, "@", self.order.keep)
        return "\n".join([*lines, *self.lines, "The program:", *map(listing, kept.updates)])


def listing(update: Update) -> str:
    """Formats an update as text, with the operations of its Patches."""
    pairs = [
        f"{target!r}: { {prop: _value(value) for prop, value in props.items()} }"
        for target, props in update.targets
    ]
    return f"  {'alone ' * update.alone}{', then '.join(pairs)}"


def _value(value: Any) -> Any:
    if not isinstance(value, Patch):
        return value
    return [
        (one["operation"], *one["location"], *one["params"].values()) for one in value._operations
    ]


@contextmanager
def program_page(context: BrowserContext, served: Served) -> Iterator[Page]:
    """A page of tests/apps/programs.py that can run programs."""
    page = context.new_page()
    page.add_init_script(path=SCRIPT)
    page.goto(served.url)
    page.wait_for_selector("#graph .js-plotly-plot")
    page.wait_for_selector("#grid .ag-root")
    yield page
    page.close()


def differences(page: Page, orders: Sequence[Order], way: Way = "burst") -> list[Difference]:
    """Run programs in two places each, and compare the places.

    Args:
        way: how the first place gets its updates; the second gets them one by one. `single` and
            `reversed` test the comparison: every program must be equal, or most must differ.
    """
    found = []
    similar = sorted(orders, key=_cost)  # those that share the page wait for the slowest
    for start in range(0, len(orders), AT_ONCE):
        some = similar[start : start + AT_ONCE]
        shown = page.evaluate(
            "([orders, way]) => programs.run(orders, way)",
            [[_as_json(order) for order in some], way],
        )
        for order, (first, second) in zip(some, shown, strict=True):
            if first != second:
                lines = difflib.unified_diff(
                    first.split("\n"), second.split("\n"), n=1, lineterm=""
                )
                found.append(Difference(order, list(lines)[2:]))
    return found


def _cost(order: Order) -> tuple[bool, int]:
    one = program(order.seed, "@", order.keep)
    return one.is_slow, len(one.singles)


def _as_json(order: Order) -> dict[str, Any]:
    steps = len(program(order.seed, "@", order.keep).singles)
    keep = None if order.keep is None else list(order.keep)
    return {"name": f"p{next(_names)}", "seed": order.seed, "keep": keep, "steps": steps}


def smallest(page: Page, difference: Difference) -> Difference:
    """Leave out pairs of target and props for as long as the program still fails."""
    seed = difference.order.seed
    kept = difference.order.keep or tuple(range(program(seed, "@").pairs))
    while True:
        failing = differences(page, [_without(seed, kept, {one}) for one in kept])
        if not failing:
            return difference
        needless = {one for each in failing for one in set(kept).difference(each.order.keep or ())}
        [difference, *_] = differences(page, [_without(seed, kept, needless)]) or failing
        kept = difference.order.keep or ()


def _without(seed: int, kept: Sequence[int], left_out: set[int]) -> Order:
    return Order(seed, tuple(one for one in kept if one not in left_out))


def assert_equal(page: Page, seeds: Sequence[int], way: Way = "burst") -> None:
    """Run the programs of seeds.

    Raises:
        AssertionError: some differ; names their seeds, and shows the smallest part of the first
            that still does.
    """
    found = differences(page, [Order(seed) for seed in seeds], way)
    if not found:
        return
    failed = sorted(one.order.seed for one in found)
    summary = f"{len(found)} of {len(seeds)} programs differ, those of the seeds {failed}."
    print(summary)  # the time for the rest may not suffice
    shown = smallest(page, found[0]) if way == "burst" else found[0]
    raise AssertionError(f"{summary}\n{shown}\nRun it: python -m tests.programs {shown.order.seed}")
