"""S17: every value that Dash's encoder sends is sent as the same JSON."""

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import ipaddress
import json
import pathlib
import types
import uuid
import warnings
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from dash import Patch, dcc, html, no_update
from dash._utils import to_json as dash_to_json
from PIL import Image

from flash_events import EncodingError, stream_props
from flash_events.wire.events import encode_update
from flash_events.wire.json import to_json


class Color(enum.Enum):
    RED = "red"
    BLUE = 2


class Level(enum.IntEnum):
    LOW = 1


class Mode(enum.StrEnum):
    ON = "on"


class Mixed(str, enum.Enum):  # noqa: UP042 # it differs from StrEnum
    ONE = "one"


class Flag(enum.Flag):
    A = 1


class Pair(NamedTuple):
    x: int
    y: Any


@dataclasses.dataclass
class Point:
    x: int
    y: Any = None
    _hidden: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    x: Any


class Text(str):
    pass


class Number(int):
    pass


class Real(float):
    pass


class Named(dict[str, Any]):
    pass


class Listed(list[Any]):
    pass


class Custom:
    def to_plotly_json(self) -> dict[str, Any]:
        return {"custom": np.arange(2)}


class Foreign:
    pass


class Moment(dt.datetime):
    pass


def b(children: Any) -> html.B:
    """A component that holds values its type does not allow."""
    return html.B(children)


def patch() -> Patch:
    made = Patch()
    made["a"]["b"] = np.float32(0.5)
    made["list"].append(b(dt.date(2026, 1, 2)))
    made["n"] += 1
    del made["gone"]
    return made


HIDDEN_PROPS: dict[str, Any] = {"data-x": 1}
DAY = dt.date(2026, 1, 2)
NOON = dt.datetime(2026, 1, 2, 12, 0, 0, 5)
BERLIN = dt.datetime(2026, 7, 1, tzinfo=ZoneInfo("Europe/Berlin"))
UUID = uuid.UUID(int=1)
FRAME = pd.DataFrame({"a": [1, 2], "b": ["x", None], "t": [pd.Timestamp("2026-01-02"), pd.NaT]})
STEPS = np.arange(10)

