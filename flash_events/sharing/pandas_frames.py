"""Pandas frames as Arrow tables, and the check that they come back equal.

Arrow alone would lose some of a frame, so it is stored as three tables: the column labels (as the
index of a frame without columns, as Arrow keeps any index but few labels); the columns, numbered;
and the columns with Arrow's own types, which pandas would read as other types.
"""

import datetime
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from flash_events.errors import EncodingError

Notes = dict[str, Any]
"""Properties of a frame that Arrow does not keep, in JSON's types:

- `attrs`: those of the frame.
- `nan`: numbers of the columns of objects in which NaN stands for what is missing.
- `index_freq`, `columns_freq`: the frequency of the index and of the labels; None without one.
"""


def tables_of(value: Any) -> tuple[Notes, list[Any]]:
    """Return a frame or Series as notes and Arrow tables; a Series' name is its only label.

    Raises:
        EncodingError: if its index or columns have names that Arrow would change.
        Exception: if Arrow cannot store it.
    """
    import pandas as pd
    import pyarrow as pa

    is_series = value.ndim == 1
    frame = value.to_frame("0") if is_series else value
    labels = pd.Index([value.name]) if is_series else value.columns
    _check_names(frame.index, "index")
    _check_names(labels, "columns")
    dtypes = list(frame.dtypes)
    arrow = {place for place, dtype in enumerate(dtypes) if isinstance(dtype, pd.ArrowDtype)}
    others = [place for place in range(len(dtypes)) if place not in arrow]
    plain = frame.iloc[:, others] if arrow else frame.copy(deep=False)
    plain.columns = [str(place) for place in others]
    plain.attrs = {}
    notes = {
        "attrs": value.attrs,
        "nan": [name for name in _object_columns(plain) if _has_nan(plain[name])],
        "index_freq": _freq_of(frame.index),
        "columns_freq": _freq_of(labels),
    }
    return notes, [
        pa.Table.from_pandas(pd.DataFrame(index=labels)),
        pa.Table.from_pandas(plain),
        pa.table({str(place): pa.array(frame.iloc[:, place].array) for place in sorted(arrow)}),
    ]


def frame_of(notes: Notes, tables: list[Any]) -> Any:
    """Return a frame from its notes and tables."""
    labels, columns, arrow_columns = tables
    frame = _numbered(notes, columns, arrow_columns)
    frame.columns = _labels_of(notes, labels)
    return frame


def series_of(notes: Notes, tables: list[Any]) -> Any:
    """Return a Series from its notes and tables."""
    labels, columns, arrow_columns = tables
    series = _numbered(notes, columns, arrow_columns).iloc[:, 0]
    [series.name] = _labels_of(notes, labels).tolist()
    return series


def _has_nan(column: Any) -> bool:
    """Return whether all that is missing in a column of objects is NaN, which Arrow reads as None.

    Columns of text have that in pandas 2.
    """
    return set(map(type, column[column.isna()].tolist())) == {float}


def _object_columns(frame: Any) -> list[Any]:
    return [name for name, dtype in frame.dtypes.items() if str(dtype) == "object"]


def _freq_of(index: Any) -> str | None:
    import pandas as pd

    has_freq = isinstance(index, pd.DatetimeIndex | pd.TimedeltaIndex)
    return index.freqstr if has_freq else None


def _labels_of(notes: Notes, labels: Any) -> Any:
    index = labels.to_pandas().index
    if notes["columns_freq"] is not None:
        index.freq = notes["columns_freq"]
    return index


def _numbered(notes: Notes, columns: Any, arrow_columns: Any) -> Any:
    """Return a frame with numbered columns; its cells can be changed, as each reader has its own.

    Arrow's buffers are read-only, but pandas copies them, except the codes of categories.
    """
    import pandas as pd

    frame = columns.to_pandas()
    for name, dtype in frame.dtypes.items():
        if isinstance(dtype, pd.CategoricalDtype):
            frame[name] = frame[name].array.copy()
    for name in notes["nan"]:
        cells = frame[name].to_numpy(copy=True)
        cells[frame[name].isna().to_numpy()] = float("nan")
        frame[name] = cells
    index = frame.index
    if notes["index_freq"] is not None:
        index.freq = notes["index_freq"]
    if arrow_columns.num_columns:
        further = {
            name: pd.arrays.ArrowExtensionArray(arrow_columns.column(name))
            for name in arrow_columns.column_names
        }
        frame = pd.concat([frame, pd.DataFrame(further, index=index)], axis=1)
        frame = frame[sorted(frame.columns, key=int)]
        frame.index = index
    frame.attrs = notes["attrs"]
    return frame


