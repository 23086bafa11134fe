"""dash-flash, with its pause after each update, or without it to measure its limit."""

import asyncio
import os
from collections.abc import AsyncIterator
from types import SimpleNamespace

import flash.flash as endpoint
from flash import Flash, Input, Output, callback, event_callback, stream_props

from benchmarks.apps.page import CHANGES, PAUSE_SECONDS, answer, layout


async def no_pause(_seconds: float) -> None:
    """Replaces the `asyncio.sleep(0.1)` after each update."""


if os.environ.get("BENCH_UNPACED"):
    endpoint.asyncio = SimpleNamespace(**{**vars(asyncio), "sleep": no_pause})

app = Flash(__name__)
server = app.server
app.layout = layout()


@callback(Output("answer", "children"), Input("ordinary", "n_clicks"), prevent_initial_call=True)
async def ordinary(clicks: int) -> str:
    return answer(clicks)


def register(work: str) -> None:
    pause = PAUSE_SECONDS.get(work)

    @event_callback(Input(work, "n_clicks"))
    async def stream(clicks: int) -> AsyncIterator[bytes]:
        for component, props in CHANGES[work]():
            yield stream_props(component, props)
            if pause:
                await asyncio.sleep(pause)


for work in CHANGES:
    register(work)
