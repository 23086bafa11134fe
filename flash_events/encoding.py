"""Values to JSON, as Dash encodes them."""

from typing import Any
from uuid import UUID

import orjson
from plotly.utils import PlotlyJSONEncoder


class _Encoder(PlotlyJSONEncoder):  # type: ignore[misc] # Plotly has no types
    """Plotly's encoder, which Dash uses too: NaN and Infinity become null."""

    def default(self, value: object) -> Any:
        return str(value) if isinstance(value, UUID) else super().default(value)


_encode_any = _Encoder().encode
_default = _Encoder().default


def to_json(value: object) -> bytes:
    """Encodes as Dash does (components, figures, Patch, numpy, pandas, dates), NaN as null.

    Raises:
        TypeError: a value has no JSON form.
        ValueError: a value contains itself.
    """
    try:
        return orjson.dumps(value, _default, orjson.OPT_PASSTHROUGH_DATACLASS)
    except TypeError:  # also of large numbers, keys that are numbers, lone surrogates, deep nesting
        return str(_encode_any(value)).encode()


def children_of(value: object) -> Any:
    """What a component or figure holds, to search a value that cannot be sent for the culprit."""
    return value.to_plotly_json() if hasattr(value, "to_plotly_json") else value