def check_equal(before: Any, after: Any) -> None:
    """Compare a frame or Series with what comes back.

    Raises:
        EncodingError: if it has changed; names where, and what to write.
    """
    if not before.flags.allows_duplicate_labels:
        raise _refusal(
            "its flag allows_duplicate_labels=False would be lost",
            "Write df.set_flags(allows_duplicate_labels=True).",
        )
    if not _is_same(before.attrs, after.attrs):
        raise _refusal(
            f"its attrs {before.attrs!r:.80} would become {after.attrs!r:.80}",
            "Use only what JSON has in df.attrs, or set it to {}.",
        )
    _check_axis(before.index, after.index, "index")
    if before.ndim == 1:
        if not _is_same(before.name, after.name):
            raise _refusal_of_name(before)
        _check_column(before, after, before)
        if not before.equals(after):
            raise _refusal_of_cells(before, after, before)
        return
    _check_axis(before.columns, after.columns, "columns")
    for place, (one, other) in enumerate(zip(before.dtypes, after.dtypes, strict=True)):
        if str(one) == "object" or (one is not other and not _is_same_dtype(one, other)):
            _check_column(before.iloc[:, place], after.iloc[:, place], before)
    if not before.equals(after):
        for place in range(before.shape[1]):
            column = before.iloc[:, place]
            if not column.equals(after.iloc[:, place]):
                raise _refusal_of_cells(column, after.iloc[:, place], before)
        raise _refusal("it would change", "Write df.copy().")


def refusal_of(frame: Any, round_trip: Callable[[Any], object], error: Exception) -> EncodingError:
    """Return the error for a frame or Series that Arrow cannot store or read.

    Args:
        frame: the frame or Series.
        round_trip: encodes and decodes a frame; raises if that fails.
        error: what was raised.
    """
    frame_like = frame.to_frame("0") if frame.ndim == 1 else frame
    try:
        json.dumps(frame.attrs)
    except (TypeError, ValueError):
        return _refusal(
            f"its attrs {frame.attrs!r:.80} have no JSON form",
            "Use only what JSON has in df.attrs, or set it to {}.",
        )
    for place in range(frame_like.shape[1]):
        column = frame_like.iloc[:, place]
        try:
            round_trip(column.reset_index(drop=True).to_frame("0"))
        except Exception:  # pandas and pyarrow raise many kinds; whatever it is names the column
            return _refusal_of_column(frame if frame.ndim == 1 else column, frame, error)
    bare = frame_like.iloc[:, :0]
    bare.columns = range(0)
    try:
        round_trip(bare)
    except Exception:  # as above; without columns, only the index is left
        return _refusal_of_axis(frame.index, "index", error)
    if frame.ndim == 1:
        return _refusal_of_name(frame)
    return _refusal_of_axis(frame.columns, "columns", error)


def _check_names(index: Any, axis: str) -> None:
    """Raise `EncodingError` if a name is not a string, for which Arrow would write a warning."""
    if not all(name is None or type(name) is str for name in index.names):
        raise _refusal_of_names(index, axis)


def _check_axis(before: Any, after: Any, axis: str) -> None:
    if list(before.names) != list(after.names):
        raise _refusal_of_names(before, axis)
    if getattr(before, "freq", None) != getattr(after, "freq", None):
        raise _refusal_of_axis(before, axis)
    parts = [(before, after)]
    if before.nlevels > 1 and type(before) is type(after):
        levels = range(before.nlevels)
        parts = [(before.get_level_values(at), after.get_level_values(at)) for at in levels]
    for one, other in parts:
        if (
            type(one) is not type(other)
            or not _is_same_dtype(one.dtype, other.dtype)
            or not one.equals(other)
            or (_has_objects(one) and not _are_same_cells(one.tolist(), other.tolist()))
        ):
            raise _refusal_of_axis(before, axis)


def _check_column(before: Any, after: Any, whole: Any) -> None:
    if not _is_same_dtype(before.dtype, after.dtype):
        raise _refusal_of_cells(before, after, whole)
    if _has_objects(before) and not _are_same_cells(before.tolist(), after.tolist()):
        raise _refusal_of_cells(before, after, whole)


def _is_same_dtype(one: Any, other: Any) -> bool:
    if type(one) is not type(other) or one != other:
        return False
    if hasattr(one, "categories"):
        a, b = one.categories, other.categories
        return type(a) is type(b) and _is_same_dtype(a.dtype, b.dtype) and bool(a.equals(b))
    return True


