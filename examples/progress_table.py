"""A table loads chunk by chunk, with progress, cancel and reload.

Run: hypercorn examples.progress_table:server
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
    "grid": {"rowData": []},
    "progress": {"value": 0, "color": "blue"},
    "progress-text": {"children": f"0 of {len(ROWS):,} rows"},
}


def progress(done: int) -> list[tuple[str, dict[str, Any]]]:
    """The bar and its text after so many rows."""
    return [
        ("progress", {"value": 100 * done / len(ROWS)}),
        ("progress-text", {"children": f"{done:,} of {len(ROWS):,} rows"}),
    ]


def notification(title: str, message: str, color: str) -> dict[str, Any]:
    """Props that show a notification in the corner of the page."""
    shown = {"action": "show", "title": title, "message": message, "color": color}
    return {"sendNotifications": [{**shown, "withBorder": True}]}


app = Dash(__name__, backend="quart", title="Progress table")
server = app.server

controls = dmc.Group(
    [
        dmc.Button("Start", id="start"),
        dmc.Button("Cancel", id="cancel", n_clicks=0, disabled=True, variant="default"),
        dmc.Button("Reload", id="reload", variant="light"),
    ],
    gap="xs",
)
loaded = dmc.Stack(
    [
        dmc.Text(id="progress-text", size="sm", c="dimmed", **EMPTY["progress-text"]),
        dmc.Progress(id="progress", size="md", transitionDuration=100, **EMPTY["progress"]),
    ],
    gap=6,
    flex=1,
    miw=200,
)
grid = dag.AgGrid(
    id="grid",
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
    dashGridOptions={"localeText": {"noRowsToShow": "No rows yet. Press Start."}},
    style={"height": "100%"},
)
app.layout = dmc.MantineProvider(
    [
        dmc.NotificationContainer(id="notifications", position="bottom-right"),
        dmc.Container(
            [
                dmc.Box(
                    [
                        dmc.Title("Gapminder", order=2),
                        dmc.Text("Life, people and wealth by country, 1952 to 2007", c="dimmed"),
                    ]
                ),
                dmc.Paper(
                    dmc.Group([controls, loaded], gap="lg"), p="md", withBorder=True, shadow="xs"
                ),
                dmc.Box(grid, flex=1, mih=0),
            ],
            size="lg",
            py="lg",
            h="100dvh",
            style={"display": "flex", "flexDirection": "column", "gap": 16},
        ),
    ]
)


@event_callback(
    Input("start", "n_clicks"),
    Input("reload", "n_clicks"),
    # A reload during a run ends that run first, so that two never fill one table.
    overlap="restart",
    cancel=[(Input("cancel", "n_clicks"), 0)],
    running=[
        (Output("start", "disabled"), True, False),
        (Output("cancel", "disabled"), False, True),
        (Output("progress", "animated"), True, False),
    ],
    reset_props={
        **EMPTY,
        "notifications": notification("Stopped", "The table is empty again.", "yellow"),
    },
)
async def load(_start: int | None, _reload: int | None) -> AsyncIterator[Update]:
    """Fills the table from the top."""
    yield stream_props(EMPTY)
    for first in range(0, len(ROWS), CHUNK_ROWS):
        chunk = ROWS[first : first + CHUNK_ROWS]
        rows = {"rowTransaction": {"add": chunk}}
        yield stream_props([("grid", rows), *progress(first + len(chunk))])
        await asyncio.sleep(SECONDS_PER_CHUNK)
    done = notification("Loaded", f"All {len(ROWS):,} rows are here.", "teal")
    yield stream_props([("notifications", done), ("progress", {"color": "teal"})])


if __name__ == "__main__":
    app.run(debug=True)
