"""A snapshot gives a new page the state after all updates, and stays small."""

import copy
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dash import ALL, Patch, dcc, html
from hypothesis import given, settings
from hypothesis import strategies as st

from flash_events import Update, bridge
from flash_events.runs.snapshot import COMMANDS, Snapshot
from flash_events.wire import events
from flash_events.wire.json import to_json

MIB = 1024 * 1024
TRACES = 3

CARDS = [{"type": "card", "index": 1}, {"type": "card", "index": 2}]
EVERY_CARD = {"type": "card", "index": ALL}
IDS: list[Any] = ["graph", *CARDS, EVERY_CARD]


class ModelPage:
    """A minimal model of a page and of the updates' effects.

    A Patch of a figure affects all points that exist; a new figure has none of them.
    """

    def __init__(self) -> None:
        self.props: dict[tuple[str, str], list[Any]] = defaultdict(list)
        self.points: dict[tuple[str, str, int], list[Any]] = defaultdict(list)
        self.rows: dict[str, list[Any]] = defaultdict(list)

    def apply(self, body: bytes) -> None:
        for wire_id, props in json.loads(b"{%b}" % body)["set"]:
            for component in self._meant(wire_id):
                for prop, value in props.items():
                    self._set(component, prop, value)

    def shown(self) -> Any:
        """Returns the visible state."""
        points = {key: trace for key, trace in self.points.items() if trace}
        rows = {component: rows for component, rows in self.rows.items() if rows}
        return dict(self.props), points, rows

    @staticmethod
    def _meant(wire_id: str) -> list[str]:
        if '["ALL"]' not in wire_id:
            return [wire_id]
        return [wire_id.replace('["ALL"]', str(card["index"])) for card in CARDS]

    def _set(self, component: str, prop: str, value: Any) -> None:
        is_patch = isinstance(value, dict) and "__dash_patch_update" in value
        match prop:
            case "extendData" | "prependData":
                self._move(component, value, prop == "extendData")
            case "rowTransaction":
                self.rows[component].append(value)
            case "sendNotifications":
                pass  # shown, and over
            case _ if is_patch:
                self.props[component, prop].append(value["operations"])
                if prop == "figure":
                    for key in self._traces(component):
                        self.points[key] = [["patched", point] for point in self.points[key]]
            case _:
                self.props[component, prop] = [value]
                if prop == "figure":
                    for key in self._traces(component):
                        del self.points[key]
                if prop == "rowData":
                    self.rows.pop(component, None)

    def _traces(self, component: str) -> list[tuple[str, str, int]]:
        return [key for key in self.points if key[0] == component]

    def _move(self, component: str, value: Any, is_after: bool) -> None:
        arrays, indices, most = [*(value if isinstance(value, list) else [value]), None, None][:3]
        for key, columns in arrays.items():
            for n, points in enumerate(columns):
                place = component, key, (n if indices is None else indices[n]) % TRACES
                before = self.points[place]
                joined = before + points if is_after else points + before
                if most is not None and 0 <= most < len(joined):
                    joined = joined[len(joined) - most :] if is_after else joined[:most]
                self.points[place] = joined


def patch(n: int) -> Patch:
    made = Patch()
    made["key"] = n
    return made


numbers = st.integers(0, 99)
columns = st.lists(numbers, max_size=4)
indices = st.one_of(
    st.none(),
    st.lists(st.integers(0, TRACES - 1), min_size=1, max_size=2),  # the same one twice, too
    st.just([-1]),
)
most = st.one_of(st.none(), st.integers(-1, 6))


@st.composite
def moved_points(draw: st.DrawFn) -> Any:
    traces = draw(indices)
    count = draw(st.integers(1, TRACES)) if traces is None else len(traces)
    keys = draw(st.sampled_from([["y"], ["x", "y"]]))
    data = {key: [draw(columns) for _ in range(count)] for key in keys}
    if traces is None and draw(st.booleans()):
        return data
    return [data, traces, draw(most)]


settables = st.one_of(
    st.tuples(st.sampled_from(["children", "figure", "rowData"]), numbers),
    st.tuples(st.sampled_from(["children", "figure", "rowData"]), numbers.map(patch)),
    st.tuples(st.sampled_from(["extendData", "extendData", "prependData"]), moved_points()),
    st.tuples(st.just("rowTransaction"), st.fixed_dictionaries({"add": st.lists(numbers)})),
    st.tuples(st.just("sendNotifications"), st.just([{"message": "hello"}])),
)
targets = st.tuples(st.sampled_from(IDS), st.lists(settables, max_size=2).map(dict))
updates = st.tuples(st.lists(targets, min_size=1, max_size=2), st.booleans())


