"""Six stocks stream into a graph. Run: python -m examples.quickstart"""

import asyncio
from collections.abc import AsyncIterator

from dash import Dash, Input, dcc, html
from plotly.data import stocks

from flash_events import Update, event_callback, stream_props

AXES = {"xaxis": {"type": "date", "range": ["2018", "2020"]}, "yaxis": {"range": [0.5, 2.1]}}
EMPTY = {"data": [{"x": [], "y": [], "name": s} for s in stocks().columns[1:]], "layout": AXES}

app = Dash(__name__, backend="quart")
server = app.server
buttons = [html.Button("Start", id="start"), html.Button("Stop", id="stop", n_clicks=0)]
app.layout = html.Div([*buttons, dcc.Graph(id="graph", figure=EMPTY, style={"height": "85vh"})])
start, stop = Input("start", "n_clicks"), Input("stop", "n_clicks")


@event_callback(start, cancel=[(stop, 0)], reset_props={"graph": {"figure": EMPTY}})
async def replay(_clicks: int) -> AsyncIterator[Update]:
    yield stream_props("graph", {"figure": EMPTY})
    for day, *prices in stocks().itertuples(index=False):
        yield stream_props("graph", {"extendData": {"x": [[day]] * 6, "y": [[p] for p in prices]}})
        await asyncio.sleep(0.05)


if __name__ == "__main__":
    app.run(debug=True)
