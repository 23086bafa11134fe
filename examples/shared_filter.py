"""A filter that all open pages share: what one user chooses, everybody sees at once.

Run: python -m examples.shared_filter
"""

from typing import Any

import dash_mantine_components as dmc
import plotly.express as px
from dash import Dash, Input, Output, State, callback, clientside_callback, dcc
from plotly import data

from flash_events import Subscription, shared_value

COUNTRIES = data.gapminder()
START = {"continent": "Europe", "year": "2007"}
TRANSPARENT = dict.fromkeys(("paper_bgcolor", "plot_bgcolor"), "rgba(0,0,0,0)")
chosen = shared_value("filter", START)  # one for all pages and all workers of the server


def select(name: str, label: str, choices: list[str]) -> dmc.Select:
    return dmc.Select(
        id=f"filter-{name}", label=label, data=choices, value=START[name], allowDeselect=False
    )


continents, years = sorted(COUNTRIES.continent.unique()), [*map(str, COUNTRIES.year.unique())]
controls = [select("continent", "Continent", continents), select("year", "Year", years)]
layout = dmc.Stack(
    [
        Subscription(chosen, id="filter-now"),
        dmc.Text("Open this page in a second window, and choose in either one.", size="sm"),
        dmc.SimpleGrid(controls, cols=2),
        dcc.Graph(id="filter-graph", responsive=True, style={"height": "max(320px, 55dvh)"}),
    ]
)


@callback(
    Input("filter-continent", "value"),
    Input("filter-year", "value"),
    State("filter-now", "message"),
    prevent_initial_call=True,
)
async def choose(continent: str, year: str, now: dict[str, str] | None) -> None:
    """Shares what this user has changed, and not what another page has changed here."""
    choice = {"continent": continent, "year": year}
    changed = {name: value for name, value in choice.items() if now and now[name] != value}
    if changed:
        await chosen.update(lambda old: {**old, **changed})


clientside_callback(  # in the browser, so that the controls never lag behind the message
    "now => now ? [now.continent, now.year] : Array(2).fill(dash_clientside.no_update)",
    Output("filter-continent", "value"),
    Output("filter-year", "value"),
    Input("filter-now", "message"),
)


@callback(
    Output("filter-graph", "figure"), Input("filter-now", "message"), prevent_initial_call=True
)
def draw(now: dict[str, str]) -> Any:
    is_shown = (COUNTRIES.continent == now["continent"]) & (COUNTRIES.year == int(now["year"]))
    countries = COUNTRIES[is_shown]
    figure = px.scatter(countries, x="gdpPercap", y="lifeExp", size="pop", hover_name="country")
    return figure.update_layout(font_color="#909296", margin={"t": 8, "r": 8}, **TRANSPARENT)


app = Dash(__name__, backend="quart", title="Shared filter")
app.layout = dmc.MantineProvider(dmc.Container(layout, size="lg", py="lg"))
server = app.server

if __name__ == "__main__":
    app.run(debug=True)
