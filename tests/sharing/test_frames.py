"""Data frames in shared values: they come back equal, or are refused with the cure."""

import asyncio
import datetime
import sys
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import pandas as pdst

from flash_events import CallbackError, ConfigurationError, EncodingError
from flash_events.sharing import codecs
from flash_events.sharing.codecs import MAX_LOOP_BYTES
from flash_events.sharing.frames import decode_frame, encode_frame
from flash_events.sharing.values import DeclaredValues

DAYS: Any = pd.date_range("2026-01-01", periods=3)
ZEROS = np.zeros((3, 3))
DAY = datetime.date(2026, 1, 1)


def objects(*cells: Any) -> pd.DataFrame:
    return pd.DataFrame({"a": pd.Series(list(cells), dtype=object)})


def column(values: Any) -> pd.DataFrame:
    return pd.DataFrame({"a": values})


def labelled(columns: Any) -> pd.DataFrame:
    return pd.DataFrame(ZEROS, columns=columns)


def indexed(index: Any) -> pd.DataFrame:
    return pd.DataFrame({"a": [1, 2, 3]}, index=index)


def with_attrs(frame: pd.DataFrame, attrs: dict[Any, Any]) -> pd.DataFrame:
    frame.attrs = attrs
    return frame


def arrow(values: Any, dtype: Any) -> Any:
    return pd.array(values, dtype=pd.ArrowDtype(dtype))


EQUAL: dict[str, Callable[[], pd.DataFrame]] = {
    "numbers": lambda: pd.DataFrame({"a": [1, 2], "b": [1.5, np.nan], "c": [True, False]}),
    "small numbers": lambda: pd.DataFrame(
        {
            "a": np.array([1, 2], "f2"),
            "b": np.array([2**64 - 1, 0], "u8"),
            "c": np.array([1, 2], "i1"),
        }
    ),
    "text": lambda: column(["x", "", None]),
    "bytes": lambda: objects(b"x", b"", None),
    "dates": lambda: objects(DAY, None, DAY),
    "times": lambda: objects(datetime.time(1, 2, 3), None),
    "decimals": lambda: objects(Decimal("1.50"), None),
    "missing": lambda: objects(True, None, False),
    "missing is NaN": lambda: objects(True, np.nan, False),
    "dicts": lambda: objects({"x": 1}, {"x": 2}),
    "arrays": lambda: objects(np.arange(2.0), np.arange(3.0)),
    "datetimes": lambda: column(DAYS),
    "seconds": lambda: column(DAYS.as_unit("s")),
    "time zone": lambda: column(DAYS.tz_localize("Europe/Berlin")),
    "offset": lambda: column(DAYS.tz_localize(datetime.timezone(datetime.timedelta(hours=5)))),
    "durations": lambda: column(pd.to_timedelta([1, 2], unit="s")),
    "periods": lambda: column(pd.period_range("2026", periods=3, freq="M")),
    "intervals": lambda: column(pd.interval_range(0, 3)),
    "categories": lambda: column(pd.Categorical(["x", "y", None])),
    "unused categories": lambda: column(pd.Categorical(["x"], categories=["z", "x"])),
    "ordered categories": lambda: column(pd.Categorical([2, 1, 2], ordered=True)),
    "categories of dates": lambda: column(pd.Categorical(DAYS)),
    "nullable": lambda: pd.DataFrame(
        {
            "a": pd.array([1, None], dtype="Int64"),
            "b": pd.array([True, None], dtype="boolean"),
            "c": pd.array([1.5, None], dtype="Float64"),
            "d": pd.array(["x", None], dtype="string"),
        }
    ),
    "Arrow's types": lambda: pd.DataFrame(
        {
            "a": arrow(["x", None], pa.string()),
            "b": [1, 2],
            "c": arrow([[1], [2, 3]], pa.list_(pa.int64())),
            "d": arrow([1, None], pa.int64()),
        },
        index=pd.date_range("2026", periods=2, freq="h"),
    ),
    "only Arrow's types": lambda: column(arrow([{"x": 1}, None], pa.struct({"x": pa.int8()}))),
    "range index": lambda: indexed(pd.RangeIndex(2, 8, 2, name="n")),
    "text index": lambda: indexed(pd.Index(["x", "y", "x"], name="a")),
    "multi index": lambda: indexed(pd.MultiIndex.from_product([["x"], DAYS], names=["u", None])),
    "days": lambda: indexed(DAYS),
    "hours in UTC": lambda: indexed(pd.date_range("2026", periods=3, freq="h", tz="UTC")),
    "durations index": lambda: indexed(pd.timedelta_range("0s", periods=3, freq="s")),
    "category index": lambda: indexed(pd.CategoricalIndex(["x", "y", "x"])),
    "period index": lambda: indexed(pd.period_range("2026", periods=3, freq="M")),
    "default columns": lambda: pd.DataFrame(ZEROS),
    "integer columns": lambda: labelled([5, 7, 6]),
    "float columns": lambda: labelled([0.5, 7, 6]),
    "named columns": lambda: labelled(pd.Index(["x", "y", "z"], name="n")),
    "multi columns": lambda: labelled(pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)])),
    "days as columns": lambda: labelled(DAYS),
    "periods as columns": lambda: labelled(pd.period_range("2026", periods=3, freq="M")),
    "category columns": lambda: labelled(pd.CategoricalIndex(["x", "y", "z"])),
    "duplicate columns": lambda: labelled(["x", "y", "x"]),
    "no rows": lambda: pd.DataFrame({"a": [1], "b": ["x"]}).iloc[:0],
    "no columns": lambda: pd.DataFrame(index=range(3)),
    "no columns, days": lambda: pd.DataFrame(index=DAYS),
    "nothing": lambda: pd.DataFrame(),
    "attrs": lambda: with_attrs(column([1]), {"unit": "m", "of": [1, {"x": None}]}),
    "duplicate index": lambda: pd.DataFrame({"a": [1, 2]}, index=["x", "x"]),
}


