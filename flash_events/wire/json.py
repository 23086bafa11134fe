"""Values to JSON, as Dash encodes them.

`tests/test_encoding.py` compares the two over many kinds of values.
"""

import dataclasses
import sys
from enum import Enum
from typing import Any

import orjson
from dash import NoUpdate
from dash.development.base_component import Component
from plotly.utils import PlotlyJSONEncoder


class _Encoder(PlotlyJSONEncoder):  # type: ignore[misc] # Plotly has no types
    """Plotly's encoder, which knows no number as too large, and no nesting as too deep."""

    def default(self, value: object) -> Any:
        if is_component_like(value):
            return _with_text_keys(_default(value))
        try:
            return orjson.loads(orjson.dumps(value, _default, orjson.OPT_NON_STR_KEYS))
        except TypeError:  # what it holds is too large, or too deep
            return _with_text_keys(_parts(value))


_slow = _Encoder().encode
_plotly = PlotlyJSONEncoder().default


def to_json(value: object) -> bytes:
    """Encodes as Dash does (components, figures, Patch, numpy, pandas, dates), NaN as null.

    Raises:
        TypeError: a value has no JSON form.
        ValueError: a value contains itself.
    """
    try:
        return orjson.dumps(value, _default)
    except TypeError:
        try:  # a dict with many keys takes twice as long with this option
            return orjson.dumps(value, _default, orjson.OPT_NON_STR_KEYS)
        except TypeError:  # also of large numbers, lone surrogates, deep nesting
            return _encode_slowly(value).encode()


def has_key(key: object) -> bool:
    """Whether a dict with this key can be sent."""
    try:
        to_json({key: None})
    except (TypeError, ValueError):
        return False
    return True


def is_component_like(value: object) -> bool:
    """Whether a value, such as a component, a figure or a Patch, says what its JSON form is."""
    return hasattr(type(value), "to_plotly_json")


def children_of(value: object) -> Any:
    """What a component or figure holds, to search a value that cannot be sent for the culprit."""
    if is_component_like(value) and not isinstance(value, NoUpdate):
        return value.to_plotly_json()  # type: ignore[attr-defined] # was just checked
    return _parts(value) if _is_record(value) else value


def _encode_slowly(value: object) -> str:
    try:
        return str(_slow(_with_text_keys(value)))
    except RecursionError:
        raise ValueError("Circular reference, or nesting that is too deep.") from None


def _default(value: object) -> Any:
    """Return the replacement of a value that orjson does not know."""
    if isinstance(value, Component):
        return value.to_plotly_json()
    if isinstance(value, NoUpdate):
        raise TypeError("no_update is a part of it, and only a whole prop can be left alone")
    if isinstance(value, tuple):  # a named one
        return list(value)
    if hasattr(value, "tolist") and (encoded := _encode_numpy(value)) is not None:
        return encoded
    return _plotly(value)


def _encode_numpy(value: Any) -> orjson.Fragment | str | None:
    """The numbers of an array, a Series or a scalar as orjson writes them, or None.

    Dates are left to Plotly: orjson would write other texts, and a figure may show them.
    """
    np: Any = sys.modules.get("numpy")  # not imported where nobody uses it
    if np is None or isinstance(value, np.ma.MaskedArray):
        return None
    if isinstance(value, np.datetime64):
        return str(value)  # tolist() makes an int of nanoseconds
    if getattr(getattr(value, "dtype", None), "kind", "") not in tuple("biuf"):
        return None
    array = getattr(value, "values", value)
    if not isinstance(array, np.ndarray | np.generic):
        return None
    try:
        numbers = np.ascontiguousarray(array) if array.shape else array
        return orjson.Fragment(orjson.dumps(numbers, option=orjson.OPT_SERIALIZE_NUMPY))
    except TypeError:  # another byte order, or more bits
        return None


def _is_record(value: object) -> bool:
    return isinstance(value, Enum) or (
        dataclasses.is_dataclass(value) and not isinstance(value, type)
    )


def _parts(value: object) -> Any:
    """Return the content of an Enum or a dataclass, as orjson writes it, else the replacement."""
    if isinstance(value, Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return {name: getattr(value, name) for name in names if not name.startswith("_")}
    return _default(value)


def _with_text_keys(value: Any) -> Any:
    """A copy whose dicts have the keys that orjson writes, where `json` has none or others."""
    try:
        return _copy(value)
    except RecursionError:  # it may contain itself, which `json` notices
        return value


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {_text_key(key): _copy(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_copy(part) for part in value]
    return value


def _text_key(key: object) -> Any:
    if type(key) in (str, int):  # orjson refuses lone surrogates and large numbers
        return key
    [text] = orjson.loads(orjson.dumps({key: None}, option=orjson.OPT_NON_STR_KEYS))
    return text
