"""A filter that all open pages share: what one user chooses, everybody sees at once.

Run: python -m examples.shared_filter
"""

from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, callback, clientside_callback, dcc
from plotly import data

from flash_events import Subscription, shared_value

COUNTRIES = data.gapminder()
START = {"continent": "Europe", "year": "2007"}
AXIS = {"gridcolor": "rgba(128,128,128,0.2)", "zeroline": False}
LOOK = {
    **dict.fromkeys(("paper_bgcolor", "plot_bgcolor"), "rgba(0,0,0,0)"),
    **{"margin": {"l": 50, "r": 8, "t": 8, "b": 44}, "font": {"color": "#909296"}},
    "xaxis": {**AXIS, "type": "log", "range": [2.3, 5.1], "title": {"text": "GDP per head ($)"}},
    "yaxis": {**AXIS, "range": [20, 90], "title": {"text": "Life expectancy"}},
}
chosen = shared_value("filter", START)  # one for all pages and all workers of the server


def select(name: str, choices: list[str]) -> dmc.Select:
    shown = {"label": name.title(), "data": choices, "allowDeselect": False}
    return dmc.Select(id=f"filter-{name}", value=START[name], **shown)


continents, years = sorted(COUNTRIES.continent.unique()), [*map(str, COUNTRIES.year.unique())]
controls = [select("continent", continents), select("year", years)]
layout = dmc.Stack(
    [
        Subscription(chosen, id="filter-now"),
        dmc.Text("Open this page in a second window, and choose in either one.", size="sm"),
        dmc.SimpleGrid(controls, cols=2),
        dcc.Graph(id="filter-graph", config={"displayModeBar": False}),
    ]
)


@callback(
    Input("filter-continent", "value"),
    Input("filter-year", "value"),
    State("filter-now", "message"),
    prevent_initial_call=True,
)
async def choose(continent: str, year: str, now: dict[str, str]) -> None:
    """Shares what this user has changed, and not what another page has changed here."""
    choice = {"continent": continent, "year": year}
    changed = {name: value for name, value in choice.items() if now[name] != value}
    if changed:
        await chosen.update(lambda old: {**old, **changed})


clientside_callback(  # in the browser, so that the controls never lag behind the message
    "now => [now.continent, now.year]",
    Output("filter-continent", "value"),
    Output("filter-year", "value"),
    Input("filter-now", "message"),
)


@callback(Output("filter-graph", "figure"), Input("filter-now", "message"))
def draw(now: dict[str, str]) -> Any:
    is_shown = (COUNTRIES.continent == now["continent"]) & (COUNTRIES.year == int(now["year"]))
    shown = COUNTRIES[is_shown]
    marker = {"size": (shown["pop"] ** 0.5 / 400).clip(lower=6), "color": "#e64980"}
    points = {"x": shown.gdpPercap, "y": shown.lifeExp, "text": shown.country, "marker": marker}
    return {"data": [{**points, "mode": "markers"}], "layout": LOOK}


app = Dash(__name__, backend="quart", title="Shared filter")
app.layout = dmc.MantineProvider(dmc.Container(layout, size="lg", py="lg"))
server = app.server

if __name__ == "__main__":
    app.run(debug=True)
