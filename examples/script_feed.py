"""A dashboard that a script feeds: every page gets the last 300 points, and all new ones.

Run: python -m examples.script_feed
"""

import random
import threading
import time
from datetime import datetime
from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, Output, callback, dcc

from flash_events import Subscription, stream_props, topic

POINTS = 300
feed = topic("feed", history=POINTS)  # a page that comes later gets these points first


def script() -> None:
    """Publishes for a minute. This could as well be a script of its own, or a Celery task."""
    value = 20.0
    for _ in range(600):
        value += random.gauss(0, 0.2)
        point = {"x": [[datetime.now().isoformat()]], "y": [[value]]}
        extended = ("feed-graph", {"extendData": [point, [0], POINTS]})
        shown = ("feed-value", {"children": f"{value:.1f} °C"})
        feed.publish_sync(stream_props([extended, shown]))  # all pages apply it by themselves
        time.sleep(0.1)  # in a thread of its own


axis = {"autorange": True, "gridcolor": "rgba(128,128,128,0.2)", "zeroline": False}
look = {
    **dict.fromkeys(("paper_bgcolor", "plot_bgcolor"), "rgba(0,0,0,0)"),
    **{"margin": {"l": 40, "r": 8, "t": 8, "b": 40}, "font": {"color": "#909296"}},
    **{"xaxis": {**axis, "type": "date"}, "yaxis": axis},
}
line: dict[str, Any] = {"x": [], "y": [], "mode": "lines", "line": {"color": "#0ca678"}}
figure = {"data": [line], "layout": look}
controls = [
    dmc.Button("Start the script", id="feed-start"),
    dmc.Badge("connecting", id="feed-state", variant="dot", size="lg"),
    dmc.Text("", id="feed-value", fw=700, ml="auto"),
]
layout = dmc.Stack(
    [
        Subscription(feed, id="feed", last=POINTS),
        dmc.Group(controls),
        dcc.Graph(id="feed-graph", figure=figure, config={"displayModeBar": False}),
        dmc.Text("Open a second window: it has the same points.", id="feed-note", size="sm"),
    ]
)


@callback(
    Output("feed-note", "children"), Input("feed-start", "n_clicks"), prevent_initial_call=True
)
async def start(_clicks: int) -> str:
    latest = await feed.latest()
    if latest and time.time() - latest[-1].time < 2:
        return "The script runs already. Perhaps another page has started it."
    threading.Thread(target=script, daemon=True).start()
    return "The script runs for a minute, whether a page is open or not."


@callback(Output("feed-state", "children"), Input("feed", "state"))
def show_state(state: str) -> str:
    return state


app = Dash(__name__, backend="quart", title="Script feed")
app.layout = dmc.MantineProvider(dmc.Container(layout, size="lg", py="lg"))
server = app.server

if __name__ == "__main__":
    app.run(debug=True)
