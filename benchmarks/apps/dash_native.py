"""Dash's native streams (4.5): each value that an async generator yields goes to its output."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from dash import Dash, Input, Output, set_props

from benchmarks.apps.page import CHANGES, PAUSE_SECONDS, TARGETS, answer, layout

app = Dash(__name__, backend="quart")
server = app.server
app.layout = layout()
app.callback(
    Output("answer", "children"), Input("ordinary", "n_clicks"), prevent_initial_call=True
)(answer)


def register(work: str, component: str, prop: str) -> None:
    """A work that sets one prop, which is the callback's output."""
    pause = PAUSE_SECONDS.get(work)
    output = Output(component, prop, allow_duplicate=True)

    @app.callback(output, Input(work, "n_clicks"), prevent_initial_call=True)
    async def stream(_clicks: int) -> AsyncIterator[Any]:
        for _, props in CHANGES[work]():
            yield props[prop]
            if pause:
                await asyncio.sleep(pause)


def register_without_output(work: str) -> None:
    """A work that sets props of many components, which only `set_props` can address."""

    @app.callback(Input(work, "n_clicks"), prevent_initial_call=True)
    async def stream(_clicks: int) -> AsyncIterator[None]:
        for component, props in CHANGES[work]():
            set_props(component, props)
            yield None


for work in CHANGES:
    if work in TARGETS:
        register(work, *TARGETS[work])
    else:
        register_without_output(work)
