"""All examples in one app, each with its source.

Run: python -m flash_events demo
"""

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import dash
import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, callback, dcc

from . import (
    cards,
    chat,
    form,
    frames,
    live_dashboard,
    log_tail,
    progress_table,
    quickstart,
    script_feed,
    shared_filter,
)

HEADER = 56
WITHOUT_UNDERLINE = {"textDecoration": "none", "color": "inherit"}
STYLE = """
/* More contrast than Mantine's own. */
:root[data-mantine-color-scheme]:root {
  --mantine-color-dimmed: light-dark(var(--mantine-color-gray-7), var(--mantine-color-dark-1));
}
/* The quickstart knows no dark pages: white becomes dark, and each color keeps its hue. */
[data-mantine-color-scheme="dark"] #graph { filter: invert(0.858) hue-rotate(180deg); }
"""


@dataclass(frozen=True)
class Example:
    """A module, and the part of the API that it shows."""

    module: ModuleType
    title: str
    sign: str
    color: str
    shows: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.module.__name__.rpartition(".")[2]

    @property
    def path(self) -> str:
        return "/" + self.name.replace("_", "-")

    @property
    def sentence(self) -> str:
        """Returns the docstring without the command that runs it."""
        return (self.module.__doc__ or "").partition("Run:")[0].strip()

    @property
    def source(self) -> str:
        return Path(str(self.module.__file__)).read_text("utf-8")

    @property
    def layout(self) -> Any:
        return getattr(self.module, "layout", None) or self.module.app.layout


EXAMPLES = [
    Example(quickstart, "Quickstart", "▶", "blue", ("cancel", "reset_props", "extendData")),
    Example(progress_table, "Table", "▦", "teal", ("overlap", "reset_props", "rowTransaction")),
    Example(live_dashboard, "Dashboard", "∿", "indigo", ("on_error", "running", "batches")),
    Example(chat, "Chat", "¶", "grape", ("cancel", "running", "State")),
    Example(log_tail, "Log tail", "≡", "orange", ("plain generator", "with", "cancel")),
    Example(form, "Form", "✓", "green", ("overlap", "reset_props", "components")),
    Example(cards, "Cards", "◫", "cyan", ("MATCH", "RunState", "several runs")),
    Example(frames, "Frames", "◉", "violet", ("plain generator", "images", "overlap")),
    Example(shared_filter, "Shared filter", "⇄", "pink", ("shared_value", "Subscription")),
    Example(script_feed, "Script feed", "⇉", "lime", ("topic", "Subscription", "threads")),
]


def sign(text: str, color: str, size: str) -> dmc.ThemeIcon:
    shades = f"light-dark(var(--mantine-color-{color}-9), var(--mantine-color-{color}-3))"
    return dmc.ThemeIcon(text, color=color, c=shades, variant="light", size=size, fw=700)


def tags(example: Example) -> dmc.Group:
    """Returns the part of the API that it shows."""
    badges = [dmc.Badge(text, variant="default", fw=500, tt="none") for text in example.shows]
    return dmc.Group(badges, gap=6)


def card(example: Example) -> dcc.Link:
    """An example on the index page."""
    head = dmc.Group(
        [sign(example.sign, example.color, "lg"), dmc.Text(example.title, fw=600, size="lg")],
        gap="sm",
    )
    text = dmc.Text(example.sentence, size="sm", c="dimmed", flex=1)
    body = dmc.Stack([head, text, tags(example)], h="100%")
    shown = dmc.Card(body, withBorder=True, padding="lg", h="100%")
    return dcc.Link(shown, href=example.path, style=WITHOUT_UNDERLINE)


def index() -> dmc.Stack:
    grid = dmc.SimpleGrid([card(one) for one in EXAMPLES], cols={"base": 1, "xs": 2, "lg": 3})
    title = dmc.Title("What streams into a Dash page", order=2)
    text = dmc.Text(
        "Small, complete apps. Start one, read its source beside it, and copy what you need. "
        "What you start ends by itself when you leave its page, and a script after a minute.",
        c="dimmed",
        maw=640,
    )
    return dmc.Container(dmc.Stack([title, text, grid]), size="lg", px=0, py="md")


def page(example: Example) -> dmc.Stack:
    """An example with its source, to the right or, in a small window, below."""
    title = dmc.Group([dmc.Title(example.title, order=3), tags(example)])
    copy = dmc.CopyButton(
        "Copy",
        value=example.source,
        copiedChildren="Copied",
        size="compact-xs",
        variant="default",
        ml="auto",
    )
    source = dmc.Paper(
        [
            dmc.Group([dmc.Text(f"{example.name}.py", size="sm", fw=600), copy], px="md", py="xs"),
            dmc.CodeHighlight(
                id="gallery-source",
                code=example.source,
                language="python",
                withCopyButton=False,  # it would cover the first line
                fz=12,
                styles={"scrollarea": {"height": f"calc(100dvh - {HEADER + 170}px)"}},
            ),
        ],
        withBorder=True,
        style={"overflow": "hidden"},  # at the round corners
    )
    columns = {"base": 12, "lg": 6}
    grid = dmc.Grid([dmc.GridCol(example.layout, span=columns), dmc.GridCol(source, span=columns)])
    return dmc.Stack([title, dmc.Text(example.sentence, c="dimmed"), grid])


app = Dash(__name__, backend="quart", use_pages=True, pages_folder="", title="flash_events")
app.index_string = app.index_string.replace("</head>", f"<style>{STYLE}</style></head>")
server = app.server
dash.register_page("index", path="/", title="flash_events: examples", layout=index())
for one in EXAMPLES:
    dash.register_page(
        one.name,
        path=one.path,
        title=f"{one.title} · flash_events",
        description=one.sentence,
        layout=page(one),
    )
links = [
    dmc.NavLink(label=title, href=path, active="exact", leftSection=sign(text, color, "sm"))
    for title, path, text, color in [
        ("All examples", "/", "⌂", "gray"),
        *((one.title, one.path, one.sign, one.color) for one in EXAMPLES),
    ]
]
header = dmc.Group(
    [
        dmc.Burger(id="gallery-burger", opened=False, hiddenFrom="sm", size="sm"),
        dcc.Link(dmc.Text("flash_events", fw=700), href="/", style=WITHOUT_UNDERLINE),
        dmc.ColorSchemeToggle(lightIcon="☾", darkIcon="☀", variant="default", size="lg", ml="auto"),
    ],
    h="100%",
    px="md",
)
app.layout = dmc.MantineProvider(
    [
        dmc.NotificationContainer(id="notifications", position="bottom-right"),
        dmc.AppShell(
            [
                dmc.AppShellHeader(header),
                dmc.AppShellNavbar(links, p="sm"),
                dmc.AppShellMain(dash.page_container),
            ],
            id="gallery-shell",
            header={"height": HEADER},
            navbar={"width": 200, "breakpoint": "sm", "collapsed": {"mobile": True}},
            padding="md",
        ),
    ],
    defaultColorScheme="auto",
)


@callback(
    Output("gallery-shell", "navbar"),
    Input("gallery-burger", "opened"),
    State("gallery-shell", "navbar"),
)
def show_navigation(is_open: bool, navbar: dict[str, Any]) -> dict[str, Any]:
    """Opens and closes the navigation in small windows."""
    return {**navbar, "collapsed": {"mobile": not is_open}}


@callback(Output("gallery-burger", "opened"), Input("_pages_location", "pathname"))
def hide_navigation(_path: str) -> bool:
    """Closes the navigation after a page was chosen."""
    return False


if __name__ == "__main__":
    app.run(debug=True)