def encoded(targets: Any, alone: bool = False) -> bytes:
    """An update with arbitrary values, as a client of another version may have sent it."""
    return events.encode_parted(Update(tuple(targets), alone), MIB)


def folded(*props: dict[str, Any], component: Any = "graph", limit_bytes: int = MIB) -> Snapshot:
    """Returns a snapshot of one update for each of these props."""
    snapshot = Snapshot(limit_bytes)
    for one in props:
        snapshot.add(encoded([(component, one)]))
    return snapshot


def sets(snapshot: Snapshot) -> list[Any]:
    """Returns all settings of the snapshot, in order."""
    return [target for body in snapshot.bodies() for target in targets_in(body)]


def targets_in(body: bytes) -> list[Any]:
    found: list[Any] = json.loads(b"{%b}" % body)["set"]
    return found


@settings(max_examples=200, deadline=None)
@given(st.lists(updates, max_size=25))
def test_it_gives_a_new_page_the_state_after_all_updates(sent: list[Any]) -> None:
    watched, fresh, snapshot = ModelPage(), ModelPage(), Snapshot(MIB)
    for pairs, alone in sent:
        body = encoded(pairs, alone)
        watched.apply(body)
        snapshot.add(body)
        assert snapshot.size >= 0
    for body in snapshot.bodies():
        fresh.apply(body)
    assert fresh.shown() == watched.shown()
    assert snapshot.is_complete


HOMES: dict[str, Any] = {"outer": {"box": {"g": {}, "card1": {}}}, "side": {"card2": {}, "g": {}}}
"""Components that may be drawn inside each other; `outer` and `side` are always on the page."""

CARD_IDS = {"card1": CARDS[0], "card2": CARDS[1]}
PLACES = ["outer", "box", "side"]


def inside(home: str, homes: dict[str, Any] = HOMES) -> dict[str, Any]:
    """Returns the ids that may be drawn inside a component."""
    for name, inner in homes.items():
        if name == home:
            found: dict[str, Any] = inner
            return found
        if found := inside(home, inner):
            return found
    return {}


def drawing(name: str, children: Any = None, title: Any = None) -> html.Div:
    return html.Div(children, id=CARD_IDS.get(name, name), title=title)


class ModelTree:
    """A model of nested components: drawing a container redraws everything inside."""

    def __init__(self) -> None:
        layout = [
            drawing("outer", [drawing("box", [drawing("g"), drawing("card1")])]),
            drawing("side", [drawing("card2", "as laid out")]),
        ]
        self.layout = json.loads(to_json(layout))

    def apply(self, targets: list[Any]) -> bool:
        """Sets props; returns whether each component exists and each id is unique."""
        is_there = True
        for wire_id, props in targets:
            meant = self._meant(wire_id)
            is_there = is_there and (bool(meant) or '["ALL"]' in wire_id)
            for component in meant:
                for prop, value in props.items():
                    self._set(component, prop, value)
            is_there = is_there and not self._has_twins()
        return is_there

    def _has_twins(self) -> bool:
        ids = [bridge.wire_id(props["id"]) for props in self._walk(self.layout)]
        return len(set(ids)) < len(ids)

    def _walk(self, value: Any) -> Iterator[dict[str, Any]]:
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict):
                yield one["props"]
                yield from self._walk(one["props"].get("children"))

    def _meant(self, wire_id: str) -> list[dict[str, Any]]:
        components = list(self._walk(self.layout))
        if '["ALL"]' in wire_id:
            return [props for props in components if isinstance(props["id"], dict)]
        return [props for props in components if bridge.wire_id(props["id"]) == wire_id]

    def _set(self, props: dict[str, Any], prop: str, value: Any) -> None:
        value = copy.deepcopy(value)
        if isinstance(value, dict) and "__dash_patch_update" in value:
            if isinstance(props.get(prop), list):
                props[prop] += [one["params"]["value"] for one in value["operations"]]
        elif prop == "extendData":
            props.setdefault("points", []).extend(value[0]["y"][0])
        else:
            if prop == "figure":
                props.pop("points", None)
            props[prop] = value


texts = st.sampled_from(["a", "b"])


