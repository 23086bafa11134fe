"""Error messages for updates that cannot be sent: the innermost value without a JSON form."""

from typing import Any

from flash_events.errors import EncodingError
from flash_events.mistakes import cures
from flash_events.updates import Update, is_no_update
from flash_events.wire.json import children_of, has_key, to_json


def culprit(update: Update, error: Exception) -> EncodingError:
    """Return an error that names component, prop, type and path of the value.

    Args:
        update: the update that cannot be sent.
        error: the exception of the encoder.
    """
    for component_id, props in update.targets:
        for prop, value in props.items():
            found = _unsendable(value, prop)
            if found is not None:
                return EncodingError(
                    f"The value of {prop!r} of component {component_id!r} cannot be sent: {found}"
                )
    ids = ", ".join(repr(component_id) for component_id, _ in update.targets)
    return EncodingError(f"The update of {ids} cannot be sent: {error}")


def _unsendable(value: Any, path: str) -> str | None:
    """Return a sentence about the innermost part of a value that cannot be sent, or None."""
    try:
        to_json(value)
    except (TypeError, ValueError) as error:
        if "Circular" in str(error):
            return f"{type(value).__name__} at {path} contains itself, or is nested too deeply."
        inner = children_of(value)
        if isinstance(inner, dict):
            parts = [(f"{path}[{key!r}]", part) for key, part in inner.items()]
        elif isinstance(inner, list | tuple):
            parts = [(f"{path}[{index}]", part) for index, part in enumerate(inner)]
        else:
            return _of_leaf(value, path)
        for part_path, part in parts:
            found = _unsendable(part, part_path)
            if found is not None:
                return found
        for key in inner:
            if isinstance(inner, dict) and not has_key(key):
                return (
                    f"{type(key).__name__} {key!r:.80} at {path} has no JSON form as a dict key. "
                    "Write str(key)."
                )
        return _of_leaf(value, path)
    return None


def _of_leaf(value: Any, path: str) -> str:
    if is_no_update(value):
        return (
            f"no_update at {path} is inside a value, but only a whole prop can be left unchanged. "
            "Leave it out, or use a Patch."
        )
    hint = cures.instead_of_unsendable(value)
    return f"{type(value).__name__} at {path} has no JSON form." + (f" {hint}" if hint else "")
