"""Cards that stream independently: with MATCH, one callback serves all of them.

Run: python -m examples.cards
"""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import dash_mantine_components as dmc
from dash import MATCH, Dash, Input, Output, Patch, callback, ctx

from flash_events import RunState, Update, event_callback, stream_props

COLORS = ["blue", "teal", "orange", "grape", "red", "cyan"]
BADGES = {"running": ("live", "teal"), "cancelled": ("stopped", "gray"), "idle": ("idle", "gray")}
SHOWN_VALUES = 60


def part(name: str, index: Any = MATCH) -> dict[str, Any]:
    """Returns the id of a card's part; with MATCH, that part of each card."""
    return {"type": f"cards-{name}", "index": index}


def card(number: int) -> dmc.Card:
    """A sensor with its own stream."""
    buttons = [
        dmc.Button("Start", id=part("start", number), size="compact-sm"),
        dmc.Button(
            "Stop", id=part("stop", number), size="compact-sm", variant="default", disabled=True
        ),
        dmc.Text("", id=part("value", number), fw=700, ml="auto"),
    ]
    return dmc.Card(
        [
            RunState(measure, id=part("run", number)),
            dmc.Group(
                [
                    dmc.Text(f"Sensor {number}", fw=600),
                    dmc.Badge("idle", id=part("badge", number), variant="dot", color="gray"),
                ],
                justify="space-between",
            ),
            dmc.Sparkline(
                id=part("line", number),
                data=[0, 0],
                h=70,
                my="sm",
                color=COLORS[number % len(COLORS)],
                strokeWidth=2,
            ),
            dmc.Group(buttons, gap="xs"),
        ],
        withBorder=True,
        style={"fontVariantNumeric": "tabular-nums"},  # so that the value does not jump
    )


@event_callback(
    Input(part("start"), "n_clicks"),
    cancel=Input(part("stop"), "n_clicks"),
    running=[
        (Output(part("start"), "disabled"), True, False),
        (Output(part("stop"), "disabled"), False, True),
    ],
)
async def measure(_clicks: int) -> AsyncIterator[Update]:
    """Streams one card's values endlessly; some sensors are faster than others."""
    number = ctx.triggered_id["index"]
    value, values = 20.0, deque[float](maxlen=SHOWN_VALUES)
    while True:
        value += random.gauss(0, 0.3)
        values.append(value)
        yield stream_props(
            [
                (part("value"), {"children": f"{value:.1f} °C"}),
                (part("line"), {"data": [value - min(values) for value in values]}),
            ]
        )
        await asyncio.sleep(0.1 + 0.1 * (number % 3))


@callback(
    Output(part("badge"), "children"), Output(part("badge"), "color"), Input(part("run"), "state")
)
def show_state(state: str) -> tuple[str, str]:
    """Shows the state of this card's run only: the RunState's id has the same index."""
    return BADGES.get(state, (state, "yellow"))


@callback(
    Output("cards-all", "children"), Input("cards-add", "n_clicks"), prevent_initial_call=True
)
def add(clicks: int) -> Patch:
    cards = Patch()
    cards.append(card(3 + clicks))
    return cards


layout = dmc.Stack(
    [
        dmc.Group(dmc.Button("Add", id="cards-add", n_clicks=0, variant="light")),
        dmc.SimpleGrid([card(n) for n in (1, 2, 3)], id="cards-all", cols={"base": 1, "xs": 2}),
    ]
)

app = Dash(__name__, backend="quart", title="Cards")
app.layout = dmc.MantineProvider(dmc.Container(layout, size="md", py="lg"))
server = app.server

if __name__ == "__main__":
    app.run(debug=True)