@st.composite
def drawn_inside(draw: st.DrawFn, home: str) -> Any:
    """Returns a text, or some of the components that belong there."""
    names = [name for name in inside(home) if draw(st.integers(0, 3))]
    if not names:
        return draw(texts)
    return [drawing(one, draw(drawn_inside(one)), draw(st.none() | texts)) for one in names]


@st.composite
def placed(draw: st.DrawFn) -> tuple[Any, dict[str, Any]]:
    """Returns a target and its props: a redrawn container, or a change inside it."""
    place = draw(st.sampled_from(PLACES))
    kind = draw(st.sampled_from(["draw", "draw", "append", "title", "figure", "extend", "extend"]))
    match kind:
        case "draw":
            return place, {"children": draw(drawn_inside(place))}
        case "append":
            appended = Patch()
            [*_, name] = inside(place)
            appended.append(draw(texts | st.just(drawing(name, "appended"))))
            return place, {"children": appended}
        case "title":
            target = st.sampled_from(["box", "g", CARDS[0], EVERY_CARD])
            return draw(target), {"title": draw(texts)}
        case "figure":
            return "g", {"figure": draw(texts)}
    target = st.sampled_from(["g", "g", CARDS[0], EVERY_CARD])
    return draw(target), {"extendData": [{"y": [[draw(numbers)]]}, [0]]}


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(placed(), min_size=1, max_size=3), max_size=20))
def test_p3_settings_inside_a_container_are_in_a_snapshot(sent: list[Any]) -> None:
    watched, fresh, snapshot = ModelTree(), ModelTree(), Snapshot(MIB)
    for pairs in sent:
        body = encoded(pairs)
        after = copy.deepcopy(watched)
        if after.apply(targets_in(body)):  # else it is a mistake
            watched = after
            snapshot.add(body)
            assert snapshot.size >= 0
    fresh.apply(sets(snapshot))
    assert fresh.layout == watched.layout


def test_p3_points_after_a_redraw_are_not_joined_to_those_before() -> None:
    snapshot = Snapshot(MIB)
    point = {"extendData": [{"y": [[1]]}, [0], 9]}
    for targets in ([("g", point)], [("box", {"children": [drawing("x")]})], [("g", point)]):
        snapshot.add(encoded(targets))
    assert [target for target, _ in sets(snapshot)] == ["g", "box", "g"]


def test_p3_a_set_after_a_redraw_comes_after_it() -> None:
    snapshot = Snapshot(MIB)
    cards = [html.Div("new", id=one) for one in CARDS]
    snapshot.add(encoded([("child", {"children": "A"}), ("box", {"children": drawing("child")})]))
    snapshot.add(encoded([("child", {"children": "B"}), (EVERY_CARD, {"children": "marked"})]))
    snapshot.add(encoded([("cards", {"children": cards}), (EVERY_CARD, {"children": "marked"})]))
    assert [target for target, _ in sets(snapshot)] == [
        "box",
        "child",
        "cards",
        bridge.wire_id(EVERY_CARD),
    ]


def test_p3_settings_that_a_redraw_replaces_are_dropped() -> None:
    """A run that repeatedly draws rows under new ids does not fill its snapshot."""
    snapshot, sizes = Snapshot(MIB), []
    for n in range(50):
        row = {"type": "row", "index": n}
        snapshot.add(encoded([("table", {"children": [html.Tr(html.Td(id=row), id=f"row{n}")]})]))
        snapshot.add(encoded([(row, {"children": patch(n)}), (f"row{n}", {"title": n})]))
        sizes.append(snapshot.size)
    assert [target for target, _ in sets(snapshot)] == ["table", bridge.wire_id(row), "row49"]
    assert max(sizes) < 2 * sizes[0]


def test_p3_values_that_only_look_like_components_replace_nothing() -> None:
    """A Store may contain a layout, which it does not draw."""
    snapshot = folded({"title": "t"}, component="child")
    snapshot.add(encoded([("store", {"data": drawing("child")})]))
    snapshot.add(encoded([("box", {"children": dcc.Store(id="inner", data=[drawing("child")])})]))
    assert [target for target, _ in sets(snapshot)] == ["child", "store", "box"]


def test_the_last_value_of_a_state_prop_is_kept_and_the_others_are_counted() -> None:
    snapshot = folded(*({"children": n} for n in range(1_000)))
    assert sets(snapshot) == [["graph", {"children": 999}]]
    assert snapshot.collapsed == 999
    assert snapshot.size < 100


