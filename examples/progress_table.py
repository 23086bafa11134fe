"""A table loads chunk by chunk, with progress, cancel and reload.

Run: python -m examples.progress_table
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import dash_ag_grid as dag
import dash_mantine_components as dmc
from dash import Dash, Input, Output
from plotly import data

from flash_events import Update, event_callback, stream_props

ROWS = data.gapminder().to_dict("records")
CHUNK_ROWS = 24
SECONDS_PER_CHUNK = 0.08
THOUSANDS = {"function": "d3.format(',.0f')(params.value)"}
EMPTY: dict[str, dict[str, Any]] = {
    "table-grid": {"rowData": []},
    "table-progress": {"value": 0, "color": "blue"},
    "table-progress-text": {"children": f"0 of {len(ROWS):,} rows"},
}


def progress(done: int) -> list[tuple[str, dict[str, Any]]]:
    """Returns the bar and its text after a number of rows."""
    return [
        ("table-progress", {"value": 100 * done / len(ROWS)}),
        ("table-progress-text", {"children": f"{done:,} of {len(ROWS):,} rows"}),
    ]


def notification(title: str, message: str, color: str) -> dict[str, Any]:
    """Props that show a notification in the corner of the page."""
    shown = {"action": "show", "title": title, "message": message, "color": color}
    return {"sendNotifications": [{**shown, "withBorder": True}]}


controls = dmc.Group(
    [
        dmc.Button("Start", id="table-start"),
        dmc.Button("Cancel", id="table-cancel", n_clicks=0, disabled=True, variant="default"),
        dmc.Button("Reload", id="table-reload", variant="light"),
    ],
    gap="xs",
)
loaded = dmc.Stack(
    [
        dmc.Text(id="table-progress-text", size="sm", c="dimmed", **EMPTY["table-progress-text"]),
        dmc.Progress(
            id="table-progress", size="md", transitionDuration=100, **EMPTY["table-progress"]
        ),
    ],
    gap=6,
    flex=1,
    miw=200,
)
grid = dag.AgGrid(
    id="table-grid",
    rowData=[],
    getRowId="`${params.data.country} ${params.data.year}`",
    columnDefs=[
        {"field": "country", "minWidth": 140},
        {"field": "continent", "minWidth": 120},
        {"field": "year", "minWidth": 90, "type": "rightAligned"},
        {
            "field": "lifeExp",
            "headerName": "Life expectancy",
            "minWidth": 170,
            "type": "rightAligned",
            "valueFormatter": {"function": "d3.format('.1f')(params.value)"},
        },
        {
            "field": "pop",
            "headerName": "Population",
            "minWidth": 140,
            "type": "rightAligned",
            "valueFormatter": THOUSANDS,
        },
        {
            "field": "gdpPercap",
            "headerName": "GDP per head ($)",
            "minWidth": 160,
            "type": "rightAligned",
            "valueFormatter": THOUSANDS,
        },
    ],
    defaultColDef={"flex": 1, "sortable": True, "filter": True},
    dashGridOptions={
        "localeText": {"noRowsToShow": "No rows yet. Press Start."},
        # Colors for a light and a dark page.
        "theme": {
            "function": "themeQuartz.withParams({backgroundColor: 'var(--mantine-color-body)',"
            " foregroundColor: 'var(--mantine-color-text)'})"
        },
    },
    style={"height": "max(320px, 100dvh - 360px)"},
)
layout = dmc.Stack(
    [
        dmc.Text("Life, people and wealth by country, 1952 to 2007", size="sm", fw=500),
        dmc.Paper(dmc.Group([controls, loaded], gap="lg"), p="md", withBorder=True),
        grid,
    ]
)


@event_callback(
    Input("table-start", "n_clicks"),
    Input("table-reload", "n_clicks"),
    # A reload during a run ends that run first, so that two never fill one table.
    overlap="restart",
    cancel=[(Input("table-cancel", "n_clicks"), 0)],
    running=[
        (Output("table-start", "disabled"), True, False),
        (Output("table-cancel", "disabled"), False, True),
        (Output("table-progress", "animated"), True, False),
    ],
    # No notification: leaving the page stops the run too, and would show it.
    reset_props={
        **EMPTY,
        "table-progress-text": {"children": "Stopped. The table is empty again."},
    },
)
async def load(_start: int | None, _reload: int | None) -> AsyncIterator[Update]:
    """Fills the table from the top."""
    yield stream_props(EMPTY)
    for first in range(0, len(ROWS), CHUNK_ROWS):
        chunk = ROWS[first : first + CHUNK_ROWS]
        rows = {"rowTransaction": {"add": chunk}}
        yield stream_props([("table-grid", rows), *progress(first + len(chunk))])
        await asyncio.sleep(SECONDS_PER_CHUNK)
    done = notification("Loaded", f"All {len(ROWS):,} rows are here.", "teal")
    yield stream_props([("notifications", done), ("table-progress", {"color": "teal"})])


app = Dash(__name__, backend="quart", title="Progress table")
app.layout = dmc.MantineProvider(
    [
        dmc.NotificationContainer(id="notifications", position="bottom-right"),
        dmc.Container(layout, size="lg", py="lg"),
    ]
)
server = app.server

if __name__ == "__main__":
    app.run(debug=True)
