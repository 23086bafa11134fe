"""Random programs: a part of a page, and updates for it, both made from a seed."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import Any

import dash_ag_grid as dag
import dash_mantine_components as dmc
from dash import ALL, Patch, dcc, html
from dash.development.base_component import Component

from flash_events import Update, stream_props

Id = str | dict[str, Any]
Pair = tuple[Id, dict[str, Any]]

WITH_GRAPH = 0.07
WITH_GRID = 0.1
"""Share of the programs that have a graph, and a grid; both are slow."""


@dataclass(frozen=True)
class Program:
    """The initial components of a place of the page, and the updates for it.

    Attributes:
        singles: the same updates in the same order, each with one prop of one target.
        pairs: how many pairs of target and props the program has without `keep`.
        is_slow: whether it has a graph or a grid.
    """

    layout: list[Any]
    updates: list[Update]
    singles: list[Update]
    pairs: int
    is_slow: bool


@lru_cache(256)
def program(seed: int, place: str, keep: tuple[int, ...] | None = None) -> Program:
    """Make the program of a seed for a place of the page.

    Args:
        seed: the same seed makes the same program for every place.
        place: the prefix of its string ids, and the value of `in` in its dict ids.
        keep: the numbers of those pairs of target and props that are kept; None keeps all.
    """
    writer = _Writer(seed, place)
    layout = writer.layout()
    updates, singles = [], []
    numbers = count()
    for _ in range(writer.random.randint(3, 9)):
        pairs, alone = writer.pairs(), writer.chance(0.05)
        kept = [one for one in pairs if next(numbers) in (keep or ()) or keep is None]
        if kept:
            updates.append(stream_props(kept, alone=alone))
        for target, props in kept:
            singles += [stream_props(target, {prop: value}) for prop, value in props.items()]
    return Program(layout, updates, singles, next(numbers), writer.has_graph or writer.has_grid)


class _Writer:
    """Draws components and updates at random.

    Everything with an id has a number. A number stays in the container that it was drawn in, so
    that a container which is drawn anew may have the same ids again, and no id comes twice.
    """

    def __init__(self, seed: int, place: str) -> None:
        self.random = random.Random(seed)
        self.place = place
        self._numbers = count(1)
        self._texts = count(1)
        self._drawn: dict[str, list[int]] = {}
        self._kinds: dict[str, list[int]] = {"text": [], "card": [], "body": [], "alert": []}
        self._rows: list[str] = []
        self.has_graph = self.chance(WITH_GRAPH)
        self.has_grid = self.chance(WITH_GRID)

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def layout(self) -> list[Any]:
        return [
            html.Div(self.nodes("box"), id=self.name("box")),
            html.Div(self.nodes("list"), id=self.name("list")),
            html.Div(self.text(), id=self.name("note")),
            dmc.Badge(self.text(), leftSection=self.node("badge", 1), id=self.name("badge")),
            dcc.Store(id=self.name("store"), data={"n": 0, "items": []}),
            html.Div([self.graph()] if self.has_graph else [], id=self.name("graphs")),
            html.Div([self.grid()] if self.has_grid else [], id=self.name("grids")),
        ]

    # Components

    def name(self, name: str) -> str:
        return f"{self.place}-{name}"

    def id(self, kind: str, number: int | Any) -> Id:
        """A third of all ids are strings, which ALL does not match."""
        if number is not ALL and number % 3 == 0:
            return self.name(f"{kind}{number}")
        return {kind: number, "in": self.place}

    def text(self) -> str:
        return f"text {next(self._texts)}"

    def number(self, container: str, fresh: bool = False) -> int:
        """Returns a number for a component in a container, often an existing one."""
        drawn = self._drawn.setdefault(container, [])
        if drawn and not fresh and self.chance(0.6):
            return self.random.choice(drawn)
        drawn.append(next(self._numbers))
        return drawn[-1]

    def nodes(self, container: str, depth: int = 0) -> list[Any]:
        """Returns children for a container, each with another number."""
        numbers = dict.fromkeys(self.number(container) for _ in range(self.random.randint(0, 3)))
        nodes = [self.node(container, depth, number) for number in numbers]
        if self.chance(0.1):
            nodes.append(self.text())
        return nodes

    def node(self, container: str, depth: int, number: int | None = None) -> Any:
        number = number or self.number(container)
        text = html.Span(self.text(), id=self.id("text", number))
        self._kinds["text"].append(number)
        kind = self.random.random()
        if kind < 0.45 or depth > 1:
            return text
        if kind < 0.65:
            section = self.node(f"section{number}", 2)
            self._kinds["alert"].append(number)
            return dmc.Alert(self.text(), title=section, id=self.id("alert", number))
        for one in ("card", "body"):
            self._kinds[one].append(number)
        body = html.Div(self.nodes(f"body{number}", depth + 1), id=self.id("body", number))
        return html.Div([text, body], id=self.id("card", number))

    def graph(self) -> dcc.Graph:
        return dcc.Graph(id=self.name("graph"), figure=self.figure(), style={"height": "150px"})

    def figure(self) -> dict[str, Any]:
        return {"data": [self.points(2), self.points(1)], "layout": {"title": self.text()}}

    def points(self, length: int) -> dict[str, list[int]]:
        numbers = [next(self._texts) for _ in range(length)]
        return {"x": numbers, "y": [-number for number in numbers]}

    def grid(self) -> dag.AgGrid:
        return dag.AgGrid(
            id=self.name("grid"),
            columnDefs=[{"field": "id"}, {"field": "text"}],
            rowData=self.rows(2),
            getRowId="params.data.id",
            style={"height": "150px"},
        )

    def rows(self, length: int) -> list[dict[str, str]]:
        self._rows += (made := [f"r{next(self._texts)}" for _ in range(length)])
        return [{"id": row, "text": self.text()} for row in made]

    # Updates

    def pairs(self) -> list[Pair]:
        """Returns the targets and props of one update."""
        length = self.random.randint(2, 4) if self.chance(0.3) else 1
        return [self.pair() for _ in range(length)]

    def pair(self) -> Pair:
        ways: list[tuple[float, Callable[[], Pair]]] = [
            (3, self.draw_container),
            (4, self.set_one),
            (2.5, self.set_all),
            (3, self.patch_list),
            (1, self.patch_one),
            (1, self.draw_section),
            (0.7, self.patch_store),
            (5 * self.has_graph, self.command_graph),
            (1.2 * self.has_graph, lambda: self.draw_slow("graphs", self.graph)),
            (6 * self.has_grid, self.command_grid),
            (1.2 * self.has_grid, lambda: self.draw_slow("grids", self.grid)),
        ]
        weights = [weight for weight, _ in ways]
        [(_, make)] = self.random.choices(ways, weights)
        return make()

    def some(self, kind: str) -> int:
        """Returns the number of a component of a kind, often a new one; it may not exist."""
        drawn = self._kinds[kind]
        if self.chance(0.1) or not drawn:
            return self.random.randint(1, 20)
        return self.random.choice(drawn[-4:] if self.chance(0.5) else drawn)

    def draw_container(self) -> Pair:
        """Redraws a container, even in another one."""
        if self.chance(0.5):
            container = self.random.choice(["box", "list"])
            return self.name(container), {"children": self.nodes(container), **self.looks(0.2)}
        kind = self.random.choice(["body", "body", "card"])
        number = self.some(kind)
        children = self.text() if self.chance(0.2) else self.nodes(f"body{number}", 1)
        return self.id(kind, number), {"children": children}

    def looks(self, share: float = 1) -> dict[str, Any]:
        """Returns props that draw no components."""
        if not self.chance(share):
            return {}
        if self.chance(0.5):
            return {"className": self.text()}
        return {"style": {"order": next(self._texts)}}

    def set_one(self) -> Pair:
        if self.chance(0.1):
            return self.name("note"), {"children": self.text(), **self.looks(0.5)}
        kind = self.random.choice(["text", "text", "text", "card", "alert"])
        target = self.id(kind, self.some(kind))
        if kind == "card" or self.chance(0.2):
            return target, self.looks()
        return target, {"children": self.text(), **self.looks(0.1)}

    def set_all(self) -> Pair:
        kind = self.random.choice(["text", "text", "body", "card", "alert"])
        target = self.id(kind, ALL)
        if kind == "alert" and self.chance(0.5):
            return target, {"title": html.I(self.text())}
        if kind in ("text", "body") or self.chance(0.2):
            return target, {"children": self.text(), **self.looks(0.1)}
        return target, self.looks()

    def draw_section(self) -> Pair:
        """Draws a component that is not in `children`."""
        if self.chance(0.4):
            return self.name("badge"), {"leftSection": self.node("badge", 1)}
        number = self.some("alert")
        section = self.node(f"section{number}", 1)
        return self.id("alert", number), {"title": section, **self.looks(0.2)}

    def patch_list(self) -> Pair:
        """Returns a Patch of children that adds only new components."""
        patch = Patch()
        for _ in range(self.random.choice([1, 1, 2])):
            node = self.node("list", 0, self.number("list", fresh=True))
            way = self.random.choice(["append"] * 4 + ["prepend", "insert", "extend", "clear"])
            if way in ("append", "prepend"):
                getattr(patch, way)(node)
            elif way == "insert":
                patch.insert(self.random.randint(0, 2), node)
            elif way == "extend":
                more = self.node("list", 0, self.number("list", fresh=True))
                patch.extend([node, more])
            elif self.chance(0.3):
                patch.clear()
            else:
                del patch[0]
        return self.name("list"), {"children": patch}

    def patch_one(self) -> Pair:
        """Returns a Patch of the children of a nested container, or of all of them."""
        number = ALL if self.chance(0.3) else self.some("body")
        patch = Patch()
        if number is ALL:
            getattr(patch, self.random.choice(["append", "prepend"]))(self.text())
        else:
            container = f"body{number}"
            patch.append(self.node(container, 2, self.number(container, fresh=True)))
        return self.id("body", number), {"children": patch}

    def patch_store(self) -> Pair:
        if self.chance(0.3):
            return self.name("store"), {"data": {"n": next(self._texts), "items": []}}
        patch = Patch()
        patch["items"].append(next(self._texts))
        if self.chance(0.5):
            patch["n"] += 1
        return self.name("store"), {"data": patch}

    def draw_slow(self, container: str, make: Callable[[], Component]) -> Pair:
        """Redraws a graph or grid, or moves it among its siblings."""
        if self.chance(0.6):
            return self.name(container), {"children": [make()]}
        patch = Patch()
        getattr(patch, self.random.choice(["append", "prepend"]))(html.Span(self.text()))
        return self.name(container), {"children": patch}

    def command_graph(self) -> Pair:
        target = self.name("graph")
        if self.chance(0.2):
            props: dict[str, Any] = {"figure": self.figure()}
            return target, props | ({"extendData": self.extension()} if self.chance(0.3) else {})
        if self.chance(0.1):
            patch = Patch()
            patch["layout"]["title"] = self.text()
            return target, {"figure": patch}
        prop = "extendData" if self.chance(0.75) else "prependData"
        return target, {prop: self.extension()}

    def extension(self) -> Any:
        traces = self.random.choice([[0], [1], [0, 1], [1, 0]])
        if self.chance(0.05):
            traces = [7]  # the graph has no such trace
        each = [self.points(self.random.randint(1, 2)) for _ in traces]
        data = {axis: [points[axis] for points in each] for axis in ("x", "y")}
        if self.chance(0.35):
            return [data, traces, self.random.randint(2, 4)]
        return data if len(traces) == 2 and self.chance(0.5) else [data, traces]

    def command_grid(self) -> Pair:
        target = self.name("grid")
        if self.chance(0.12):
            props: dict[str, Any] = {"rowData": self.rows(self.random.randint(0, 2))}
            return target, props | ({"rowTransaction": self.change()} if self.chance(0.3) else {})
        return target, {"rowTransaction": self.change()}

    def change(self) -> dict[str, Any]:
        """Returns a transaction; the rows that it updates or removes may not exist."""
        parts = self.random.choice([["add"], ["add"], ["update"], ["update"], ["remove"],
                                    ["add", "update"], ["add", "remove"]])  # fmt: skip
        change: dict[str, Any] = {}
        known = list(self._rows)
        for part in parts:
            if part == "add":
                change["add"] = self.rows(self.random.randint(1, 2))
                if self.chance(0.2):
                    change["addIndex"] = 0
            else:
                row = self.random.choice(known)
                change[part] = [{"id": row, "text": self.text()}]
        if self.chance(0.4):
            change["async"] = self.chance(0.3)
        return change
