"""An app that shows the states of its runs and its connection."""

import asyncio
from collections.abc import AsyncIterator

from dash import ALL, MATCH, Dash, Input, Output, State, html

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


# In the browser: of two server callbacks at once Dash would drop the first, with its state.
app.clientside_callback(
    """(...args) => {
        const seen = args.pop();
        if (!seen) return `at first ${args.join(" ")}`;
        const changed = dash_clientside.callback_context.triggered.map(
            ({prop_id, value}) => `${prop_id.split("-")[0]} ${value}`);
        return [seen, ...changed].join(", ");
    }""",
    Output("seen", "children"),
    Input("ticks-state", "state"),
    Input("short-state", "state"),
    Input("fail-state", "state"),
    Input("cards-state", "state"),
    State("seen", "children"),
)


@app.callback(Output("seen-cards", "children"), Input({"type": "state", "index": ALL}, "state"))
def see_cards(states: list[str]) -> str:
    return " ".join(states)


app.clientside_callback(
    """(state, retrySeconds, seen) =>
        `${seen ?? ""} ${retrySeconds == null ? state : `${state}(${retrySeconds})`}`.trim()""",
    Output("connection-seen", "children"),
    Input("connection", "state"),
    Input("connection", "retry_seconds"),
    State("connection-seen", "children"),
)
