"""A fold brings a fresh page to where it would be had it seen every update, and stays small."""

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from dash import ALL, Patch
from hypothesis import given, settings
from hypothesis import strategies as st

from flash_events import protocol, stream_props
from flash_events.fold import COMMANDS, Fold

MIB = 1024 * 1024
TRACES = 3

CARDS = [{"type": "card", "index": 1}, {"type": "card", "index": 2}]
EVERY_CARD = {"type": "card", "index": ALL}
IDS: list[Any] = ["graph", *CARDS, EVERY_CARD]


class ModelPage:
    """What updates do to a page, as simply as it can be said.

    A Patch of a figure touches all points that are there; a new figure has none of them.
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
        """Everything that can be seen of it."""
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
    return protocol.encode_update(stream_props(targets, alone=alone), MIB)


def folded(*props: dict[str, Any], component: Any = "graph", limit_bytes: int = MIB) -> Fold:
    """A fold of one update for each of these props."""
    fold = Fold(limit_bytes)
    for one in props:
        fold.add(encoded([(component, one)]))
    return fold


def sets(fold: Fold) -> list[Any]:
    """All that the fold sets, in order."""
    return [pair for body in fold.bodies() for pair in json.loads(b"{%b}" % body)["set"]]


@settings(max_examples=200, deadline=None)
@given(st.lists(updates, max_size=25))
def test_what_it_says_brings_a_fresh_page_to_where_all_updates_would(sent: list[Any]) -> None:
    watched, fresh, fold = ModelPage(), ModelPage(), Fold(MIB)
    for pairs, alone in sent:
        body = encoded(pairs, alone)
        watched.apply(body)
        fold.add(body)
        assert fold.size >= 0
    for body in fold.bodies():
        fresh.apply(body)
    assert fresh.shown() == watched.shown()
    assert fold.is_complete


def test_of_a_state_prop_the_last_value_is_kept_and_the_others_are_counted() -> None:
    fold = folded(*({"children": n} for n in range(1_000)))
    assert sets(fold) == [["graph", {"children": 999}]]
    assert fold.collapsed == 999
    assert fold.size < 100


def test_patches_and_transactions_are_kept_in_order_until_a_new_value_clears_them() -> None:
    added = [{"rowTransaction": {"add": [n]}} for n in range(3)]
    patched = [{"children": patch(n)} for n in range(3)]
    fold = folded(*added, *patched)
    assert [next(iter(props)) for _, props in sets(fold)] == ["rowTransaction"] * 3 + [
        "children"
    ] * 3
    fold.add(encoded([("graph", {"rowData": []}), ("graph", {"children": 1})]))
    assert sets(fold) == [["graph", {"rowData": []}], ["graph", {"children": 1}]]


def test_notifications_are_over() -> None:
    fold = folded({"sendNotifications": [{"message": "hello"}]})
    assert (sets(fold), fold.size) == ([], 0)


def test_what_shall_be_alone_stays_so() -> None:
    fold = Fold(MIB)
    for n in range(3):
        fold.add(encoded([("graph", {"extendData": [{"y": [[n]]}, [0], 9]})], alone=True))
    bodies = fold.bodies()
    assert len(bodies) == 3
    assert all(json.loads(b"{%b}" % body)["alone"] is True for body in bodies)


def test_points_are_joined_and_cut_to_max_points() -> None:
    fold = folded(*({"extendData": [{"x": [[n]], "y": [[-n]]}, [0], 3]} for n in range(1_000)))
    kept = {"x": [[997, 998, 999]], "y": [[-997, -998, -999]]}
    assert sets(fold) == [["graph", {"extendData": [kept, [0], 3]}]]


@pytest.mark.parametrize("traces", [[[0]], [[0], [1]], [[0, 1], [2], [0, 1]]])
def test_points_with_a_limit_cost_no_more_however_many_come(traces: list[list[int]]) -> None:
    fold = Fold(MIB)
    sizes = []
    for n in range(5_000):
        which = traces[n % len(traces)]
        value = [{"y": [[n] for _ in which]}, which, 100]
        fold.add(encoded([("graph", {"extendData": value})]))
        sizes.append(fold.size)
    assert sum(len(json.dumps(pair)) for pair in sets(fold)) < 10_000
    assert max(sizes) < 30_000
    assert not fold.is_full


@pytest.mark.parametrize("limit", [-1, -1000, 0])
def test_the_size_is_never_negative_whatever_max_points_says(limit: int) -> None:
    values = ({"extendData": [{"y": [[n] * 10]}, [0], limit]} for n in range(20))
    fold = folded(*values)
    assert fold.size >= 0
    [[_, props]] = sets(fold)
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
def test_odd_values_are_kept_in_order_and_as_they_came(value: Any) -> None:
    plain = [{"y": [[1]]}, [0], 5]
    fold = folded(*({"extendData": one} for one in (plain, value, value, plain)))
    assert [props["extendData"] for _, props in sets(fold)] == [plain, value, value, plain]


def test_two_extensions_that_speak_of_other_keys_or_limits_are_not_joined() -> None:
    values = [
        [{"y": [[1]]}, [0], 5],
        [{"y": [[1]]}, [0], 6],
        [{"x": [[1]]}, [0], 6],
        [{"x": [[1]], "y": [[1]]}, [0], 6],
    ]
    fold = folded(*({"extendData": value} for value in values))
    assert [props["extendData"] for _, props in sets(fold)] == values


@pytest.mark.parametrize("between", [{"figure": patch(1)}, {"prependData": {"y": [[0]]}}])
def test_points_are_not_joined_across_what_moves_points(between: dict[str, Any]) -> None:
    extended = {"extendData": [{"y": [[1]]}, [0], 5]}
    fold = folded(extended, between, extended)
    assert [next(iter(props)) for _, props in sets(fold)] == [
        "extendData",
        next(iter(between)),
        "extendData",
    ]


@pytest.mark.parametrize(("first", "second"), [(EVERY_CARD, CARDS[0]), (CARDS[0], EVERY_CARD)])
def test_points_are_not_joined_across_an_id_that_means_the_same_graph(
    first: Any, second: Any
) -> None:
    fold = Fold(MIB)
    for n, component in enumerate((first, second, first)):
        fold.add(encoded([(component, {"extendData": [{"y": [[n]]}, [0], 5]})]))
    assert [props["extendData"][0]["y"] for _, props in sets(fold)] == [[[0]], [[1]], [[2]]]


def test_it_is_full_at_its_limit() -> None:
    fold = folded(*({"children": patch(n)} for n in range(5)), limit_bytes=1_000)
    assert not fold.is_full
    fold.add(encoded([("graph", {"data": "x" * 1_000})]))
    assert fold.is_full
    fold.add(encoded([("graph", {"data": "small again"})]))
    assert not fold.is_full


def test_once_abandoned_it_holds_nothing_any_more() -> None:
    fold = folded({"children": 1}, {"children": patch(1)})
    fold.abandon()
    fold.add(encoded([("graph", {"children": 2})]))
    assert (fold.bodies(), fold.size, fold.is_complete, fold.is_full) == ([], 0, False, False)


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
def test_only_states_may_be_applied_by_a_page_that_has_seen_a_part(
    props: list[dict[str, Any]], is_idempotent: bool
) -> None:
    assert folded(*props).is_idempotent is is_idempotent


def test_a_command_of_the_settings_is_one_too() -> None:
    fold = Fold(MIB, ("play",))
    for n in range(3):
        fold.add(encoded([("sound", {"play": n})]))
    assert [props for _, props in sets(fold)] == [{"play": 0}, {"play": 1}, {"play": 2}]
    assert not fold.is_idempotent


def test_the_commands_are_those_of_the_renderer() -> None:
    source = Path(__file__).parent.parent / "renderer/src/commands.ts"
    text = source.read_text("utf-8")
    table = text[text.index("Object.entries({") : text.index("} satisfies Record<string, Command>")]
    assert set(re.findall(r"^    (\w+): \{", table, re.MULTILINE)) == COMMANDS
