"""Data frames as Arrow's stream format, never pickle; pandas and pyarrow need pyarrow."""

import io
import json
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from flash_events.errors import ConfigurationError, EncodingError
from flash_events.extras import how_to_install
from flash_events.sharing.pandas_frames import (
    Notes,
    check_equal,
    frame_of,
    refusal_of,
    series_of,
    tables_of,
)

HEAD_BYTES = 8
"""Size of the head: the first byte, the kind, and the size of the notes, of pandas and pyarrow. All
that comes before a stream is a multiple of it, so that the stream's buffers are aligned."""

COLUMN_BYTES = 4096

_PANDAS_FRAME = "pandas.DataFrame"
_PANDAS_SERIES = "pandas.Series"
_POLARS = "polars.DataFrame"
_PYARROW = "pyarrow.Table"

_KINDS = {b"d": _PANDAS_FRAME, b"s": _PANDAS_SERIES, b"p": _POLARS, b"t": _PYARROW}
"""The kinds of data frames, by the byte that stores them."""

_BYTES = {kind: byte for byte, kind in _KINDS.items()}

_TO_RECORDS = {
    _PANDAS_FRAME: 'df.to_dict("records")',
    _PANDAS_SERIES: "series.tolist()",
    _POLARS: "df.to_dicts()",
    _PYARROW: "table.to_pylist()",
}

_TO_FRAME = {
    "pandas.Index": "index.to_frame(index=False)",
    "polars.LazyFrame": "await frame.collect_async()",
    "polars.Series": "series.to_frame()",
    "pyarrow.RecordBatch": "pyarrow.Table.from_batches([batch])",
    "pyarrow.Array": 'pyarrow.table({"name": array})',
    "pyarrow.ChunkedArray": 'pyarrow.table({"name": array})',
}


def frame_kind(value: object) -> str | None:
    """Return the kind of a data frame, such as "pandas.DataFrame"; None for other values.

    Nothing is imported: whoever has a data frame has imported its library.
    """
    return next((name for name in _names(value) if name in _BYTES), None)


def to_records(value: object) -> str | None:
    """Return the code that makes lists and dicts of a data frame; None for other values."""
    kind = frame_kind(value)
    return None if kind is None else _TO_RECORDS[kind]


def to_frame(value: object) -> str | None:
    """Return the code that makes a data frame of what is nearly one; None for other values."""
    return next((_TO_FRAME[name] for name in _names(value) if name in _TO_FRAME), None)


def frame_bytes(value: Any) -> int:
    """Return the approximate size of a data frame in memory; 0 for other values.

    The content of objects is not counted. A column of pandas counts as 4 KiB more, because it takes
    as long to encode.
    """
    match frame_kind(value):
        case "pandas.DataFrame":
            return int(value.memory_usage().sum()) + COLUMN_BYTES * int(value.shape[1])
        case "pandas.Series":
            return int(value.memory_usage())
        case "polars.DataFrame":
            return int(value.estimated_size())
        case "pyarrow.Table":
            return int(value.nbytes)
    return 0


def is_equal_frame(one: Any, other: Any) -> bool:
    """Return whether two values are data frames of one kind with equal content."""
    kind = frame_kind(one)
    return kind is not None and kind == frame_kind(other) and bool(one.equals(other))


def encode_frame(frame: Any, first: bytes) -> bytes:
    """Return the stored form of a data frame, which comes back equal.

    Args:
        frame: a DataFrame or Series of pandas, a DataFrame of polars, or a Table of pyarrow.
        first: the first byte of the stored form.

    Raises:
        EncodingError: if it would not come back equal; names the column or the attribute.
        ConfigurationError: if pyarrow is missing.
    """
    kind = frame_kind(frame)
    if kind is None:
        raise EncodingError(
            "Expected a DataFrame of pandas or polars, or a Table of pyarrow, as codec is 'arrow', "
            f"got {type(frame).__name__} {frame!r:.60}. "
            + (f"Write {code}." if (code := to_frame(frame)) else "For other values, omit codec.")
        )
    if next(_names(frame)) != kind:
        raise EncodingError(
            f"Expected a {kind}, got its subclass {type(frame).__qualname__}, which would not come "
            f"back as one. Write {kind}(...) around it."
        )
    if kind != _POLARS:
        _need("pyarrow", kind)
    return _CODECS[kind][0](frame, first + _BYTES[kind])


