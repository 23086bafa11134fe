"""An app with several pages: the same ids are drawn again as other component instances."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import dash
from dash import ALL, MATCH, Dash, Input, Output, Patch, State, ctx, dcc, html

from flash_events import RunState, Update, event_callback, stream_props
from tests.apps.backend import BACKEND
from tests.apps.marks import mark

app = Dash(__name__, backend=BACKEND, use_pages=True, pages_folder="")
app.config.suppress_callback_exceptions = True
server = app.server


def stock(symbol: str = "", **_query: str) -> html.Div:
    return html.Div(
        [
            html.H1(symbol, id="symbol"),
            html.Div("no price", id="price"),
            html.Div("off", id="light"),
            html.Div("no note", id="note"),
            html.Div(id="heard"),
            html.Button("halt", id="halt"),
            html.Div(id="lines", children=[]),
        ]
    )


@event_callback(
    Input("symbol", "children"),
    prevent_initial_call=False,
    cancel=Input("halt", "n_clicks"),
    reset_props=[("price", {"children": "no price"}), ("note", {"children": "was reset"})],
    running=[(Output("light", "children"), "on", "off again")],
)
async def prices(symbol: str) -> AsyncIterator[Update]:
    mark("prices began", symbol=symbol)
    try:
        n = 0
        while True:
            n += 1
            yield stream_props("price", {"children": f"{symbol} {n}"})
            await asyncio.sleep(0.02)
    finally:
        mark("prices finally", symbol=symbol)


@app.callback(Output("heard", "children"), Input("symbol", "children"))
def hear(symbol: str) -> str:
    return f"ordinary {symbol}"


@event_callback(
    Input("job-start", "n_clicks"),
    cancel=Input("job-halt", "n_clicks"),
    running=[(Output("job-light", "children"), "on", "off again")],
    reset_props={"job-note": {"children": "was reset"}},
    keep_alive=True,
)
async def job(_n: int) -> AsyncIterator[Update]:
    mark("job began")
    step = 0
    try:
        yield stream_props("job-frame", {"children": html.Div("drawn", id="job-inner")})
        yield stream_props("job-inner", {"children": "filled"})
        while True:
            step += 1
            line = Patch()
            line.append(f"{step} ")
            yield stream_props(
                [("job-step", {"children": step}), ("job-lines", {"children": line})]
            )
            yield stream_props("job-seen", {"children": step})
            await asyncio.sleep(0.02)
    finally:
        mark("job finally")


@event_callback(
    Input("short-start", "n_clicks"), reset_props={"job-note": {"children": ""}}, keep_alive=True
)
async def short(_n: int) -> AsyncIterator[Update]:
    """Ends after its page was left."""
    yield stream_props("short-out", {"children": "begun"})
    await asyncio.sleep(1.5)  # the page was left before
    yield stream_props("short-out", {"children": "finished"})


@event_callback(
    Input("wrong", "n_clicks"),
    reset_props={"no-such-id": {"children": ""}, "note": {"children": "was reset"}},
)
async def wrong(_n: int) -> AsyncIterator[Update]:
    yield stream_props("note", {"children": "wrong began"})
    await asyncio.sleep(3600)


def job_page() -> html.Div:
    return html.Div(
        [
            html.Button("start", id="job-start"),
            html.Button("short", id="short-start"),
            html.Div("no step", id="job-step"),
            html.Div([], id="job-lines"),
            html.Div("no note", id="job-note"),
            html.Div("off", id="job-light"),
            html.Div("not drawn", id="job-frame"),
            html.Div("not begun", id="short-out"),
        ]
    )


def card(number: int) -> html.Div:
    return html.Div(
        [
            html.Div(id={"type": "card", "n": number}),
            html.Div("waits", id={"type": "text", "n": number}),
        ]
    )


@event_callback(
    Input({"type": "card", "n": MATCH}, "id"),
    State({"type": "text", "n": MATCH}, "children"),
    prevent_initial_call=False,
)
async def cards(card_id: dict[str, Any], text: str) -> AsyncIterator[Update]:
    mark("card began", n=card_id["n"])
    yield stream_props({"type": "text", "n": MATCH}, {"children": f"{card_id['n']} {text}"})


@event_callback(
    Input({"row": MATCH, "cell": ALL}, "children"),
    prevent_initial_call=False,
)
async def rows(cells: list[str]) -> AsyncIterator[Update]:
    mark("row began", cells=cells)
    yield stream_props("row-out", {"children": "+".join(cells)})


@event_callback(Input({"every": ALL}, "children"), prevent_initial_call=False)
async def every(texts: list[str]) -> AsyncIterator[Update]:
    mark("every began", texts=texts)
    yield stream_props("every-out", {"children": ",".join(texts)})


@event_callback(Input("source", "data"), prevent_initial_call=False)
async def fed(data: Any) -> AsyncIterator[Update]:
    mark("fed began", data=data)
    yield stream_props("fed-out", {"children": f"fed {data}"})


@app.callback(Output("source", "data"), Input("fed-frame", "id"))
async def feed(_id: str) -> str:
    await asyncio.sleep(0.2)
    return "by the ordinary callback"


def cards_page(count: str = "1", **_query: str) -> html.Div:
    return html.Div(
        [
            html.Button("another", id="another"),
            html.Button("streamed", id="streamed"),
            html.Div([card(n) for n in range(int(count))], id="cards"),
            html.Div([html.Div("a", id={"every": n}) for n in range(int(count))]),
            html.Div(
                [
                    html.Span(text, id={"row": row, "cell": text})
                    for row in range(int(count))
                    for text in "xy"
                ]
            ),
            html.Div(id="every-out"),
            html.Div(id="row-out"),
            html.Div([dcc.Store(id="source"), html.Div(id="fed-out")], id="fed-frame"),
        ]
    )


@app.callback(Output("cards", "children"), Input("another", "n_clicks"), prevent_initial_call=True)
def another(n: int) -> Patch:
    patch = Patch()
    patch.append(card(100 + n))
    return patch


@event_callback(Input("streamed", "n_clicks"))
async def streamed(n: int) -> AsyncIterator[Update]:
    patch = Patch()
    patch.append(card(200 + n))
    yield stream_props("cards", {"children": patch})


def choice(name: str) -> html.Div:
    return html.Div(
        [
            dcc.Dropdown(["a", "b"], "a", id={"type": "choice", "name": name}, persistence=True),
            html.Div("silent", id={"type": "chosen", "name": name}),
        ]
    )


@app.callback(
    Output({"type": "chosen", "name": MATCH}, "children"),
    Input({"type": "choice", "name": MATCH}, "value"),
)
def choose(value: str) -> str:
    mark("chosen", chosen=ctx.outputs_list["id"]["name"], triggered=bool(ctx.triggered_id))
    return f"chosen {value}"


@app.callback(Output("count", "children"), Input({"type": "choice", "name": ALL}, "value"))
def count_choices(values: list[str]) -> str:
    return f"{len(values)} choices"


@event_callback(Input("replace", "n_clicks"))
async def replace(n: int) -> AsyncIterator[Update]:
    yield stream_props("choices", {"children": [choice(f"r{n}"), choice(f"s{n}")]})


@event_callback(Input("append", "n_clicks"))
async def append(n: int) -> AsyncIterator[Update]:
    patch = Patch()
    patch.append(choice(f"p{n}"))
    yield stream_props("choices", {"children": patch})


@event_callback(Input("clear", "n_clicks"))
async def clear(_n: int) -> AsyncIterator[Update]:
    yield stream_props("choices", {"children": []})


def choices_page() -> html.Div:
    buttons = [html.Button(name, id=name) for name in ("replace", "append", "clear")]
    return html.Div([*buttons, html.Div(id="count"), html.Div([], id="choices")])


@app.callback(
    Output("pane", "children"), Input("pane-one", "n_clicks"), Input("pane-two", "n_clicks")
)
def pane(_one: int, _two: int) -> Any:
    if ctx.triggered_id is None:
        return None
    return stock(ctx.triggered_id)


def pane_page() -> html.Div:
    names = ("pane-one", "pane-two", "keep-one", "keep-start", "wrong")
    buttons = [html.Button(name, id=name) for name in names]
    return html.Div(
        [*buttons, html.Div(id="pane"), html.Div(id="keep-pane"), html.Div(id="keep-out")]
    )


@app.callback(
    Output("keep-pane", "children"), Input("keep-one", "n_clicks"), prevent_initial_call=True
)
def keep_pane(_n: int) -> html.Button:
    return html.Button("halt", id="pane-halt", n_clicks=0)


@event_callback(
    Input("keep-start", "n_clicks"),
    cancel=Input("pane-halt", "n_clicks"),
    reset_props={"keep-out": {"children": "stopped"}},
)
async def keep(_n: int) -> AsyncIterator[Update]:
    n = 0
    while True:
        n += 1
        yield stream_props("keep-out", {"children": f"keep {n}"})
        await asyncio.sleep(0.02)


@event_callback(Input("redraw", "n_clicks"), prevent_initial_call=False)
async def redraw(n: int | None) -> AsyncIterator[Update]:
    """Redraws its own trigger."""
    mark("redraw began", n=n)
    button = html.Button(f"redraw {n}", id="redraw")
    yield stream_props("redraw-frame", {"children": [button, html.Div(id="redraw-out")]})
    for step in range(10):
        yield stream_props("redraw-out", {"children": f"{n} {step}"})
        await asyncio.sleep(0.02)


def redraw_page() -> html.Div:
    return html.Div([html.Button("redraw", id="redraw")], id="redraw-frame")


@event_callback(Input({"held": ALL}, "id"), prevent_initial_call=False)
async def held(_ids: list[dict[str, str]]) -> AsyncIterator[Update]:
    mark("held began")
    try:
        n = 0
        while True:
            n += 1
            yield stream_props("held-out", {"children": n})
            await asyncio.sleep(0.02)
    finally:
        mark("held finally")


@app.callback(
    Output("holder", "children", allow_duplicate=True),
    Input("round-trip", "n_clicks"),
    State("holder", "children"),
    prevent_initial_call=True,
)
def round_trip(_n: int, children: Any) -> Any:
    return children


@app.callback(
    Output("holder", "children", allow_duplicate=True),
    Input("patch", "n_clicks"),
    prevent_initial_call=True,
)
def patch_holder(n: int) -> Patch:
    patch = Patch()
    patch.insert(0, html.Div(f"patched {n}", id=f"patched-{n}"))
    patch.reverse()
    return patch


def held_page() -> html.Div:
    buttons = [html.Button(name, id=name) for name in ("round-trip", "patch")]
    holder = html.Div([html.Div("held", id={"held": "it"}), html.Div("other")], id="holder")
    tabs = dcc.Tabs(
        [
            dcc.Tab(holder, label="one", value="one", id="tab-one"),
            dcc.Tab(html.Div("two", id="in-two"), label="two", value="two", id="tab-two"),
        ],
        value="one",
    )
    return html.Div([*buttons, html.Div(id="held-out"), tabs])


dash.register_page("held", path="/held", layout=held_page)
dash.register_page(
    "home", path="/", layout=html.Div([html.Button("a page"), html.Div("home", id="at-home")])
)
dash.register_page("stock", path_template="/stock/<symbol>", layout=stock)
dash.register_page("job", path="/job", layout=job_page)
dash.register_page("cards", path_template="/cards/<count>", layout=cards_page)
dash.register_page("choices", path="/choices", layout=choices_page)
dash.register_page("panes", path="/panes", layout=pane_page)
dash.register_page("redraw", path="/redraw", layout=redraw_page)

LINKS = {
    "home": "/",
    "aapl": "/stock/AAPL",
    "msft": "/stock/MSFT",
    "to-job": "/job",
    "three": "/cards/3",
}

STATES: dict[str, Callable[..., Any]] = {
    "prices": prices,
    "short": short,
    "wrong": wrong,
    "job-state": job,
}

app.layout = html.Div(
    [
        html.Nav([dcc.Link(name, href=href, id=name) for name, href in LINKS.items()]),
        html.Button("halt", id="job-halt"),
        html.Div(id="job-seen"),
        html.Div([RunState(one, id=f"{name}-now") for name, one in STATES.items()]),
        html.Div([html.Div(id=f"{name}-seen") for name in STATES]),
        dash.page_container,
    ]
)


def show_state(name: str) -> None:
    @app.callback(Output(f"{name}-seen", "children"), Input(f"{name}-now", "state"))
    def show(state: str) -> str:
        return state


for _name in STATES:
    show_state(_name)
