"""Encoding of values as JSON, with the same result as Dash's own encoder.

`tests/test_encoding.py` compares the two encoders over many kinds of values.
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
    """Plotly's encoder, used for values with numbers too large or nesting too deep for orjson."""

    def default(self, value: object) -> Any:
        if is_component_like(value):
            return _with_text_keys(_default(value))
        try:
            return orjson.loads(orjson.dumps(value, _default, orjson.OPT_NON_STR_KEYS))
        except TypeError:  # its content has numbers too large, or is nested too deeply
            return _with_text_keys(_parts(value))


_slow = _Encoder().encode
_plotly = PlotlyJSONEncoder().default


def to_json(value: object) -> bytes:
    """Return a value as JSON, as Dash encodes it; NaN becomes null.

    Components, figures, Patch, numpy, pandas, dates and dataclasses are supported.

    Raises:
        TypeError: if a value has no JSON form.
        ValueError: if a value contains itself.
    """
    try:
        return orjson.dumps(value, _default)
    except TypeError:
        try:  # a dict with many keys takes twice as long with this option
            return orjson.dumps(value, _default, orjson.OPT_NON_STR_KEYS)
        except TypeError:  # orjson also refuses large numbers, lone surrogates, deep nesting
            return _encode_slowly(value).encode()


def embedded(json: bytes) -> orjson.Fragment:
    """Return a value that `to_json` writes as the given JSON."""
    return orjson.Fragment(json)


def has_key(key: object) -> bool:
    """Return whether a dict with this key can be sent."""
    try:
        to_json({key: None})
    except (TypeError, ValueError):
        return False
    return True


def is_component_like(value: object) -> bool:
    """Return whether a value defines its JSON form, as components, figures and Patch do."""
    return hasattr(type(value), "to_plotly_json")


def children_of(value: object) -> Any:
    """Return the content of a component, figure or dataclass; other values as they are."""
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
        raise TypeError("no_update is inside it, but only a whole prop can be left unchanged")
    if isinstance(value, tuple):  # a namedtuple; orjson encodes plain tuples itself
        return list(value)
    if hasattr(value, "tolist") and (encoded := _encode_numpy(value)) is not None:
        return encoded
    return _plotly(value)


def _encode_numpy(value: Any) -> orjson.Fragment | str | None:
    """Return the numbers of an array, a Series or a scalar as orjson writes them, or None.

    Dates are left to Plotly: orjson would format them differently, and a figure may show them.
    """
    np: Any = sys.modules.get("numpy")  # avoids the import in apps without numpy
    if np is None or isinstance(value, np.ma.MaskedArray):
        return None
    if isinstance(value, np.datetime64):
        return str(value)  # tolist() makes an int of nanoseconds
    if getattr(getattr(value, "dtype", None), "kind", "") not in tuple("biuf"):
        return None
    array = getattr(value, "values", value)  # the array of a pandas Series
    if not isinstance(array, np.ndarray | np.generic):
        return None
    try:
        numbers = np.ascontiguousarray(array) if array.shape else array
        return orjson.Fragment(orjson.dumps(numbers, option=orjson.OPT_SERIALIZE_NUMPY))
    except TypeError:  # orjson refuses other byte orders and some sizes, such as longdouble
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
    """Return a copy with the dict keys that orjson writes, since `json` writes some differently."""
    try:
        return _copy(value)
    except RecursionError:  # if it contains itself, `json` raises a better error
        return value


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {_text_key(key): _copy(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_copy(part) for part in value]
    return value


def _text_key(key: object) -> Any:
    """Return a dict key as orjson writes it: floats, dates, UUIDs and so on as text."""
    if type(key) in (str, int):  # orjson refuses lone surrogates and large numbers
        return key
    [text] = orjson.loads(orjson.dumps({key: None}, option=orjson.OPT_NON_STR_KEYS))
    return text