SENT: dict[str, Any] = {
    "None": None,
    "True": True,
    "int": 3,
    "the largest int": 2**64 - 1,
    "the smallest int": -(2**63),
    "float": 1.5,
    "large float": 1e300,
    "float as int": 1e16,
    "minus zero": -0.0,
    "NaN": float("nan"),
    "inf": float("inf"),
    "NaN in a list": [1, float("nan"), [float("-inf")]],
    "NaN in a component": b(float("nan")),
    "text": "a\u2028b</script>\n\0",
    "emoji": "\U0001f600",
    "str subclass": Text("a"),
    "int subclass": Number(4),
    "dict subclass": Named(a=1),
    "list subclass": Listed([1]),
    "tuple": (1, (2, ())),
    "empty": [[], {}, ""],
    "defaultdict": collections.defaultdict(list, a=[1]),
    "OrderedDict": collections.OrderedDict(a=1),
    "Counter": collections.Counter("aab"),
    "named tuple": Pair(1, 2),
    "named tuple in a component": b([Pair(1, b("x"))]),
    "date": DAY,
    "datetime": NOON,
    "datetime UTC": NOON.replace(tzinfo=dt.UTC),
    "datetime Berlin": BERLIN,
    "datetime +05:30": NOON.replace(tzinfo=dt.timezone(dt.timedelta(hours=5, minutes=30))),
    "time": dt.time(1, 2, 3, 4),
    "date in a component": b([DAY, NOON, dt.time(1)]),
    "Decimal": decimal.Decimal("1.5"),
    "UUID": UUID,
    "UUID in a component": b(UUID),
    "Enum": Color.RED,
    "Enum of int": Color.BLUE,
    "IntEnum": Level.LOW,
    "StrEnum": Mode.ON,
    "str Enum": Mixed.ONE,
    "Flag": Flag.A,
    "Enum in a component": b(Color.RED),
    "dataclass": Point(1, [2]),
    "dataclass with slots": Slotted(1),
    "dataclass of dataclasses": Point(1, Point(2, DAY)),
    "dataclass of numpy": Point(1, np.float32(0.1)),
    "dataclass in a component": b(Point(1)),
    "its own JSON": Custom(),
    "component": html.Div([b("x"), None, 1, "t"], id={"a": 1, "b": "c"}, **HIDDEN_PROPS),
    "component in a dict": {"a": {"b": [dcc.Graph(figure={"data": []})]}},
    "figure": go.Figure(go.Scatter(x=[1, 2], y=np.array([1.5, np.nan]))),
    "figure of numpy": go.Figure(go.Heatmap(z=np.arange(6).reshape(2, 3))),
    "figure of dates": go.Figure(go.Scatter(x=pd.date_range("2026-01-02", periods=2), y=[1, 2])),
    "figure with a title": go.Figure(layout={"title": {"text": "t"}}),
    "Graph of a figure": dcc.Graph(figure=go.Figure(go.Bar(y=pd.Series([1, 2])))),
    "trace": go.Scatter(y=[1]),
    "Patch": patch(),
    "Patch in a dict": {"a": patch()},
    "empty Patch": Patch(),
    "array of object": np.array([1, "a", None, b("x")], dtype=object),
    "array of text": np.array(["a", "b"]),
    "array, empty": np.array([]),
    "array, 2-d": np.arange(6).reshape(2, 3),
    "array, Fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "array, every second": STEPS[::2],
    "array of float32, every second": np.array([0.1, 0.2, 0.3], dtype="f4")[::2],
    "array of float with NaN": np.array([1.5, np.nan, np.inf]),
    "array of bool": np.array([True, False]),
    "datetime64[ns]": b(np.datetime64("2026-01-02T03:04:05.678", "ns")),
    "datetime64 NaT": b(np.datetime64("NaT")),
    "array of datetime64": b(np.array(["2026-01-02", "2026-01-03"], dtype="M8[D]")),
    "array of datetime64[ns]": b(np.array(["2026-01-02T03:04:05.678"], dtype="M8[ns]")),
    "figure of datetime64[D]": go.Figure(
        go.Scatter(customdata=np.array(["2026-01-02"], dtype="M8[D]"))
    ),
    "array of datetime64, every second": np.array(["2026-01-02"] * 3, dtype="M8[D]")[::2],
    "list of numpy": [np.int64(1), np.float64(1.5), np.bool_(True), np.str_("s")],
    "numpy in a component": b([np.int8(1), np.float32(0.5), np.arange(2)]),
    "datetime64": b(np.datetime64("2026-01-02")),
    "datetime64[ms]": b(np.datetime64("2026-01-02T03:04:05.678")),
    "masked": np.ma.masked,
    "Timestamp": pd.Timestamp("2026-01-02"),
    "Timestamp with time": pd.Timestamp("2026-01-02 03:04:05.678901"),
    "Timestamp with zone": pd.Timestamp("2026-07-01", tz="Europe/Berlin"),
    "NaT": pd.NaT,
    "NA": pd.NA,
    "NaT in a dict": {"a": [pd.NaT, pd.NA, None]},
    "Series of int": FRAME["a"],
    "Series of text": pd.Series(["x", "y"]),
    "Series of object": pd.Series([1, "a"], dtype=object),
    "Series of float32": pd.Series([0.1, np.nan], dtype="float32"),
    "NA in a Series": pd.Series([1.5, None], dtype="Float64"),
    "Series of bool": pd.Series([True]),
    "Series of dates": pd.Series(pd.date_range("2026-01-02", periods=2)),
    "Series with zone": pd.Series(pd.date_range("2026-07-01", periods=2, tz="Europe/Berlin")),
    "Series, every second": pd.Series(STEPS)[::2],
    "Series in a component": b(pd.Series([1.5])),
    "Categorical": pd.Categorical(["a", "b", "a"]),
    "Series of Categorical": pd.Series(["a", "b"], dtype="category"),
    "Index": pd.Index([1, 2]),
    "Index of text": pd.Index(["a"]),
    "RangeIndex": pd.RangeIndex(3),
    "MultiIndex": pd.MultiIndex.from_tuples([(1, "a")]),
    "DatetimeIndex": pd.date_range("2026-01-02", periods=2),
    "DatetimeIndex with zone": pd.date_range("2026-07-01", periods=1, tz="Europe/Berlin"),
    "records": FRAME.to_dict("records"),
    "DataFrame.values": FRAME[["a"]].to_numpy(),
    "image": Image.new("RGB", (1, 1)),
    **{
        f"numpy.{name}": np.dtype(name).type(3)
        for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
    },
    **{
        f"array of {name}": np.array([1, 0, 3], dtype=name)
        for name in ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"]
    },
    "numpy.float16": np.float16(3),
    "numpy.float32": np.float32(3),
    "numpy.bool": np.bool_(True),
    "float32 of 0.1": np.float32(0.1),
    "float64 NaN": np.float64("nan"),
    **{
        f"key {key!r:.40}": {"a": [{key: 1}]}
        for key in (
            *(1, -1, 2**64 - 1, 1.5, 1e16, float("nan"), float("inf"), True, None, "", "\u2028"),
            *(Text("t"), Number(3), DAY, NOON, BERLIN, dt.time(1), UUID),
            *(Color.RED, Color.BLUE, Level.LOW, Mode.ON, Mixed.ONE),
        )
    },
    "keys of several types": {1: "int", "1": "str", Color.RED: "Enum", DAY: "date", None: 0},
    "an Enum beside an int key": {1: Color.RED},
    "a date key in a component": html.Div(b({DAY: Color.RED})),
    "a key of a Patch": patch(),
}
"""Kinds of values that Dash sends."""

