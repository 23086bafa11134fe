"""Checks of the shape of command props, before the page would refuse them.

The page knows which traces a graph has, and says which is not there.
"""

from collections.abc import Mapping
from numbers import Real
from types import NoneType
from typing import Any

from flash_events.errors import UpdateError

PROPS = frozenset({"extendData", "prependData", "rowTransaction"})

_TRANSACTION = ("add", "addIndex", "update", "remove", "async")
_ROWS = ("add", "update", "remove")
_LISTS = (list, tuple, NoneType)


def check_command(component_id: object, prop: str, value: Any) -> None:
    """Raise `UpdateError` for a value that its component would refuse or ignore."""
    if prop == "rowTransaction":
        _check_rows(component_id, value)
    else:
        _check_points(component_id, prop, value)


def _check_rows(component_id: object, value: Any) -> None:
    """Raise `UpdateError` unless a `rowTransaction` has lists of rows; None is left alone."""
    if value is None or (isinstance(value, Mapping) and not _wrong_rows(value)):
        return
    got = f"{type(value).__name__} {value!r:.80}"
    if isinstance(value, Mapping):
        name = _wrong_rows(value)[0]
        got = f"{name!r}: {value[name]!r:.80}"
    raise UpdateError(
        f"Expected rowTransaction of {component_id!r} to be a dict with lists of rows as 'add', "
        f"'update' and 'remove', got {got}. Write: "
        '{"rowTransaction": {"add": [{"name": "a", "value": 1}]}}.'
    )


def _wrong_rows(transaction: Mapping[Any, Any]) -> list[Any]:
    return [
        name
        for name, rows in transaction.items()
        if name not in _TRANSACTION or (name in _ROWS and not isinstance(rows, _LISTS))
    ]


def _check_points(component_id: object, prop: str, value: Any) -> None:
    """Raise `UpdateError` for what Plotly would refuse whatever the graph shows.

    Args:
        component_id: whose prop it is.
        prop: `extendData` or `prependData`.
        value: `{attribute: [list of each trace]}`, or a list of that, which traces and how many
            points to keep. None, a Patch, and what ExtendableGraph of dash-extendable-graph takes
            (a list of new traces in the place of the dict) are left to the component.
    """
    if _is_usual(value):
        return
    data, traces, keep = value, None, None
    if isinstance(value, list | tuple) and value and isinstance(value[0], Mapping):
        data, traces, keep = (*value, None, None)[:3]
        if len(value) > 3:
            raise _wrong(component_id, prop, f"{len(value)} parts")
    elif isinstance(value, list | tuple | str | int | float) and not _has_traces(value):
        raise _wrong(component_id, prop, f"{type(value).__name__} {value!r:.80}")
    if not isinstance(data, Mapping):
        return
    counts = {}
    for attribute, columns in data.items():
        count = _count(columns)
        if count is None:
            raise _wrong(component_id, prop, f"{attribute!r}: {columns!r:.80}")
        counts[attribute] = count
    if len(set(counts.values())) > 1:
        raise _wrong(component_id, prop, _words(counts))
    _check_traces(component_id, prop, traces, counts)
    is_number = isinstance(keep, Real) and not isinstance(keep, bool)
    if not (keep is None or is_number or isinstance(keep, Mapping)):
        raise _wrong(component_id, prop, f"{keep!r:.80} as the number of points to keep")


def _is_usual(value: Any) -> bool:
    """Return whether points are right and written as most are; False says nothing.

    Thousands of updates a second pass here, and the whole check takes several times as long.
    """
    data, count = value, None
    if type(value) is list and len(value) == 3:
        data, traces, keep = value
        if type(traces) is not list or type(keep) is not int:
            return False
        for trace in traces:
            if type(trace) is not int:
                return False
        count = len(traces)
    if type(data) is not dict:
        return False
    for columns in data.values():
        if type(columns) is not list:
            return False
        if count is None:
            count = len(columns)
        elif len(columns) != count:
            return False
        for column in columns:
            if type(column) is not list:
                return False
    return True


def _has_traces(value: Any) -> bool:
    """Return whether a value is an empty list, or one that begins with a list of dicts."""
    first = value[0] if isinstance(value, list | tuple) and value else None
    if isinstance(first, list | tuple) and first:
        return all(isinstance(trace, Mapping) for trace in first)
    return bool(value == [])


def _check_traces(component_id: object, prop: str, traces: Any, counts: dict[Any, int]) -> None:
    if traces is None:
        return
    indices = [traces] if _is_index(traces) else traces
    if hasattr(indices, "tolist"):
        indices = indices.tolist()
    if not isinstance(indices, list | tuple | range) or not all(map(_is_index, indices)):
        raise _wrong(component_id, prop, f"{traces!r:.80} as the list of traces")
    if counts and len(indices) != next(iter(counts.values())):
        raise _wrong(component_id, prop, f"the traces {list(indices)} and {_words(counts)}")


def _count(columns: Any) -> int | None:
    """Return the number of traces, or None if this is not a list of lists."""
    shape = getattr(columns, "shape", None)
    if isinstance(shape, tuple) and len(shape) != 1:
        return int(shape[0]) if len(shape) > 1 else None
    if not isinstance(columns, list | tuple) and shape is None:
        return None
    if not all(_is_list(column) for column in columns):
        return None
    return len(columns)


def _is_list(column: Any) -> bool:
    if isinstance(column, list | tuple):
        return True
    return not isinstance(column, str | bytes | Mapping) and hasattr(column, "__len__")


def _is_index(trace: Any) -> bool:
    return hasattr(trace, "__index__") and not isinstance(trace, bool)


def _words(counts: dict[Any, int]) -> str:
    texts = (f"{count} in {attribute!r}" for attribute, count in counts.items())
    return f"so many lists: {', '.join(texts)}"


def _wrong(component_id: object, prop: str, got: str) -> UpdateError:
    return UpdateError(
        f"Expected {prop} of {component_id!r} to have a list of lists for each attribute, one list "
        f"for each trace; got {got}. "
        f'Write: {{"{prop}": {{"x": [[1]], "y": [[2]]}}}}, or with the traces and how many points '
        f'to keep: {{"{prop}": [{{"x": [[1]], "y": [[2]]}}, [0], 200]}}.'
    )
