"""How long will people live? A report that Celery's workers compute, a task for each continent.

Run: python -m examples.celery_report
"""

from collections.abc import AsyncIterator
from time import monotonic
from typing import Any

import dash_mantine_components as dmc
from celery import group
from dash import Dash, Input, Output, dcc

from flash_events import Update, event_callback, stream_props
from flash_events.celery import TaskState, TaskStatus, stream_task

from .figures import COLORS, empty_figure, table
from .tasks import CONTINENTS, FUTURES, simulate

TOTAL = f"{FUTURES * len(CONTINENTS):,} futures"
EMPTY: dict[str, dict[str, Any]] = {
    "graph": {"figure": empty_figure()},
    "table": table(),
    **{f"bar-{continent}": {"value": 0} for continent in CONTINENTS},
    **{f"worker-{continent}": {"children": ""} for continent in CONTINENTS},
    **{f"status-{continent}": {"children": ""} for continent in CONTINENTS},
}
STOPPED = {
    **EMPTY,
    **{f"status-{continent}": {"children": "stopped"} for continent in CONTINENTS},
    "message": {"children": "Stopped."},
}


def row(continent: str) -> dmc.Grid:
    """One task: its continent, its progress, its state, and its worker."""
    bar = dmc.Progress(
        id=f"bar-{continent}", value=0, color=COLORS[continent], size="lg", transitionDuration=100
    )
    name = [
        dmc.Box(w=10, h=10, bg=COLORS[continent], style={"borderRadius": 5}),
        dmc.Text(continent, size="sm", w=72),
    ]
    told = [
        dmc.Text("", id=f"status-{continent}", size="sm", w=170),
        dmc.Text("", id=f"worker-{continent}", size="sm", c="dimmed", w=64, visibleFrom="sm"),
    ]
    return dmc.Grid(
        [
            dmc.GridCol(dmc.Group(name, gap="xs"), span="content"),
            # In a small window it has a separate line below.
            dmc.GridCol(bar, span={"base": 12, "sm": "auto"}, order={"base": 3, "sm": 2}),
            dmc.GridCol(dmc.Group(told, gap="xs"), span="content", order={"base": 2, "sm": 3}),
        ],
        gutter="xs",
        align="center",
        mih=24,
    )


app = Dash(__name__, backend="quart", title="Celery report")
server = app.server
buttons = [
    dmc.Button("Run report", id="start"),
    dmc.Button("Stop", id="stop", n_clicks=0, disabled=True, variant="default"),
    dmc.Text(f"Ready to draw {TOTAL}.", id="message", size="sm", c="dimmed"),
]
results_table = dmc.Table(id="table", verticalSpacing="sm", **EMPTY["table"])
graph = dcc.Graph(
    id="graph",
    responsive=True,
    config={"displayModeBar": False},
    style={"height": "max(340px, 100dvh - 350px)"},
    **EMPTY["graph"],
)
app.layout = dmc.MantineProvider(
    dmc.Container(
        [
            dmc.Box(
                [
                    dmc.Title("How long will people live?", order=2),
                    dmc.Text(
                        "Life expectancy by continent, if the next fifty years are made of "
                        "what countries have seen in the last twenty",
                        c="dimmed",
                    ),
                ]
            ),
            dmc.Paper(
                [dmc.Group(buttons, gap="xs", mb="md"), *(row(one) for one in CONTINENTS)],
                my="md",
                p="md",
                withBorder=True,
                shadow="xs",
            ),
            dmc.Group(
                [dmc.Box(graph, flex=1, miw=360), dmc.Box(results_table, w=360)], align="start"
            ),
        ],
        size="xl",
        py="lg",
        style={"fontVariantNumeric": "tabular-nums"},  # so that changing numbers do not move
    )
)


def show(task: TaskStatus) -> Update | None:
    """Shows the states that a task cannot report itself: queued and done."""
    if task.state is TaskState.QUEUED:
        text = f"queued, {task.waiting} before it" if task.waiting else "queued, next"
    elif task.state is TaskState.SUCCESS:
        text = "done"
    else:
        return None
    return stream_props(f"status-{CONTINENTS[task.part]}", {"children": text})


def failed(_error: Exception) -> Update:
    """Notifies the user; the log has the details."""
    return stream_props("message", {"children": "A task has failed. Run the report again."})


@event_callback(
    Input("start", "n_clicks"),
    cancel=[(Input("stop", "n_clicks"), 0)],
    running=[(Output("start", "disabled"), True, False), (Output("stop", "disabled"), False, True)],
    reset_props=STOPPED,
    on_error=failed,
    on_disconnect="finish",  # the page may be reloaded meanwhile
)
async def report(_clicks: int) -> AsyncIterator[Update]:
    """Simulates all continents at once, on all workers."""
    began = monotonic()
    yield stream_props({**EMPTY, "message": {"children": f"Drawing {TOTAL} …"}})
    simulations = group(simulate.s(continent) for continent in CONTINENTS)
    async with stream_task(simulations, on_state=show) as tasks:
        async for update in tasks:
            yield update
        results = await tasks.result()
    done = f"{TOTAL} in {monotonic() - began:.0f} s"
    yield stream_props({"table": table(results), "message": {"children": done}})