def decode_frame(data: bytes) -> Any:
    """Return a data frame from its stored form.

    Raises:
        ConfigurationError: if its library or pyarrow is missing.
    """
    kind = _KINDS[data[1:2]]
    _need(kind.partition(".")[0], kind)
    if kind != _POLARS:
        _need("pyarrow", kind)
    return _CODECS[kind][1](data)


def _names(value: object) -> Iterator[str]:
    """Yield the package and name of a value's class and of its bases."""
    for base in type(value).__mro__:
        yield f"{base.__module__.partition('.')[0]}.{base.__name__}"


def _need(package: str, kind: str) -> None:
    try:
        import_module(package)
    except ImportError as error:
        is_extra = package == "pyarrow"
        cure = how_to_install("arrow") if is_extra else f"Install {package} here, too."
        raise ConfigurationError(
            f"A shared {kind} needs the package {package} ({error}). {cure}"
        ) from error


def _encode_pandas(value: Any, first: bytes) -> bytes:
    try:
        data = _written(first, *tables_of(value))
        check_equal(value, decode_frame(data))
    except EncodingError:
        raise
    except Exception as error:  # pandas, pyarrow and the objects in cells raise many kinds
        raise refusal_of(value, _round_trip, error) from error
    return data


def _round_trip(frame: Any) -> None:
    frame_of(*_read(_written(b"", *tables_of(frame))))


def _encode_polars(frame: Any, first: bytes) -> bytes:
    import polars as pl

    for name, dtype in frame.schema.items():
        if dtype == pl.Object:
            raise _polars_refusal(name, dtype)
    sink = io.BytesIO()
    sink.write(first.ljust(HEAD_BYTES, b"\0"))
    frame.write_ipc_stream(sink)
    data = sink.getvalue()
    after = _decode_polars(data)
    for name, dtype in frame.schema.items():
        if after.schema.get(name) != dtype or not frame[name].equals(after[name]):
            raise _polars_refusal(name, dtype)
    return data


def _polars_refusal(name: str, dtype: object) -> EncodingError:
    return EncodingError(
        f"Expected a data frame that comes back equal from Arrow, but its column {name!r} of type "
        f"{dtype} would not. Convert it to another type before."
    )


def _decode_polars(data: bytes) -> Any:
    import polars as pl

    return pl.read_ipc_stream(io.BytesIO(memoryview(data)[HEAD_BYTES:]))


def _encode_pyarrow(table: Any, first: bytes) -> bytes:
    data = _written(first, {}, [table])
    after = _decode_pyarrow(data)
    if not after.schema.equals(table.schema, check_metadata=True):
        raise EncodingError(
            "Expected a table that comes back equal from Arrow, but its schema would change to "
            f"{after.schema}. Write table.cast(...) with types that come back."
        )
    return data


def _decode_pyarrow(data: bytes) -> Any:
    _, [table] = _read(data)
    return table


def _written(first: bytes, notes: Notes, tables: list[Any]) -> bytes:
    """Return the stored form: a head, notes as JSON, and an Arrow stream per table."""
    import pyarrow as pa

    encoded = json.dumps(notes).encode()
    encoded = encoded.ljust(-len(encoded) % HEAD_BYTES + len(encoded))
    sink = io.BytesIO()
    sink.write(first.ljust(HEAD_BYTES - 4, b"\0") + len(encoded).to_bytes(4, "big") + encoded)
    for table in tables:
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
    return sink.getvalue()


def _read(data: bytes) -> tuple[Notes, list[Any]]:
    """Return the notes and the tables of a stored form; their buffers are in `data`."""
    import pyarrow as pa

    start = HEAD_BYTES + int.from_bytes(data[HEAD_BYTES - 4 : HEAD_BYTES], "big")
    source = pa.BufferReader(data)
    source.seek(start)
    tables = []
    while source.tell() < len(data):
        tables.append(pa.ipc.open_stream(source).read_all())
    return json.loads(data[HEAD_BYTES:start]), tables


_CODECS: dict[str, tuple[Callable[[Any, bytes], bytes], Callable[[bytes], Any]]] = {
    _PANDAS_FRAME: (_encode_pandas, lambda data: frame_of(*_read(data))),
    _PANDAS_SERIES: (_encode_pandas, lambda data: series_of(*_read(data))),
    _POLARS: (_encode_polars, _decode_polars),
    _PYARROW: (_encode_pyarrow, _decode_pyarrow),
}
"""How each kind is encoded, which includes the check, and decoded."""