_SCALARS = frozenset((str, bytes, bool, type(None), Decimal, datetime.date, datetime.time))
"""Types of cells that are equal if `==` and the type say so."""


def _are_same_cells(before: list[Any], after: list[Any]) -> bool:
    """Return whether cells have equal values and types."""
    types = list(map(type, before))
    if types != list(map(type, after)):
        return False
    if _SCALARS.issuperset(types):
        return before == after
    return all(map(_is_same, before, after))


def _is_same(one: Any, other: Any) -> bool:
    """Return whether two values and their parts have equal types and values."""
    if type(one) is not type(other):
        return False
    if one is other:
        return True
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_is_same, one, other))
    if isinstance(one, dict):
        return _is_same(list(one.items()), list(other.items()))
    if hasattr(one, "dtype") and hasattr(one, "shape"):
        return bool(
            one.dtype == other.dtype
            and one.shape == other.shape
            and _is_same(one.tolist(), other.tolist())
        )
    return bool(one == other or (one != one and other != other))


def _refusal(what: str, cure: str) -> EncodingError:
    return EncodingError(
        f"Expected a data frame that comes back equal from Arrow, but {what}. {cure}"
    )


def _refusal_of_cells(before: Any, after: Any, whole: Any) -> EncodingError:
    if _has_objects(before) and not _has_objects(after):
        cure = f'Write {_code(before, whole)} = {_code(before, whole)}.astype("{after.dtype}").'
        return _refusal(
            f"{_place(before, whole)} with objects of type {_types(before)} would become "
            f"the dtype {after.dtype}",
            cure,
        )
    return _refusal_of_column(before, whole)


def _refusal_of_column(column: Any, whole: Any, error: Exception | None = None) -> EncodingError:
    """Return the error for a column that Arrow changes or cannot store."""
    code = _code(column, whole)
    dtype = column.dtype
    held = f"of type {dtype}"
    if _has_objects(column):
        types = _types(column)
        held = f"with objects of type {types}"
        if {"list", "tuple", "set", "dict", "ndarray"} & set(types.split(", ")):
            cure = f"Write {code} = {code}.map(json.dumps), or df.explode(...)."
        else:
            cure = f"Write {code} = {code}.astype(str), or another type that fits all its values."
    elif hasattr(dtype, "fill_value") and hasattr(dtype, "subtype"):
        cure = f"Write {code} = {code}.sparse.to_dense()."
    elif hasattr(dtype, "categories"):
        cure = f"Write {code} = {code}.cat.rename_categories(str)."
    elif dtype.kind == "c":
        cure = "Store its real and its imaginary part as two columns."
    elif getattr(dtype, "isnative", True) is False:
        cure = f'Write {code} = {code}.astype("{dtype.newbyteorder("=")}").'
    else:
        cure = f"Write {code} = {code}.astype(...) with another type."
    reason = f" ({error})" if error is not None else ""
    return _refusal(f"{_place(column, whole)} {held} would not{reason}", cure)


def _refusal_of_axis(axis: Any, name: str, error: Exception | None = None) -> EncodingError:
    """Return the error for an index, or for column labels, that Arrow changes or cannot store."""
    reason = f" ({error})" if error is not None else ""
    what = f"{type(axis).__name__} of type {axis.dtype}"
    cure = f"Write df.{name} = df.{name}.map(str)."
    if _has_objects(axis) and axis.nlevels == 1:
        what = f"Index with objects of type {_types(axis)}"
    elif getattr(axis, "freq", None) is not None:
        what += f" with the frequency {axis.freq!r}"
        cure = f"Write df.{name}.freq = None."
    return _refusal(f"its {name}, a {what}, would not{reason}", cure)


def _refusal_of_names(axis: Any, name: str) -> EncodingError:
    return _refusal(
        f"the names {list(axis.names)!r:.80} of its {name} would not",
        f"Write df.{name}.names = [...] with other strings.",
    )


def _refusal_of_name(before: Any) -> EncodingError:
    return _refusal(
        f"its name {before.name!r:.80} would not", "Write series.rename(str(series.name))."
    )


def _has_objects(values: Any) -> bool:
    return str(values.dtype) == "object"


def _types(values: Any) -> str:
    return ", ".join(sorted({type(value).__name__ for value in values.tolist()}))


def _place(column: Any, whole: Any) -> str:
    return "the Series" if whole.ndim == 1 else f"its column {column.name!r:.80}"


def _code(column: Any, whole: Any) -> str:
    return "series" if whole.ndim == 1 else f"df[{column.name!r:.80}]"
