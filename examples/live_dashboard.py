"""Four stocks tick until they are stopped or the page is left.

Run: python -m examples.live_dashboard
"""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from itertools import chain, cycle, pairwise
from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, Output, ctx, dcc
from plotly import data

from flash_events import Update, event_callback, stream_props

STOCKS = {
    "GOOG": ("Alphabet", "#1c7ed6"),
    "AAPL": ("Apple", "#f03e3e"),
    "AMZN": ("Amazon", "#e67700"),
    "MSFT": ("Microsoft", "#0ca678"),
}
TICK_SECONDS = 0.2
TICKS_PER_WEEK = 8
WINDOW_TICKS = 150
NOISE = 0.003
# Readable on a light page and on a dark one.
UP = "light-dark(var(--mantine-color-teal-9), var(--mantine-color-teal-4))"
DOWN = "light-dark(var(--mantine-color-red-9), var(--mantine-color-red-4))"
FAILURE = "dashboard-failure"


def ticks(symbol: str) -> Iterator[float]:
    """Yields prices endlessly; the first week is 100.

    The weekly prices are played there and back, so that the end never jumps to the beginning.
    """
    noise = random.Random(symbol)
    weeks = [100 * price for price in data.stocks()[symbol]]
    for before, after in pairwise(cycle(chain(weeks, weeks[-2:0:-1]))):
        for tick in range(TICKS_PER_WEEK):
            price = before + (after - before) * tick / TICKS_PER_WEEK
            yield price * (1 + noise.gauss(0, NOISE))


def empty_figure(color: str) -> dict[str, Any]:
    """A figure that `extendData` fills; lists, since Plotly cannot extend encoded arrays."""
    axis = {
        "autorange": True,
        "fixedrange": True,
        "gridcolor": "rgba(128,128,128,0.2)",
        "zeroline": False,
    }
    return {
        "data": [{"x": [], "y": [], "mode": "lines", "line": {"color": color, "width": 2}}],
        "layout": {
            "margin": {"l": 40, "r": 8, "t": 8, "b": 22},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"color": "#909296", "size": 11},
            # These ranges are used while there are no points.
            "xaxis": {**axis, "range": [0, 30], "ticksuffix": " s", "nticks": 8},
            "yaxis": {**axis, "range": [90, 110], "nticks": 6},
        },
    }


def quote(symbol: str, price: float, first: float) -> list[tuple[str, dict[str, Any]]]:
    """Returns the latest price and its change since the start, as text."""
    change = price / first - 1
    color, arrow = (UP, "▲") if change >= 0 else (DOWN, "▼")
    return [
        (f"dashboard-price-{symbol}", {"children": f"{price:.2f}"}),
        (f"dashboard-change-{symbol}", {"children": f"{arrow} {abs(change):.2%}", "c": color}),
    ]


def card(symbol: str) -> dmc.Paper:
    """One stock: name, price, change and graph."""
    name, color = STOCKS[symbol]
    return dmc.Paper(
        [
            dmc.Group(
                [
                    dmc.Text(symbol, fw=700),
                    dmc.Text("", id=f"dashboard-price-{symbol}", fw=700),
                ],
                justify="space-between",
            ),
            dmc.Group(
                [
                    dmc.Text(name, c="dimmed", size="sm"),
                    dmc.Text("", id=f"dashboard-change-{symbol}", size="sm"),
                ],
                justify="space-between",
            ),
            dcc.Graph(
                id=f"dashboard-graph-{symbol}",
                figure=empty_figure(color),
                responsive=True,
                config={"displayModeBar": False},
                style={"height": "max(170px, (100dvh - 420px) / 2)"},
            ),
        ],
        p="sm",
        withBorder=True,
        # Digits of the price must not move the text.
        style={"fontVariantNumeric": "tabular-nums"},
    )


buttons = [
    dmc.Button("Start", id="dashboard-start"),
    dmc.Button("End", id="dashboard-end", disabled=True, variant="default"),
    dmc.Badge("Idle", id="dashboard-status", color="gray.5", variant="dot", size="lg"),
    dmc.Button(
        "Simulate failure",
        id="dashboard-fail",
        disabled=True,
        variant="subtle",
        color="gray",
        size="compact-xs",
        fw=400,
        ml="auto",
    ),
]
cards = dmc.SimpleGrid([card(symbol) for symbol in STOCKS], cols={"base": 1, "sm": 2})
layout = dmc.Stack([dmc.Group(buttons, gap="xs"), cards])


def on_failure(_error: Exception) -> Update:
    """Notifies the user; the log has the details."""
    failed = {
        "action": "show",
        "id": FAILURE,
        "title": "The feed has failed",
        "message": "Press Start to try again.",
        "color": "red",
        "withBorder": True,
        "autoClose": False,  # it stays until it is closed, or the run starts again
    }
    return stream_props(
        [
            ("notifications", {"sendNotifications": [failed]}),
            ("dashboard-status", {"children": "Failed", "color": "red"}),
        ]
    )


@event_callback(
    Input("dashboard-start", "n_clicks"),
    Input("dashboard-fail", "n_clicks"),
    cancel=Input("dashboard-end", "n_clicks"),
    running=[
        (Output("dashboard-start", "disabled"), True, False),
        (Output("dashboard-end", "disabled"), False, True),
        (Output("dashboard-fail", "disabled"), False, True),
        (Output("dashboard-status", "children"), "Live", "Idle"),
        (Output("dashboard-status", "color"), "teal", "gray.5"),
    ],
    on_error=on_failure,
)
async def stream(_start: int | None, _fail: int | None) -> AsyncIterator[Update]:
    """Streams ticks of all stocks from the start, in one update each."""
    if ctx.triggered_id == "dashboard-fail":  # it replaces the live run
        raise ConnectionError("the feed has hung up (simulated)")
    yield stream_props(
        [
            ("notifications", {"hideNotifications": [FAILURE]}),
            *(
                (f"dashboard-graph-{symbol}", {"figure": empty_figure(color)})
                for symbol, (_, color) in STOCKS.items()
            ),
        ]
    )
    feeds = {symbol: ticks(symbol) for symbol in STOCKS}
    firsts = {symbol: next(feed) for symbol, feed in feeds.items()}
    tick = 0
    while True:
        tick += 1
        batch: list[tuple[str, dict[str, Any]]] = []
        for symbol, feed in feeds.items():
            price = next(feed)
            point = {"x": [[tick * TICK_SECONDS]], "y": [[price]]}
            batch.append((f"dashboard-graph-{symbol}", {"extendData": [point, [0], WINDOW_TICKS]}))
            batch += quote(symbol, price, firsts[symbol])
        yield stream_props(batch)
        await asyncio.sleep(TICK_SECONDS)


app = Dash(__name__, backend="quart", title="Live dashboard")
app.layout = dmc.MantineProvider(
    [
        dmc.NotificationContainer(id="notifications", position="bottom-right"),
        dmc.Container(layout, size="xl", py="lg"),
    ],
    forceColorScheme="dark",
)
server = app.server

if __name__ == "__main__":
    app.run(debug=True)