class MyFrame(pd.DataFrame):
    pass


class Day(datetime.date):
    pass


REFUSED: list[tuple[Callable[[], Any], str]] = [
    (lambda: objects([1], [2]), r"column 'a' .*type list .*df\['a'\]\.map\(json\.dumps\)"),
    (lambda: objects((1,), (2,)), r"column 'a' .*type tuple .*json\.dumps"),
    (lambda: objects({"x": 1}, {"x": 2.5}), r"column 'a' .*type dict .*json\.dumps"),
    (lambda: objects(1, "x"), r"column 'a' .*type int, str .*astype\(str\)"),
    (lambda: objects(2**70), r"column 'a' .*type int .*astype\(str\)"),
    (lambda: objects(1, 2), r"type int would become the dtype int64.*astype\(\"int64\"\)"),
    (lambda: objects(datetime.datetime(2026, 1, 1)), r"type datetime would .*\"datetime64"),
    (lambda: objects(object()), r"column 'a' .*type object"),
    (lambda: objects(Day(2026, 1, 1)), r"column 'a' .*type Day"),
    (lambda: objects(DAY, np.nan, None), r"column 'a' .*type NoneType, date, float"),
    (lambda: objects(Decimal("sNaN")), r"column 'a' .*type Decimal"),
    (lambda: column([1j]), r"column 'a' of type complex128 .*two columns"),
    (lambda: column(pd.arrays.SparseArray([0, 1])), r"column 'a' .*sparse\.to_dense\(\)"),
    (lambda: column(np.array([1], ">i4")), r"column 'a' of type >i4 .*astype\(\"int32\"\)"),
    (lambda: column(pd.cut([1, 2], 2)), r"column 'a' .*cat\.rename_categories\(str\)"),
    (lambda: labelled(["x", 1, 2]), r"columns, .*type int, str.*df\.columns\.map\(str\)"),
    (lambda: indexed(["x", 1, 2]), r"index, .*type int, str.*df\.index\.map\(str\)"),
    (
        lambda: indexed(pd.Index([1, 2, 3], name=7)),
        r"names \[7\] of its index.*index\.names = \[\.\.\.\]",
    ),
    (
        lambda: indexed(pd.date_range("2026", periods=3, freq=pd.DateOffset(days=1, hours=1))),
        r"index, .*frequency <DateOffset.*df\.index\.freq = None",
    ),
    (lambda: with_attrs(column([1]), {"x": (1,)}), r"attrs .* would become"),
    (lambda: with_attrs(column([1]), {"x": object()}), r"attrs .* no JSON form"),
    (lambda: column([1]).set_flags(allows_duplicate_labels=False), r"set_flags"),
    (lambda: MyFrame({"a": [1]}), r"subclass MyFrame.*Write pandas\.DataFrame\(\.\.\.\)"),
    (lambda: pd.Series([[1]]), r"the Series .*type list .*series\.map"),
    (lambda: pd.Series([1], name=frozenset({1})), r"its name .*series\.rename"),
    (lambda: pl.DataFrame({"a": pl.Series([object()])}), r"column 'a' of type Object"),
]


