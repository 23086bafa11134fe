"""Why an update cannot be sent: the innermost value that has no JSON form, and where it is."""

from typing import Any

from flash_events.encoding import children_of, to_json
from flash_events.errors import EncodingError
from flash_events.updates import Update


def culprit(update: Update, error: Exception) -> EncodingError:
    """The error that names component, prop and type; `error` is what the encoder has said."""
    for component_id, props in update.targets:
        for prop, value in props.items():
            found = _unsendable(value, "")
            if found is not None:
                path, value = found
                hint = (
                    " A DataFrame has several JSON forms; choose one, for instance "
                    '.to_dict("records").'
                    if type(value).__name__ == "DataFrame"
                    else ""
                )
                return EncodingError(
                    f"The value of {prop!r} of component {component_id!r} cannot be sent: "
                    f"{type(value).__name__} at {prop}{path} has no JSON form.{hint}"
                )
    ids = ", ".join(repr(component_id) for component_id, _ in update.targets)
    return EncodingError(f"The update of {ids} cannot be sent: {error}")


def _unsendable(value: Any, path: str) -> tuple[str, Any] | None:
    """The innermost value that cannot be sent, and its path; None if all can."""
    try:
        to_json(value)
    except (TypeError, ValueError, RecursionError) as error:
        if "Circular" in str(error):
            return path, value
        inner = children_of(value)
        if isinstance(inner, dict):
            parts = [(f"{path}[{key!r}]", part) for key, part in inner.items()]
        elif isinstance(inner, list | tuple):
            parts = [(f"{path}[{index}]", part) for index, part in enumerate(inner)]
        else:
            return path, value
        for part_path, part in parts:
            found = _unsendable(part, part_path)
            if found is not None:
                return found
        return path, value
    return None
