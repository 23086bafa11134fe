"""Contents of the report: a figure that the tasks extend, and a table."""

from collections.abc import Sequence
from typing import Any

from .tasks import CONTINENTS, YEARS, life_expectancy

COLORS = dict(zip(CONTINENTS, ("#f76707", "#37b24d", "#ae3ec9", "#1c7ed6", "#f59f00"), strict=True))
PAST = {continent: life_expectancy(continent).mean() for continent in CONTINENTS}


def empty_figure() -> dict[str, Any]:
    """Returns the past, and three lines per continent that its task extends."""
    futures: list[dict[str, Any]] = []
    pasts: list[dict[str, Any]] = []
    for continent, color in COLORS.items():
        past = PAST[continent]
        line = {"mode": "lines", "name": continent, "line": {"color": color, "width": 2}}
        edge = {**line, "line": {"width": 0}, "hoverinfo": "skip"}
        area = {**edge, "fill": "tonexty", "fillcolor": f"{color}2e"}
        dots = {**line, "line": {"color": color, "width": 2, "dash": "dot"}}
        futures += [{**one, "x": [2007], "y": [past[2007]]} for one in (edge, area, dots)]
        pasts.append({**line, "x": past.index.tolist(), "y": past.tolist()})
    grid = {"gridcolor": "#e9ecef", "zeroline": False, "fixedrange": True}
    layout = {
        "xaxis": {**grid, "range": [1950, YEARS.stop]},
        "yaxis": {**grid, "range": [35, 100], "ticksuffix": " y", "hoverformat": ".1f"},
        "margin": {"l": 44, "r": 8, "t": 8, "b": 28},
        "showlegend": False,
        "hovermode": "x unified",
        "font": {"color": "#495057"},
    }
    return {"data": futures + pasts, "layout": layout}


def table(results: Sequence[dict[str, float]] = ()) -> dict[str, Any]:
    """Returns the last year of the futures, known once all tasks are done."""
    body = []
    for n, continent in enumerate(CONTINENTS):
        future = ["", ""]
        if results:
            last = results[n]
            future = [f"{last['median']:.1f}", f"{last['low']:.1f} to {last['high']:.1f}"]
        body.append([continent, f"{PAST[continent][2007]:.1f}", *future])
    return {"data": {"head": ["", "2007", str(YEARS[-1]), "9 of 10 futures"], "body": body}}
