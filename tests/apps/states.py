"""An app that shows the states of its runs and its connection."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from dash import ALL, MATCH, Dash, Input, Output, State, ctx, html

from flash_events import ConnectionStatus, RunState, Update, event_callback, stream_props
from tests.apps.backend import BACKEND

app = Dash(__name__, backend=BACKEND)
server = app.server


@event_callback(Input("start", "n_clicks"), cancel=Input("stop", "n_clicks"))
async def ticks(_n: int) -> AsyncIterator[Update]:
    n = 0
    while True:
        n += 1
        yield stream_props("out", {"children": n})
        await asyncio.sleep(0.02)


@event_callback(Input("short", "n_clicks"))
async def short(_n: int) -> AsyncIterator[Update]:
    yield stream_props("out", {"children": "short"})


@event_callback(Input("fail", "n_clicks"), reset_props={"out": {"children": "reset"}})
async def fail(_n: int) -> AsyncIterator[Update]:
    yield stream_props("out", {"children": "fails"})
    raise ValueError("no luck")


@event_callback(
    Input({"type": "go", "index": MATCH}, "n_clicks"),
    cancel=Input({"type": "halt", "index": MATCH}, "n_clicks"),
)
async def cards(_n: int) -> AsyncIterator[Update]:
    yield stream_props({"type": "card", "index": MATCH}, {"children": "runs"})
    await asyncio.sleep(3600)


def card(index: str) -> html.Div:
    return html.Div(
        [
            html.Button("go", id={"type": "go", "index": index}),
            html.Button("halt", id={"type": "halt", "index": index}),
            html.Span(id={"type": "card", "index": index}),
            RunState(cards, id={"type": "state", "index": index}),
        ]
    )


app.layout = html.Div(
    [
        html.Div([html.Button(name, id=name) for name in ("start", "stop", "short", "fail")]),
        ConnectionStatus(id="connection", labels={"idle": "Nothing streams"}),
        ConnectionStatus(id="unlabelled"),
        *[html.Div(id=name) for name in ("out", "seen", "seen-cards", "connection-seen")],
        RunState(ticks, id="ticks-state"),
        RunState(short, id="short-state"),
        RunState(fail, id="fail-state"),
        RunState(cards, id="cards-state"),
        html.Div([card(index) for index in ("a", "b")]),
    ]
)


@app.callback(
    Output("seen", "children"),
    Input("ticks-state", "state"),
    Input("short-state", "state"),
    Input("fail-state", "state"),
    Input("cards-state", "state"),
    State("seen", "children"),
)
def see(*states: Any) -> str:
    """Lists the changes in order: `ticks running`."""
    *_, seen = states
    changed = [f"{one['prop_id'].split('-')[0]} {one['value']}" for one in ctx.triggered]
    return ", ".join([seen, *changed]) if seen else f"at first {' '.join(states[:-1])}"


@app.callback(Output("seen-cards", "children"), Input({"type": "state", "index": ALL}, "state"))
def see_cards(states: list[str]) -> str:
    return " ".join(states)


@app.callback(
    Output("connection-seen", "children"),
    Input("connection", "state"),
    Input("connection", "retry_seconds"),
    State("connection-seen", "children"),
)
def see_connection(state: str, retry_seconds: int | None, seen: str | None) -> str:
    told = state if retry_seconds is None else f"{state}({retry_seconds})"
    return f"{seen or ''} {told}".strip()