def stored(frame: Any) -> Any:
    return decode_frame(encode_frame(frame, b"a"))


def assert_same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    assert type(other) is pd.DataFrame
    pd.testing.assert_frame_equal(
        one, other, check_exact=True, check_freq=False, check_column_type=True
    )
    for before, after in ((one.index, other.index), (one.columns, other.columns)):
        assert type(before) is type(after)
        assert repr(before) == repr(after)  # with freq, names and dtypes
    assert (one.attrs, one.flags) == (other.attrs, other.flags)
    assert list(map(repr, one.dtypes)) == list(map(repr, other.dtypes))
    for place, dtype in enumerate(one.dtypes):
        if str(dtype) == "object":
            cells = [frame.iloc[:, place].tolist() for frame in (one, other)]
            assert list(map(repr, cells[0])) == list(map(repr, cells[1]))


@pytest.mark.parametrize("name", EQUAL)
def test_a_frame_of_pandas_comes_back_equal(name: str) -> None:
    assert_same(EQUAL[name](), stored(EQUAL[name]()))


@pytest.mark.parametrize("name", EQUAL)
def test_a_frame_that_comes_back_can_be_changed(name: str) -> None:
    """Arrow's own buffers are read-only."""
    frame = EQUAL[name]()
    after = stored(frame)
    for place in range(after.shape[1] if len(after) else 0):
        column = after.iloc[:, place].array.copy()
        last = column[len(column) - 1]
        if not isinstance(last, dict | np.ndarray | list):
            after.iloc[0, place] = last
            assert str(after.iloc[0, place]) == str(last)


def test_encoding_leaves_the_frame_as_it_is() -> None:
    frame = with_attrs(pd.DataFrame({"a": [1], "b": pd.Categorical(["x"])}), {"x": [1]})
    before = frame.copy()
    encode_frame(frame, b"a")
    assert_same(frame, before)


@pytest.mark.parametrize(("make", "words"), REFUSED, ids=range(len(REFUSED)))
def test_a_frame_that_would_change_is_refused_with_the_cure(
    make: Callable[[], Any], words: str
) -> None:
    with pytest.raises(EncodingError, match=words):
        encode_frame(make(), b"a")


@pytest.mark.parametrize(
    ("frame", "cure"),
    [
        (objects(1, 2), lambda df: df.astype({"a": "int64"})),
        (objects([1], [2]), lambda df: df.assign(a=df["a"].map(str))),
        (column(pd.cut([1, 2], 2)), lambda df: df.assign(a=df["a"].cat.rename_categories(str))),
        (column(pd.arrays.SparseArray([0, 1])), lambda df: df.sparse.to_dense()),
        (labelled(["x", 1, 2]), lambda df: df.set_axis(df.columns.map(str), axis=1)),
        (MyFrame({"a": [1]}), pd.DataFrame),
    ],
)
def test_the_cures_work(frame: Any, cure: Callable[[Any], Any]) -> None:
    with pytest.raises(EncodingError):
        encode_frame(frame, b"a")
    assert_same(cure(frame), stored(cure(frame)))


@pytest.mark.parametrize(
    "series",
    [
        pd.Series([1, 2]),
        pd.Series([1.5], name="x", index=["y"]),
        pd.Series([], name=5, dtype="int64"),
        pd.Series(["x"], name=("a", "b")),
        pd.Series(arrow([[1]], pa.list_(pa.int64()))),
        pd.Series([1, 2, 3], index=DAYS),
    ],
)
def test_a_series_comes_back_equal(series: Any) -> None:
    after = stored(series)
    pd.testing.assert_series_equal(series, after, check_exact=True, check_freq=True)
    assert (type(after), repr(after.name)) == (pd.Series, repr(series.name))


POLARS: dict[str, Callable[[], pl.DataFrame]] = {
    "plain": lambda: pl.DataFrame({"a": [1, None], "b": ["x", None], "c": [float("nan"), 1.0]}),
    "nested": lambda: pl.DataFrame({"a": [[1], None], "b": [{"x": [1.0]}, None]}),
    "categories": lambda: pl.DataFrame(
        {
            "a": pl.Series(["x", "y"], dtype=pl.Categorical),
            "b": pl.Series(["x", "y"], dtype=pl.Enum(["y", "x", "z"])),
        }
    ),
    "times": lambda: pl.DataFrame(
        {"a": [DAY], "b": [datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)], "c": [Decimal(1)]}
    ),
    "large numbers": lambda: pl.DataFrame({"a": pl.Series([2**100], dtype=pl.Int128)}),
    "no rows": lambda: pl.DataFrame({"a": []}, schema={"a": pl.Int8}),
    "nothing": lambda: pl.DataFrame(),
}


