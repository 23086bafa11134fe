"""The page and the updates that all contenders share.

Runs in each contender's own environment: imports only Dash, and neither flash_events nor tests.
"""

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import dash_ag_grid as dag
from dash import dcc, html

Change = tuple[str, dict[str, Any]]
"""A component's id and its props."""

SPOTS = int(os.environ.get("BENCH_SPOTS", "50"))
"""Number of components to write into, about the number of ids in the page."""

HAS_GRAPH = "BENCH_NO_GRAPH" not in os.environ
"""Whether a graph and a grid are above them. dcc.Graph never draws in a page that takes Dash more
than 30 s to show, because its wait for Plotly times out.
"""

SCALE = float(os.environ.get("BENCH_SCALE", "1"))
"""Share of the work; below 1 for a quick check that all of it runs."""


def scaled(count: int) -> int:
    return max(1, round(count * SCALE))


MANY, TEXTS, POINTS, ROWS, STEADY = map(scaled, (200_000, 20_000, 2_000, 2_000, 2_000))
SPREAD = scaled(40)
"""Number of writes into each component in the burst over a few."""
FEW = 50
TIMES = 4
"""Number of writes into each component in the burst over all."""


def many() -> Iterator[Change]:
    return (("text", {"children": f"u{i}"}) for i in range(MANY))


def texts() -> Iterator[Change]:
    return (("text", {"children": str(i)}) for i in range(1, TEXTS + 1))


def points() -> Iterator[Change]:
    return (
        ("graph", {"extendData": [{"x": [[i]], "y": [[i % 7]]}, [0], POINTS * 2]})
        for i in range(POINTS)
    )


def rows() -> Iterator[Change]:
    return (("grid", {"rowTransaction": {"add": [{"n": str(i)}]}}) for i in range(ROWS))


def spots() -> Iterator[Change]:
    return ((f"spot-{i}", {"children": str(n)}) for n in range(1, TIMES + 1) for i in range(SPOTS))


def few() -> Iterator[Change]:
    return ((f"spot-{i}", {"children": str(n)}) for n in range(1, SPREAD + 1) for i in range(FEW))


def steady() -> Iterator[Change]:
    """Texts with their send time, so that the page can compute each latency."""
    return (("text", {"children": f"{i} {1000 * time.time()}"}) for i in range(1, STEADY + 1))


def first() -> Iterator[Change]:
    """Yields a unique text."""
    yield "text", {"children": str(time.perf_counter_ns())}


CHANGES: dict[str, Callable[[], Iterator[Change]]] = {
    work.__name__: work for work in (many, texts, points, rows, spots, few, steady, first)
}
"""Updates of each work, by the id of its button."""

PAUSE_SECONDS = {"steady": 0.001}
"""Pause after each update; 0 in a burst."""

TARGETS = {"texts": ("text", "children"), "many": ("text", "children")} | {
    "points": ("graph", "extendData"),
    "rows": ("grid", "rowTransaction"),
    "steady": ("text", "children"),
    "first": ("text", "children"),
}
"""The single prop that a work sets, for contenders that declare their outputs."""


def layout() -> html.Div:
    return html.Div(
        [
            html.Div([html.Button(name, id=name) for name in (*CHANGES, "ordinary")]),
            html.Div(id="text"),
            html.Div(id="answer"),
            *(commanded() if HAS_GRAPH else []),
            html.Div([html.Span(id=f"spot-{i}") for i in range(SPOTS)]),
        ]
    )


def commanded() -> list[Any]:
    """Returns the initial graph and grid that points and rows are added to."""
    return [
        dcc.Graph(id="graph", figure={"data": [{"x": [], "y": []}]}),
        dag.AgGrid(id="grid", columnDefs=[{"field": "n"}], rowData=[]),
    ]


def answer(clicks: int) -> str:
    """Returns the value of the ordinary callback, the baseline of a first update."""
    return f"answer {clicks}"
