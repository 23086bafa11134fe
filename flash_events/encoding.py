"""Values to JSON, as Dash encodes them."""

import json
from typing import Any
from uuid import UUID

from plotly.utils import PlotlyJSONEncoder


class _Encoder(PlotlyJSONEncoder):  # type: ignore[misc] # Plotly has no types
    """Plotly's encoder, which Dash uses too: NaN and Infinity become null."""

    def default(self, value: object) -> Any:
        return str(value) if isinstance(value, UUID) else super().default(value)


_encode_any = _Encoder().encode
_encode_most = json.JSONEncoder(
    default=_Encoder().default, allow_nan=False, separators=(",", ":"), ensure_ascii=False
).encode


def to_json(value: object) -> bytes:
    """Encodes as Dash does (components, figures, Patch, numpy, pandas, dates), NaN as null.

    Raises:
        TypeError: a value has no JSON form.
        ValueError: a value contains itself.
    """
    try:
        return _encode_most(value).encode()
    except ValueError:  # NaN and Infinity have no JSON form, a lone surrogate has no UTF-8 form
        return str(_encode_any(value)).encode()


def children_of(value: object) -> Any:
    """What a component or figure holds, to search a value that cannot be sent for the culprit."""
    return value.to_plotly_json() if hasattr(value, "to_plotly_json") else value