@pytest.mark.parametrize("name", POLARS)
def test_a_frame_of_polars_comes_back_equal(name: str) -> None:
    frame = POLARS[name]()
    after = stored(frame)
    assert type(after) is pl.DataFrame
    assert after.schema == frame.schema
    assert after.equals(frame)


@pytest.mark.parametrize(
    "table",
    [
        pa.table({"a": [1, None], "b": ["x", None], "c": [[1.5], []]}),
        pa.table({"a": pa.chunked_array([[1], [2, 3]])}, metadata={"k": "v"}),
        pa.table({"a": pa.array(["x", "y"]).dictionary_encode()}).slice(1),
        pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]),
        pa.table({}),
    ],
)
def test_a_table_of_pyarrow_comes_back_equal(table: Any) -> None:
    after = stored(table)
    assert type(after) is pa.Table
    assert after.equals(table, check_metadata=True)


CELLS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=3),
    st.binary(max_size=3),
    st.dates(),
    st.datetimes(),
    st.decimals(),
    st.lists(st.integers(0, 3), max_size=2),
    st.tuples(st.integers(0, 3)),
    st.dictionaries(st.sampled_from("xy"), st.integers(0, 3) | st.floats(), max_size=2),
)
DTYPES = [
    "int8", "uint64", "float32", "float64", "bool", "complex128", "datetime64[ns]",
    "timedelta64[ns]", "str", "Int64", "Float64", "boolean", "category",
]  # fmt: skip
LABELS = st.text(max_size=2) | st.integers(-3, 3) | st.none() | st.dates()


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    """Frames of pandas, with what can go wrong: objects, odd labels, indexes, attrs."""
    rows = draw(st.integers(0, 4))
    columns: list[Any] = []
    for _ in range(draw(st.integers(0, 3))):
        dtype = draw(st.sampled_from([*DTYPES, "object"]))
        if dtype == "object":
            kinds = draw(st.sampled_from([CELLS, st.none() | st.text(max_size=2), st.dates()]))
            cells = draw(st.lists(kinds, min_size=rows, max_size=rows))
            columns.append(pd.Series(cells, dtype=object))
        elif dtype in ("str", "category"):
            cells = draw(st.lists(st.text(max_size=2), min_size=rows, max_size=rows))
            columns.append(pd.Series(cells, dtype=dtype))
        else:
            plain = {"Int64": "int64", "Float64": "float64", "boolean": "bool"}.get(dtype, dtype)
            indexes = pdst.range_indexes(min_size=rows, max_size=rows)
            series: Any = draw(pdst.series(dtype=np.dtype(plain), index=indexes))
            columns.append(series.reset_index(drop=True).astype(dtype))
    frame = pd.concat(columns, axis=1) if columns else pd.DataFrame(index=range(rows))
    labels: Any = draw(st.lists(LABELS, min_size=len(columns), max_size=len(columns)))
    frame.columns = pd.Index(labels, name=draw(st.sampled_from([None, "n", 7])))
    index = draw(
        st.sampled_from(
            [
                pd.RangeIndex(1, 1 + rows),
                pd.Index([1.5] * rows),
                pd.date_range("2026", periods=rows, freq="W"),
                pd.MultiIndex.from_arrays([["x"] * rows, range(rows)], names=["0", 1]),
                pd.Index([None] * rows, dtype=object),
            ]
        )
    )
    frame.index = index
    frame.attrs = draw(st.dictionaries(st.sampled_from("xy"), CELLS, max_size=1))
    return frame


@given(frames())
@example(pd.DataFrame({"a": pd.Series([None, float("nan")], dtype=object)}))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_frame_comes_back_equal_or_is_refused(frame: pd.DataFrame) -> None:
    try:
        after = stored(frame)
    except EncodingError:
        return
    assert_same(frame, after)


async def test_frames_are_set_and_read(app: DeclaredValues) -> None:
    value = app.shared_value("frame")
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}, index=pd.date_range("2026", periods=2))
    await value.set(frame)
    assert_same(frame, await value.get())
    await value.update(lambda old: old.assign(a=old["a"] + 1))
    found = await value.get()
    assert found["a"].tolist() == [2, 3]
    await value.set(pl.DataFrame({"a": [1]}))
    assert type(await value.get()) is pl.DataFrame
    await value.set(pa.table({"a": [1]}))
    assert type(await value.get()) is pa.Table


