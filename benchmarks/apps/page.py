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
"""A component's id and what is set on it."""

SPOTS = int(os.environ.get("BENCH_SPOTS", "50"))
"""How many components there are to write into, which nearly is how many ids the page has."""

HAS_GRAPH = "BENCH_NO_GRAPH" not in os.environ
"""Whether a graph and a grid stand above them. dcc.Graph never draws in a page that takes Dash more
than 30 s to show: it gives up to wait for Plotly."""

SCALE = float(os.environ.get("BENCH_SCALE", "1"))
"""Of the work: less than 1 to look whether all of it runs."""


def scaled(count: int) -> int:
    return max(1, round(count * SCALE))


MANY, TEXTS, POINTS, ROWS, STEADY = map(scaled, (200_000, 20_000, 2_000, 2_000, 2_000))
SPREAD = scaled(40)
"""How many times the burst over a few components writes into each."""
FEW = 50
TIMES = 4
"""How many times the burst over all components writes into each."""


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
    """Texts that say when they were sent, so that the page can tell how long each took."""
    return (("text", {"children": f"{i} {1000 * time.time()}"}) for i in range(1, STEADY + 1))


def first() -> Iterator[Change]:
    """One text, no two of them the same."""
    yield "text", {"children": str(time.perf_counter_ns())}


CHANGES: dict[str, Callable[[], Iterator[Change]]] = {
    work.__name__: work for work in (many, texts, points, rows, spots, few, steady, first)
}
"""What each work sets, by the id of its button."""

PAUSE_SECONDS = {"steady": 0.001}
"""After each update; none where it is a burst."""

TARGETS = {"texts": ("text", "children"), "many": ("text", "children")} | {
    "points": ("graph", "extendData"),
    "rows": ("grid", "rowTransaction"),
    "steady": ("text", "children"),
    "first": ("text", "children"),
}
"""The one prop that a work sets, for those that name their outputs beforehand."""


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
    """What points and rows are added to."""
    return [
        dcc.Graph(id="graph", figure={"data": [{"x": [], "y": []}]}),
        dag.AgGrid(id="grid", columnDefs=[{"field": "n"}], rowData=[]),
    ]


def answer(clicks: int) -> str:
    """What the ordinary callback returns, to which a first update is compared."""
    return f"answer {clicks}"
