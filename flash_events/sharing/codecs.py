"""The forms in which messages and values are stored: JSON, an update of components, or Arrow."""

import asyncio
import json
import math
from collections.abc import Callable
from enum import Enum
from typing import Any, Literal, TypeVar

from flash_events.errors import EncodingError
from flash_events.sharing.frames import (
    decode_frame,
    encode_frame,
    frame_kind,
    to_frame,
    to_records,
)
from flash_events.updates import Update
from flash_events.wire.events import decode_update, encode_update
from flash_events.wire.json import to_json

T = TypeVar("T")

Codec = Literal["json", "arrow", "bytes"]

MAX_LOOP_BYTES = 2**18
"""Maximum size of a data frame that is encoded or decoded on the event loop, which takes a few
milliseconds at most; a thread does it for larger ones."""


class Kind(bytes, Enum):
    """The first byte of stored data."""

    JSON = b"j"
    UPDATE = b"u"
    ARROW = b"a"
    BYTES = b"b"
    CLEARED = b"c"


_KINDS = frozenset(kind.value for kind in Kind)


def is_known_kind(data: bytes) -> bool:
    """Return whether this version can decode stored data; another version may have other kinds."""
    return data[:1] in _KINDS


def kind_of(data: bytes) -> Kind:
    """Return the kind of stored data.

    Raises:
        EncodingError: if another version has stored it, which has other kinds.
    """
    if not is_known_kind(data):
        raise EncodingError(
            f"Expected data of a kind that this version knows, got the kind {data[:1]!r}. It was "
            "stored by another version of flash_events; install the same one in all processes, or "
            "store the value again."
        )
    return Kind(data[:1])


def encode_message(data: Any, max_bytes: int) -> bytes:
    """Return the stored form of a message.

    Args:
        data: an `Update`, or a value that has a JSON form.
        max_bytes: maximum size of the stored form.

    Raises:
        EncodingError: if it has no JSON form, which names the path, or is too large.
    """
    if isinstance(data, Update):
        return Kind.UPDATE.value + encode_update(data, max_bytes)
    try:
        encoded = Kind.JSON.value + to_json(data)
    except (TypeError, ValueError, RecursionError) as error:
        path, blamed = _unsendable(data)
        got = frame_kind(blamed) or f"{type(blamed).__name__} {blamed!r:.80}"
        cure = "Convert it to numbers, strings, lists or dicts."
        if records := to_records(blamed):
            cure = f"Write {records}, or keep the data frame in a shared_value(...)."
        raise EncodingError(
            f"Expected a message that has a JSON form, got {got} at {path}. {cure} ({error})"
        ) from error
    check_size(encoded, max_bytes, "A message", "max_event_bytes")
    return encoded


def decode_message(data: bytes) -> Any:
    """Return a message from its stored form: JSON's types, or an `Update`; None if cleared."""
    match kind_of(data):
        case Kind.JSON:
            return json.loads(data[1:])
        case Kind.UPDATE:
            return decode_update(data[1:])
        case Kind.BYTES:
            return data[1:]
        case Kind.ARROW:
            return decode_frame(data)
        case Kind.CLEARED:
            return None


def encode_value(value: Any, codec: Codec | str | None, max_bytes: int) -> bytes:
    """Return the stored form of a shared value, which comes back equal.

    Args:
        value: the value.
        codec: "json", "arrow" or "bytes"; None chooses by type.
        max_bytes: maximum size of the stored form.

    Raises:
        EncodingError: if it would not come back equal, which names the path, or is too large.
    """
    codec = codec or _codec_of(value)
    if codec == "arrow":
        encoded = encode_frame(value, Kind.ARROW.value)
    elif codec == "bytes":
        if type(value) is not bytes:
            raise EncodingError(
                f"Expected bytes, as codec is 'bytes', got {type(value).__name__} {value!r:.80}."
            )
        encoded = Kind.BYTES.value + value
    else:
        _check_equal(value, "$", 0)
        encoded = Kind.JSON.value + to_json(value)
    check_size(encoded, max_bytes, "A value", "max_value_bytes")
    return encoded


def _codec_of(value: Any) -> Codec:
    if type(value) is bytes:
        return "bytes"
    return "arrow" if frame_kind(value) else "json"


def json_or_none(value: Any) -> Any:
    """Return a value if it has a JSON form, else None."""
    try:
        to_json(value)
    except (TypeError, ValueError):  # bytes, or a data frame
        return None
    return value


async def off_loop(size: int, function: Callable[..., T], *args: Any) -> T:
    """Call a function that encodes or decodes data frames, in a thread if they are large.

    Args:
        size: total size of the data frames in bytes.
        function: the function.
        args: its arguments.
    """
    if size <= MAX_LOOP_BYTES:
        return function(*args)
    return await asyncio.to_thread(function, *args)


def stored_frame_bytes(data: bytes | None) -> int:
    """Return the size of stored data if it is a data frame; 0 for other data."""
    return len(data) if data is not None and kind_of(data) is Kind.ARROW else 0


def _check_equal(value: Any, path: str, depth: int) -> None:
    """Raise `EncodingError` if JSON would not give a value back equal."""
    if depth > MAX_DEPTH:
        raise EncodingError(f"Expected a value of at most {MAX_DEPTH} levels, got more at {path}.")
    kind = type(value)
    if kind is dict:
        for key, part in value.items():
            if type(key) is not str:
                raise _would_change(key, f"a key of {path}", "str(...)")
            _check_equal(part, f"{path}[{key!r}]", depth + 1)
    elif kind is list:
        for index, part in enumerate(value):
            _check_equal(part, f"{path}[{index}]", depth + 1)
    elif kind is float and not math.isfinite(value):
        raise _would_change(value, path, "None in its place")
    elif kind not in _PLAIN:
        raise _would_change(value, path, _cure_of(value, path))


def _would_change(value: object, path: str, cure: str) -> EncodingError:
    got = frame_kind(value) or f"{type(value).__name__} {value!r:.60}"
    return EncodingError(
        f"Expected a value that comes back equal from JSON, got {got} at {path}. Write {cure}."
    )


def _cure_of(value: object, path: str) -> str:
    """Return what to write in place of a value that JSON would change."""
    records = to_records(value)
    if records is None:
        known = _CURES.get(type(value), "a list, dict, string or number")
        return to_frame(value) or known
    if path == "$":
        return f"{records}, or omit codec"
    return f"{records}, or share the data frame as a value of its own"


_PLAIN = frozenset((type(None), bool, int, str, float))
_CURES: dict[type, str] = {
    tuple: "list(...)",
    set: "sorted(...)",
    frozenset: "sorted(...)",
}

MAX_DEPTH = 200


def check_size(encoded: bytes, max_bytes: int, what: str, setting: str) -> None:
    """Raise `EncodingError` if a stored form is too large."""
    if len(encoded) > max_bytes:
        raise EncodingError(
            f"{what} of {len(encoded):,} bytes is larger than {setting}={max_bytes:,}. Send less, "
            f"or increase {setting} in FlashEvents(app, ...)."
        )


def _unsendable(value: Any, path: str = "$") -> tuple[str, Any]:
    """Return path and value of what has no JSON form."""
    parts: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        parts = [(f"{path}[{key!r}]", part) for key, part in value.items()]
    elif isinstance(value, list | tuple):
        parts = [(f"{path}[{index}]", part) for index, part in enumerate(value)]
    for name, part in parts:
        try:
            to_json(part)
        except (TypeError, ValueError):
            return _unsendable(part, name)
        except RecursionError:
            break
    return path, value