async def test_frames_of_some_megabytes_are_encoded_in_a_thread(
    app: DeclaredValues, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []

    def noted(function: Any) -> Any:
        def call(*args: Any) -> Any:
            threads.append(threading.current_thread())
            return function(*args)

        return call

    monkeypatch.setattr(codecs, "encode_frame", noted(encode_frame))
    monkeypatch.setattr(codecs, "decode_frame", noted(decode_frame))
    here = threading.current_thread()
    value = app.shared_value("frame")
    large = pd.DataFrame({f"c{at}": np.random.default_rng(at).random(2**17) for at in range(4)})
    assert large.memory_usage().sum() > MAX_LOOP_BYTES
    await value.set(large)
    assert_same(large, await value.get())
    assert [message.offset for message in await value.latest()] == [1]
    await value.update(lambda old: old + 1)
    assert (len(threads), here in threads) == (5, False)
    threads.clear()
    await value.set(large.head())
    await value.get()
    assert threads == [here, here]


async def test_frames_are_read_from_any_loop_and_thread(app: DeclaredValues) -> None:
    value = app.shared_value("frame")
    large = pd.DataFrame(np.zeros((2**17, 4)))

    def work() -> Any:
        value.set_sync(large)
        asyncio.run(value.set(asyncio.run(value.get()) + 1))
        return value.get_sync()

    assert_same(large + 1, await asyncio.to_thread(work))


async def test_an_initial_frame_is_copied(app: DeclaredValues) -> None:
    value = app.shared_value("frame", column([1, 2]))
    assert app.shared_value("frame", column([1, 2])) is value
    with pytest.raises(CallbackError, match="other options"):
        app.shared_value("frame", column([1, 3]))
    found = await value.get()
    found.loc[0, "a"] = 7
    assert_same(column([1, 2]), await value.get())


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([1], "got list .* omit codec"),
        (pl.DataFrame({"a": [1]}).lazy(), r"got LazyFrame .*collect_async\(\)"),
        (pl.Series([1]), r"to_frame\(\)"),
        (pa.record_batch({"a": [1]}), r"from_batches\(\[batch\]\)"),
        (pd.Index([1]), r"index\.to_frame"),
    ],
)
async def test_what_is_no_frame_is_refused_with_codec_arrow(
    app: DeclaredValues, data: Any, words: str
) -> None:
    with pytest.raises(EncodingError, match=words):
        await app.shared_value("frame", codec="arrow").set(data)
    if not isinstance(data, list):
        with pytest.raises(EncodingError, match=words):
            await app.shared_value("any").set(data)


@pytest.mark.parametrize(
    ("frame", "records"),
    [
        (pd.DataFrame({"a": [1]}), r'df\.to_dict\("records"\)'),
        (pl.DataFrame({"a": [1]}), r"df\.to_dicts\(\)"),
        (pa.table({"a": [1]}), r"table\.to_pylist\(\)"),
    ],
)
async def test_a_frame_that_is_not_the_value_itself_is_refused(
    app: DeclaredValues, frame: Any, records: str
) -> None:
    with pytest.raises(EncodingError, match=rf"at \$\['x'\]\[0\]. Write {records}, or share"):
        await app.shared_value("any").set({"x": [frame]})
    with pytest.raises(EncodingError, match=rf"at \$. Write {records}, or omit codec"):
        await app.shared_value("json", codec="json").set(frame)
    with pytest.raises(EncodingError, match=rf"at \$\['x'\]. Write {records}, or keep .*shared_v"):
        await app.topic("messages").publish({"x": frame})


async def test_a_series_is_a_list_in_a_message(app: DeclaredValues) -> None:
    """As in `stream_props` and in an Output of Dash."""
    topic = app.topic("messages")
    await topic.publish(pd.Series([1, 2]))
    [message] = await topic.latest()
    assert message.data == [1, 2]


@pytest.mark.parametrize("frame", [pd.DataFrame({"a": [1]}), pa.table({"a": [1]})])
def test_without_pyarrow_it_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, frame: Any
) -> None:
    data = encode_frame(frame, b"a")
    missing(monkeypatch, "pyarrow")
    for call in (lambda: encode_frame(frame, b"a"), lambda: decode_frame(data)):
        with pytest.raises(ConfigurationError, match=r'pip install "pyarrow>='):
            call()


def test_without_its_library_a_frame_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode_frame(pl.DataFrame({"a": [1]}), b"a")
    missing(monkeypatch, "polars")
    with pytest.raises(ConfigurationError, match="Install polars here"):
        decode_frame(data)


def missing(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """Makes the import of a package fail."""
    monkeypatch.setitem(sys.modules, package, None)