def test_patches_and_transactions_are_kept_in_order_until_a_new_value_clears_them() -> None:
    added = [{"rowTransaction": {"add": [n]}} for n in range(3)]
    patched = [{"children": patch(n)} for n in range(3)]
    snapshot = folded(*added, *patched)
    assert [next(iter(props)) for _, props in sets(snapshot)] == ["rowTransaction"] * 3 + [
        "children"
    ] * 3
    snapshot.add(encoded([("graph", {"rowData": []}), ("graph", {"children": 1})]))
    assert sets(snapshot) == [["graph", {"rowData": []}], ["graph", {"children": 1}]]


def test_notifications_are_left_out() -> None:
    snapshot = folded({"sendNotifications": [{"message": "hello"}]})
    assert (sets(snapshot), snapshot.size) == ([], 0)


def test_an_update_that_is_alone_stays_alone() -> None:
    snapshot = Snapshot(MIB)
    for n in range(3):
        snapshot.add(encoded([("graph", {"extendData": [{"y": [[n]]}, [0], 9]})], alone=True))
    bodies = snapshot.bodies()
    assert len(bodies) == 3
    assert all(json.loads(b"{%b}" % body)["alone"] is True for body in bodies)


def test_points_are_joined_and_trimmed_to_max_points() -> None:
    snapshot = folded(*({"extendData": [{"x": [[n]], "y": [[-n]]}, [0], 3]} for n in range(1_000)))
    kept = {"x": [[997, 998, 999]], "y": [[-997, -998, -999]]}
    assert sets(snapshot) == [["graph", {"extendData": [kept, [0], 3]}]]


@pytest.mark.parametrize("traces", [[[0]], [[0], [1]], [[0, 1], [2], [0, 1]]])
def test_points_with_a_limit_have_a_constant_cost(traces: list[list[int]]) -> None:
    snapshot = Snapshot(MIB)
    sizes = []
    for n in range(5_000):
        which = traces[n % len(traces)]
        value = [{"y": [[n] for _ in which]}, which, 100]
        snapshot.add(encoded([("graph", {"extendData": value})]))
        sizes.append(snapshot.size)
    assert sum(len(json.dumps(pair)) for pair in sets(snapshot)) < 10_000
    assert max(sizes) < 30_000
    assert not snapshot.is_full


@pytest.mark.parametrize("limit", [-1, -1000, 0])
def test_the_size_is_never_negative_whatever_max_points_says(limit: int) -> None:
    values = ({"extendData": [{"y": [[n] * 10]}, [0], limit]} for n in range(20))
    snapshot = folded(*values)
    assert snapshot.size >= 0
    [[_, props]] = sets(snapshot)
    assert len(props["extendData"][0]["y"][0]) == (0 if limit == 0 else 200)


@pytest.mark.parametrize(
    "value",
    [
        [{"y": [{"dtype": "f8", "bdata": "AAAAAAAA8D8="}]}, [0], 5],  # a typed array
        [{"y": {"dtype": "f8", "bdata": "AAAAAAAA8D8="}}, [0], 5],
        [{"y": [[1]]}, [0], {"y": [5]}],
        [{"y": [[1]]}, 0, 5],
        [{"y": [[1]]}, [-1], 5],
        [{"y": [[1], [2]]}, [0, 0], 5],
        [{"y": [[1]]}, [0], True],
        [{"y": 1}],
        [None, [0], 5],
        [],
        None,
        "text",
        7,
    ],
    ids=json.dumps,
)
def test_odd_values_are_kept_unchanged_and_in_order(value: Any) -> None:
    plain = [{"y": [[1]]}, [0], 5]
    snapshot = folded(*({"extendData": one} for one in (plain, value, value, plain)))
    assert [props["extendData"] for _, props in sets(snapshot)] == [plain, value, value, plain]


def test_extensions_with_other_keys_or_limits_are_not_joined() -> None:
    values = [
        [{"y": [[1]]}, [0], 5],
        [{"y": [[1]]}, [0], 6],
        [{"x": [[1]]}, [0], 6],
        [{"x": [[1]], "y": [[1]]}, [0], 6],
    ]
    snapshot = folded(*({"extendData": value} for value in values))
    assert [props["extendData"] for _, props in sets(snapshot)] == values