MORE: dict[str, tuple[Any, Any]] = {
    "an int of more than 64 bits": (2**70, 2**70),
    "a lone surrogate": ("\ud800", "\ud800"),
    "a lone surrogate as key": ({"\ud800": Color.RED, 1: DAY}, {"\ud800": "red", "1": str(DAY)}),
    "a large int beside others": (
        [2**70, {DAY: Color.RED, UUID: Point(1, 2**70)}, b({Color.BLUE: np.float32(0.1)})],
        [
            2**70,
            {str(DAY): "red", str(UUID): {"x": 1, "y": 2**70}},
            {"type": "B", "namespace": "dash_html_components", "props": {"children": {"2": 0.1}}},
        ],
    ),
    "an Enum of a large int": (enum.Enum("Big", {"A": 2**70}).A, 2**70),  # type: ignore[attr-defined] # it is made here
    "a float subclass": (Real(1.5), 1.5),
    "a datetime subclass": (Moment(2026, 1, 2), "2026-01-02T00:00:00"),
    "a time with zone": (dt.time(1, tzinfo=dt.UTC), "01:00:00+00:00"),
    "a component in a dataclass": (Slotted(b("x")), {"x": b("x").to_plotly_json()}),
    "a Timestamp in a dataclass": (Slotted(pd.NaT), {"x": None}),
    "NaT in a Series": (FRAME["t"], ["2026-01-02T00:00:00", None]),
    "Timestamps in a Series": (
        pd.Series([pd.Timestamp("2026-01-02")], dtype=object),
        ["2026-01-02T00:00:00"],
    ),
    "Timedelta": (pd.Timedelta(days=1), "P1DT0H0M0S"),
    "numbers in another byte order": (np.array([1.5], dtype=">f8"), [1.5]),
}
"""Values that Dash refuses, and this package sends."""

OTHERWISE: dict[str, tuple[Any, Any]] = {
    "masked values": (np.ma.array([1, 999], mask=[False, True]), [1, None]),
    "a number as array": (np.array(5), 5),
    "float32 beside a component": (
        [np.float32(0.1), b("x")],
        [0.1, b("x").to_plotly_json()],
    ),
    "datetime64 beside no component": (np.datetime64("2026-01-02"), "2026-01-02"),
    "nanoseconds": (pd.Timestamp(1), "1970-01-01T00:00:00.000000001"),
}
"""Values that Dash distorts: it shows hidden values, changes digits, makes a list of a number, or
writes a value differently besides a component.
"""

