"""Names of topics: their parameters, and the ids of their logs."""

import hashlib
import json
import re
from collections.abc import Mapping

from flash_events.errors import CallbackError
from flash_events.stores import LogId

_PARAMETER = re.compile(r"\{([^{}]*)\}")

MAX_NAME = 200
MAX_PARAMETER = 200


def parameters_of(name: object) -> tuple[str, ...]:
    """Return the parameters of a topic's name, in order.

    Raises:
        CallbackError: if the name is not valid.
    """
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise CallbackError(
            f"Expected the name of a topic as 1 to {MAX_NAME} printable characters, got "
            f'{type(name).__name__} {name!r:.80}. Write a name such as "prices" or "room/{{room}}".'
        )
    parameters = tuple(_PARAMETER.findall(name))
    rest = _PARAMETER.sub("", name)
    is_valid = all(one.isidentifier() for one in parameters) and "{" not in rest + "".join(
        parameters
    )
    if not is_valid or "}" in rest or len(set(parameters)) < len(parameters):
        raise CallbackError(
            f"Expected each parameter in the name of a topic as {{name}}, each once, got {name!r}. "
            'Write, for example, topic("room/{room}").'
        )
    return parameters


def checked_parameter(topic: str, parameter: str, value: object) -> str:
    """Return the value of a parameter.

    Raises:
        CallbackError: if it is not a short printable string or an integer.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_PARAMETER or not value.isprintable():
        raise CallbackError(
            f"Expected {parameter} of the topic {topic!r} as a string of 1 to {MAX_PARAMETER} "
            f"printable characters, got {type(value).__name__} {value!r:.80}."
        )
    return value


def log_id(namespace: str, name: str, parameters: Mapping[str, str], scope: str = "app") -> LogId:
    """Return the id of a log: a hash, so that no name becomes a part of a key."""
    parts = json.dumps([namespace, scope, name, sorted(parameters.items())])
    return LogId(hashlib.blake2b(parts.encode(), digest_size=16).hexdigest())
