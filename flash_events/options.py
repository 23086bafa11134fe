"""The options of `@event_callback`, checked and written as the browser reads them."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

from dash import ALL, ALLSMALLER, MATCH, Input, Output
from dash.dependencies import DashDependency, Wildcard

from flash_events import bridge
from flash_events.errors import CallbackError, UpdateError
from flash_events.updates import is_no_update, stream_props
from flash_events.wire.json import to_json

Overlap = Literal["restart", "skip", "queue", "parallel"]
OnDisconnect = Literal["cancel", "finish"]


def check_options(
    on_error: Any,
    overlap: Any,
    on_disconnect: Any,
    timeout: Any,
    keep_alive: Any,
    prevent_initial_call: Any,
) -> None:
    """Raises `CallbackError` where an option has no meaning."""
    for name, value, literal in (
        ("overlap", overlap, Overlap),
        ("on_disconnect", on_disconnect, OnDisconnect),
    ):
        if value not in get_args(literal):
            expected = ", ".join(map(repr, get_args(literal)))
            raise CallbackError(f"Expected {name} to be one of {expected}, got {value!r}.")
    if on_error is not None and not callable(on_error):
        raise CallbackError(
            f"Expected on_error to be a function of the exception, got {on_error!r}."
        )
    is_number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    if timeout is not None and not (is_number and timeout > 0):
        raise CallbackError(f"Expected timeout to be seconds above 0 or None, got {timeout!r}.")
    for name, flag in (("keep_alive", keep_alive), ("prevent_initial_call", prevent_initial_call)):
        if not isinstance(flag, bool):
            raise CallbackError(f"Expected {name} to be True or False, got {flag!r}.")


def refuse_outputs(groupings: list[Any]) -> None:
    """Raises `CallbackError` for anything but Inputs and States."""
    for dependency in bridge.flatten(groupings):
        if isinstance(dependency, Output):
            raise CallbackError(
                f"Expected only Inputs and States, got {dependency!r}. "
                "An event callback has no Outputs: yield stream_props(id, {prop: value}) instead."
            )
        if not isinstance(dependency, DashDependency):
            raise CallbackError(
                f"Expected Inputs and States, got {type(dependency).__name__} {dependency!r:.80}."
            )


def match_keys_of(dependencies: Iterable[DashDependency]) -> frozenset[str]:
    """The keys at which the ids of these dependencies say MATCH."""
    return frozenset(
        key
        for dependency in dependencies
        if isinstance(dependency.component_id, dict)
        for key, value in dependency.component_id.items()
        if value is MATCH
    )


def check_wildcards(
    component_id: Any, match_keys: frozenset[str], error: type[Exception] = CallbackError
) -> None:
    """Raises `error` where a wildcard in an id stands for nothing."""
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


def cancel_entries(cancel: Any, match_keys: frozenset[str]) -> list[dict[str, Any]]:
    """`cancel` as `{id, property, allowed?}` each."""
    entries: list[dict[str, Any]] = []
    seen: set[str] = set()
    for entry in _as_list(cancel, "cancel"):
        trigger, *allowed = entry if isinstance(entry, list | tuple) else (entry,)
        if not isinstance(trigger, Input) or len(allowed) > 1:
            raise CallbackError(
                "Expected cancel entries to be an Input or (Input, allowed value), "
                f"got {entry!r:.120}."
            )
        check_wildcards(trigger.component_id, match_keys)
        if str(trigger) in seen:
            raise CallbackError(f"{trigger!r} stands twice in cancel. Keep one of them.")
        seen.add(str(trigger))
        wire = bridge.wire_dependency(trigger)
        wire.pop("allow_optional", None)
        if allowed:
            wire["allowed"] = _checked(allowed[0], f"The allowed value of {trigger!r} in cancel")
        entries.append(wire)
    return entries


def reset_entries(reset_props: Any, match_keys: frozenset[str]) -> list[list[Any]]:
    """`reset_props` as `[id, props]` each."""
    pairs = list(reset_props.items()) if isinstance(reset_props, Mapping) else reset_props
    if not isinstance(pairs, list | tuple):
        raise CallbackError(
            "Expected reset_props to be a list of (id, {prop: value}) or a dict, "
            f"got {type(reset_props).__name__} {reset_props!r:.80}."
        )
    if len(pairs) == 2 and isinstance(pairs[1], Mapping):  # one pair, not wrapped in a list
        pairs = [pairs]
    entries = []
    for pair in pairs:
        try:
            update = stream_props([pair])
        except UpdateError as error:
            raise CallbackError(f"In reset_props: {error}") from None
        for component_id, props in update.targets:
            check_wildcards(component_id, match_keys)
            _checked(props, f"The props of {component_id!r} in reset_props")
            entries.append([bridge.wire_id(component_id), props])
    return entries


def running_entries(running: Any, match_keys: frozenset[str]) -> list[list[Any]]:
    """`running` as `[id, property, while_running, afterwards]` each."""
    entries = []
    for entry in _as_list(running, "running"):
        if not isinstance(entry, list | tuple) or len(entry) != 3:
            raise CallbackError(
                "Expected running entries to be (Output, while_running, afterwards), "
                f"got {entry!r:.120}."
            )
        output, on, off = entry
        if not isinstance(output, Output):
            raise CallbackError(f"Expected an Output first in a running entry, got {output!r:.80}.")
        check_wildcards(output.component_id, match_keys)
        # The browser leaves the prop alone where a value is `no_update`, which it knows as Dash's.
        values = [bridge.NO_UPDATE if is_no_update(value) else value for value in (on, off)]
        for value in values:
            if value is not bridge.NO_UPDATE:
                _checked(value, f"A value of {output!r} in running")
        wire = bridge.wire_dependency(output)
        entries.append([wire["id"], wire["property"], *values])
    return entries


def _as_list(value: Any, option: str) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, DashDependency) or _is_one_entry(value):
        return [value]
    if not isinstance(value, list | tuple):
        raise CallbackError(f"Expected {option} to be a list, got {value!r:.80}.")
    return list(value)


def _is_one_entry(value: Any) -> bool:
    """Whether this is one `(dependency, value, ...)` that was not wrapped in a list."""
    return (
        isinstance(value, tuple)
        and len(value) > 1
        and isinstance(value[0], DashDependency)
        and not isinstance(value[1], DashDependency | tuple)
    )


def _checked(value: Any, what: str) -> Any:
    try:
        to_json(value)
    except (TypeError, ValueError) as error:
        raise CallbackError(f"{what} cannot be sent to the browser: {error}.") from None
    return value