REFUSED: dict[str, tuple[Any, str]] = {
    "object": (Foreign(), "Foreign at p"),
    "a component's class": (html.Div, "ComponentMeta at p"),
    "function": (len, "builtin_function_or_method at p"),
    "set": ({1}, "set at p"),
    "frozenset": (frozenset(), "frozenset at p"),
    "bytes": (b"a", "bytes at p"),
    "bytearray": (bytearray(b"a"), "bytearray at p"),
    "range": (range(2), "range at p"),
    "iterator": (iter([1]), "list_iterator at p"),
    "dict keys": ({}.keys(), "dict_keys at p"),
    "deque": (collections.deque(), "deque at p"),
    "UserDict": (collections.UserDict(), "UserDict at p"),
    "mappingproxy": (types.MappingProxyType({}), "mappingproxy at p"),
    "complex": (1j, "complex at p"),
    "Fraction": (fractions.Fraction(1, 2), "Fraction at p"),
    "path": (pathlib.PurePosixPath("a"), "PurePosixPath at p"),
    "IP address": (ipaddress.ip_address("::1"), "IPv6Address at p"),
    "timedelta": (dt.timedelta(1), "timedelta at p"),
    "Period": (pd.Period("2026"), "Period at p"),
    "Interval": (pd.Interval(0, 1), "Interval at p"),
    "DataFrame": (
        FRAME,
        "DataFrame at p has no JSON form. A DataFrame has several JSON forms",
    ),
    "numpy.complex128": (np.complex128(1), "complex128 at p"),
    "numpy.timedelta64": (np.timedelta64(1, "s"), "timedelta64 at p"),
    "array of complex": (np.array([1j]), "ndarray at p"),
    "in a component": (
        html.Div([b("x"), b({"a": {1}})]),
        "set at p['props']['children'][1]['props']['children']['a']",
    ),
    "in a dataclass": (Point(1, {1}), "set at p['y']"),
    "in a named tuple": (Pair(1, {1}), "set at p[1]"),
    "beside an int key": ({1: "a", 2: {3}}, "set at p[2]"),
    "a tuple as key": (
        {"a": [{(1, 2): 1}]},
        "tuple (1, 2) at p['a'][0] has no JSON form as a dict key",
    ),
    "bytes as key": ({b"a": 1}, "bytes b'a' at p has no JSON form as a dict key"),
    "numpy.int64 as key": (
        {np.int64(1): 1},
        "int64 np.int64(1) at p has no JSON form as a dict key",
    ),
    "a frozenset as key": (
        b({frozenset(): 1}),
        "frozenset frozenset() at p['props']['children']",
    ),
    "a Timestamp as key": (
        {pd.Timestamp("2026-01-02"): 1},
        "Timestamp Timestamp('2026-01-02 00:00:00') at p",
    ),
}
"""Values that neither sends, and the words of the error."""


def by_dash(value: Any) -> Any:
    """Returns the JSON of a Dash callback's response."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that it cuts nanoseconds
        return json.loads(dash_to_json({"response": {"a": {"p": value}}}))["response"]["a"]["p"]


def by_us(value: Any) -> Any:
    body = encode_update(stream_props("a", {"p": value}), 2**20)
    return json.loads(b"{%b}" % body)["set"][0][1]["p"]


@pytest.mark.parametrize("name", SENT)
def test_s17_values_that_dash_sends_are_sent_as_the_same_json(name: str) -> None:
    assert json.dumps(by_us(SENT[name])) == json.dumps(by_dash(SENT[name]))


@pytest.mark.parametrize("name", MORE)
def test_s17_some_values_that_dash_refuses_are_sent(name: str) -> None:
    value, sent = MORE[name]
    with pytest.raises((TypeError, ValueError)):
        by_dash(value)
    assert by_us(value) == sent


@pytest.mark.parametrize("name", OTHERWISE)
def test_s17_values_that_dash_distorts_are_sent_unchanged(name: str) -> None:
    value, sent = OTHERWISE[name]
    assert by_us(value) == sent
    assert by_dash(value) != sent


@pytest.mark.parametrize("name", REFUSED)
def test_s17_a_refused_value_is_named_by_id_prop_and_type(name: str) -> None:
    value, names = REFUSED[name]
    with pytest.raises((TypeError, ValueError)):
        by_dash(value)
    with pytest.raises(EncodingError) as raised:
        by_us(value)
    assert "The value of 'p' of component 'a' cannot be sent" in str(raised.value)
    assert names in str(raised.value)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ([1, no_update], "p[1]"),
        (html.Div(["x", b(no_update)]), "p['props']['children'][1]['props']['children']"),
        ({"a": no_update, 1: 2}, "p['a']"),
    ],
    ids=["list", "component", "dict"],
)
def test_p14_no_update_inside_a_value_is_refused(value: Any, path: str) -> None:
    with pytest.raises(EncodingError, match="only a whole prop can be left unchanged") as raised:
        by_us(value)
    assert f"'p' of component 'a' cannot be sent: no_update at {path} is" in str(raised.value)


@pytest.mark.parametrize("name", SENT)
def test_s17_a_value_besides_a_large_number_is_sent_unchanged(name: str) -> None:
    """The slow path for large numbers has the same output as the fast path."""
    [_, slow] = json.loads(to_json([2**70, SENT[name]]))
    assert json.dumps(slow) == json.dumps(by_us(SENT[name]))
