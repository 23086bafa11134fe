"""`stream_props(...)`, which returns an `Update`: props of components, to be applied together."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import NoneType
from typing import Any, overload

from dash import ALL, ALLSMALLER, MATCH, NoUpdate
from dash.dependencies import Wildcard
from dash.development.base_component import Component

from flash_events import bridge
from flash_events.errors import UpdateError
from flash_events.mistakes import commands, cures

ComponentId = str | dict[str, Any]
"""A string id or a dict id; in a dict, MATCH and ALL have their meaning in Dash."""

Props = Mapping[str, Any]

Batch = Iterable[tuple[ComponentId | Component, Props]] | Mapping[str, Props]
"""Pairs of id and props, or a dict of props by id."""

_LIKE_NO_UPDATE = frozenset((NoUpdate, type, dict))
"""Types of the forms of `dash.no_update`: its instance, its class, and its JSON form."""


@dataclass(frozen=True, slots=True)
class Update:
    """Props for one or several components, applied together; an event callback yields it.

    Create it with `stream_props`.

    Attributes:
        targets: pairs of component id and props, in the given order; pairs without props are left
            out.
        alone: whether the update is never merged with another one, which is right if setting a prop
            is an action.
    """

    targets: tuple[tuple[ComponentId, Props], ...]
    alone: bool = False


_PARTS = (str, int, float, bool, Wildcard, NoneType)
"""Types that the values of a dict id may have."""

Answer = Update | NoUpdate | Sequence[Update | NoUpdate | None] | None
"""One or several updates, or nothing, as `on_error`, `on_state` and `emit` take it."""

NOTHING = Update(())
"""The update that sets nothing."""


@overload
def stream_props(
    component_id: ComponentId | Component, props: Props, /, *, alone: bool = False
) -> Update: ...
@overload
def stream_props(batch: Batch, /, *, alone: bool = False) -> Update: ...
@overload
def stream_props(
    *, component_id: ComponentId | Component, props: Props, alone: bool = False
) -> Update: ...
@overload
def stream_props(*, batch: Batch, alone: bool = False) -> Update: ...
def stream_props(
    *args: Any,
    component_id: ComponentId | Component | None = None,
    props: Props | None = None,
    batch: Batch | None = None,
    alone: bool = False,
    **unknown: object,
) -> Update:
    """Return an update; an event callback yields it to stream it to the page.

    Forms: `stream_props("id", {"children": 1})`, `stream_props([("a", {...}), ("b", {...})])`, and
    the same by keyword: `component_id=, props=` or `batch=`.

    Args:
        component_id: a string id, a dict id or a component. In a dict id, MATCH stands for the
            value of the triggering component, and ALL for every matching component on the page.
        props: the props to set, with any values that Dash can send, including Patch. A prop with
            the value `dash.no_update` is not set.
        batch: several pairs of id and props, or a dict of props by id; their state props are
            applied in one React commit.
        alone: whether the update is never merged with an earlier or later one.

    Raises:
        UpdateError: if the arguments have none of these forms.
    """
    if unknown:
        call = _call(args, component_id=component_id, props=props, batch=batch, **unknown)
        raise _wrong_call(call, cures.instead_of_call(args, unknown))
    if len(args) == 2:
        return _of_one(*args, alone)
    if len(args) == 1 and component_id is None:
        component_id, batch = (None, args[0]) if props is None else (args[0], None)
    if batch is None and component_id is not None and props is not None:
        return _of_one(component_id, props, alone)
    if batch is None or component_id is not None or props is not None or len(args) > 1:
        call = _call(args, component_id=component_id, props=props, batch=batch)
        raise _wrong_call(call, cures.instead_of_call(args, {}))
    return Update(tuple(target for target in _targets(batch) if target[1]), alone)


def together(updates: Iterable[object], verb: str = "yield") -> Update:
    """Return several updates as one, so that they are applied in one commit.

    None and `no_update` are skipped. See `as_update` for `verb`.

    Raises:
        UpdateError: if one of them is not an update.
    """
    targets: list[tuple[ComponentId, Props]] = []
    alone = False
    for update in updates:
        if is_nothing(update):
            continue
        if not isinstance(update, Update):
            raise not_an_update(update, verb)
        targets.extend(update.targets)
        alone = alone or update.alone
    return Update(tuple(targets), alone)


def as_update(item: object, verb: str = "yield") -> Update:
    """Return a yielded item as one update; an empty one for None and `no_update`.

    Args:
        item: the item that was yielded, returned or emitted.
        verb: "yield", "return" or "emit", for the error message.

    Raises:
        UpdateError: if it is neither an update nor a list of updates.
    """
    if is_nothing(item):
        return NOTHING
    if isinstance(item, list | tuple) and not cures.is_pair(item):
        return together(item, verb)
    if not isinstance(item, Update):
        raise not_an_update(item, verb)
    return item


def is_no_update(value: object) -> bool:
    """Return whether a value is `dash.no_update` in one of its forms."""
    return type(value) in _LIKE_NO_UPDATE and NoUpdate.is_no_update(value)


def is_nothing(item: object) -> bool:
    """Return whether an item sets nothing: None or `dash.no_update`."""
    return item is None or is_no_update(item)


def not_an_update(got: object, verb: str = "yield") -> UpdateError:
    """Return the error for a value in place of an update; see `as_update` for `verb`."""
    expected = {"yield": "the generator to yield", "return": "the function to return"}
    return UpdateError(
        f"Expected {expected.get(verb, 'emit to get')} stream_props(...), a list of them or None, "
        f"got {type(got).__name__} {got!r:.80}. {cures.instead_of_yielded(got, verb)}"
    )


def checked_id(component_id: object) -> ComponentId:
    """Return an id, or the id of a component.

    Raises:
        UpdateError: if it is not a component id.
    """
    return _target(component_id, {})[0]


def _of_one(component_id: object, props: object, alone: bool) -> Update:
    target = _target(component_id, props)
    return Update((target,) if target[1] else (), alone)


def _targets(batch: object) -> Iterable[tuple[ComponentId, Props]]:
    pairs = batch.items() if isinstance(batch, Mapping) else batch
    if isinstance(pairs, str | Component) or not isinstance(pairs, Iterable):
        raise UpdateError(
            "Expected a list of (id, props) pairs, "
            f"got {type(batch).__name__} {batch!r:.80}. Did you forget the props?"
        )
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise UpdateError(
                f"Expected an (id, props) pair in the batch, got {pair!r:.80}. "
                'Write: [("out", {"children": ...}), ...].'
            )
        yield _target(*pair)


def _target(component_id: Any, props: Any) -> tuple[ComponentId, Props]:
    if type(component_id) is str:
        _check_string(component_id)
    else:
        component_id = bridge.id_of(component_id)
        _check_id(component_id)
    if is_no_update(props):
        return component_id, {}
    if type(props) is not dict and not isinstance(props, Mapping):
        raise UpdateError(
            f"Expected a dict of props for {component_id!r}, "
            f"got {type(props).__name__} {props!r:.80}. {cures.instead_of_props(props)}"
        )
    given = dict(props)
    for prop, value in props.items():
        if type(prop) is not str:
            raise UpdateError(f"Expected prop names of {component_id!r} as strings, got {prop!r}.")
        if type(value) in _LIKE_NO_UPDATE and is_no_update(value):  # saves a call for most values
            del given[prop]
        elif prop in commands.PROPS:
            commands.check_command(component_id, prop, value)
    return component_id, given


def _check_id(component_id: object) -> None:
    if isinstance(component_id, str):
        _check_string(component_id)
    elif not isinstance(component_id, dict) or not component_id:
        raise _not_an_id(component_id)
    else:
        for key, part in component_id.items():
            if type(key) is not str or not isinstance(part, _PARTS):
                raise _not_a_part(component_id, key, part)
            for text in (key, part):
                if isinstance(text, str) and not text.isprintable():
                    _check_characters(text, component_id)


@lru_cache(4096)  # most updates are of a few components
def _check_string(component_id: str) -> None:
    if not component_id:
        raise _not_an_id(component_id)
    if component_id.startswith("{"):
        _check_json(component_id)
    if not component_id.isprintable():
        _check_characters(component_id, component_id)


def _not_an_id(got: object) -> UpdateError:
    return UpdateError(
        "Expected a component id (a string, a dict or a component), "
        f"got {type(got).__name__} {got!r:.80}. {cures.instead_of_id(got)}"
    )


def _not_a_part(component_id: dict[Any, Any], key: object, part: object) -> UpdateError:
    expected, got = ("keys", key) if type(key) is not str else ("values", part)
    kinds = "strings" if expected == "keys" else "strings, numbers, booleans or wildcards"
    is_number = expected == "values" and hasattr(got, "__index__")
    cure = "int(...)" if is_number else "str(...)"
    return UpdateError(
        f"Expected the {expected} of a dict id to be {kinds}, got {type(got).__name__} {got!r:.40} "
        f"in {component_id!r:.80}. Write {cure} around it, also in the layout."
    )


def _check_characters(text: str, component_id: object) -> None:
    """Raise `UpdateError` if an id has line ends or NUL, which would split events and keys."""
    if any(character in text for character in "\r\n\0"):
        raise UpdateError(
            f"Expected a component id without CR, LF and NUL, got {component_id!r:.80}. "
            "Remove them from the id, also in the layout."
        )


def _check_json(component_id: str) -> None:
    """Raise `UpdateError` unless a string with "{" is the JSON form of a dict id.

    `dash.set_props` passes dict ids in this form.
    """
    try:
        is_dict = isinstance(json.loads(component_id), dict)
    except ValueError:
        is_dict = False
    if not is_dict:
        raise UpdateError(
            f"Expected a string id without '{{', got {component_id!r:.80}. "
            "Pass a dict id as a dict."
        )


def _wrong_call(call: str, cure: str) -> UpdateError:
    return UpdateError(
        f"Expected stream_props(id, props) or stream_props([(id, props), ...]), got {call}. {cure}"
    )


def _call(args: tuple[Any, ...], **named: Any) -> str:
    parts = [f"{value!r:.40}" for value in args]
    parts += [f"{name}={value!r:.40}" for name, value in named.items() if value is not None]
    return f"stream_props({', '.join(parts)})"


def check_wildcards(component_id: Any, match_keys: frozenset[str], error: type[Exception]) -> None:
    """Raise `error` if a wildcard in an id has no meaning."""
    if not isinstance(component_id, dict):
        return
    for key, value in component_id.items():
        if value is MATCH and key not in match_keys:
            raise error(
                f"MATCH in {component_id!r} stands for the triggering component's {key!r}, "
                f"but no Input of the callback has MATCH at {key!r}."
            )
        if value is ALLSMALLER or (isinstance(value, Wildcard) and value not in (MATCH, ALL)):
            raise error(f"Expected MATCH or ALL as wildcard in {component_id!r}, got {value!r}.")