@pytest.mark.parametrize("between", [{"figure": patch(1)}, {"prependData": {"y": [[0]]}}])
def test_points_are_not_joined_across_an_update_that_moves_points(between: dict[str, Any]) -> None:
    extended = {"extendData": [{"y": [[1]]}, [0], 5]}
    snapshot = folded(extended, between, extended)
    assert [next(iter(props)) for _, props in sets(snapshot)] == [
        "extendData",
        next(iter(between)),
        "extendData",
    ]


@pytest.mark.parametrize(("first", "second"), [(EVERY_CARD, CARDS[0]), (CARDS[0], EVERY_CARD)])
def test_points_are_not_joined_across_another_id_of_the_same_graph(first: Any, second: Any) -> None:
    snapshot = Snapshot(MIB)
    for n, component in enumerate((first, second, first)):
        snapshot.add(encoded([(component, {"extendData": [{"y": [[n]]}, [0], 5]})]))
    assert [props["extendData"][0]["y"] for _, props in sets(snapshot)] == [[[0]], [[1]], [[2]]]


def test_it_is_full_at_its_limit() -> None:
    snapshot = folded(*({"children": patch(n)} for n in range(5)), limit_bytes=1_000)
    assert not snapshot.is_full
    snapshot.add(encoded([("graph", {"data": "x" * 1_000})]))
    assert snapshot.is_full
    snapshot.add(encoded([("graph", {"data": "small again"})]))
    assert not snapshot.is_full


def test_an_abandoned_snapshot_is_empty() -> None:
    snapshot = folded({"children": 1}, {"children": patch(1)})
    snapshot.abandon()
    snapshot.add(encoded([("graph", {"children": 2})]))
    assert (snapshot.bodies(), snapshot.size, snapshot.is_complete, snapshot.is_full) == (
        [],
        0,
        False,
        False,
    )


@pytest.mark.parametrize(
    ("props", "is_idempotent"),
    [
        ([], True),
        ([{"children": 1}, {"figure": {}}], True),
        ([{"sendNotifications": []}], True),
        ([{"children": patch(1)}], False),
        ([{"children": patch(1)}, {"children": 2}], True),
        ([{"extendData": {"y": [[1]]}}], False),
        ([{"extendData": {"y": [[1]]}}, {"figure": {}}], True),
        ([{"rowTransaction": {"add": []}}], False),
        ([{"rowTransaction": {"add": []}}, {"rowData": []}], True),
    ],
)
def test_a_page_that_has_part_of_the_updates_applies_state_props_only(
    props: list[dict[str, Any]], is_idempotent: bool
) -> None:
    assert folded(*props).is_idempotent is is_idempotent


@pytest.mark.parametrize("name", ["play", "my_components.Sound.play"])
def test_a_command_of_the_settings_is_one_too(name: str) -> None:
    snapshot = Snapshot(MIB, (name,))
    for n in range(3):
        snapshot.add(encoded([("sound", {"play": n})]))
    assert [props for _, props in sets(snapshot)] == [{"play": 0}, {"play": 1}, {"play": 2}]
    assert not snapshot.is_idempotent


def test_the_commands_are_those_of_the_renderer() -> None:
    source = Path(__file__).parent.parent / "renderer/src/apply/commands.ts"
    text = source.read_text("utf-8")
    # A name at the start of a line; those for one component type are in brackets.
    assert set(re.findall(r"^ +(\w+): \{(?:$|acknowledgedBy)", text, re.MULTILINE)) == COMMANDS


@pytest.mark.parametrize(
    "targets",
    [
        [("out", {"children": 1}), ("out", {"children": 2, "title": "a"})],
        [("out", {"children": html.Div(html.B("b", id="b"), id="a")}), ("b", {"children": 3})],
        [("graph", {"extendData": [{"y": [[1]]}, [0], 5]})] * 3,
        [("out", {"children": Patch()}), ("out", {1: "unusual key", "\ud800": "surrogate"})],
        [({"type": ALL, "i": 1}, {"data": "__dash_patch_update"})],
    ],
)
@pytest.mark.parametrize("alone", [False, True])
def test_an_update_with_parts_leaves_the_same_snapshot(targets: Any, alone: bool) -> None:
    update = Update(tuple(targets), alone)
    parted, whole = events.encode_parted(update, MIB), events.encode_update(update, MIB)
    assert bytes(parted) == whole
    snapshots = []
    for body in (parted, whole):
        snapshots.append(Snapshot(MIB))
        for _ in range(2):
            snapshots[-1].add(body)
    assert snapshots[0].bodies() == snapshots[1].bodies()
    assert snapshots[0].collapsed == snapshots[1].collapsed
