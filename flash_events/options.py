"""The options of `@event_callback`: checks, and conversion to the form that the browser reads."""

import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal, Protocol, TypedDict, get_args

from dash import MATCH, Input, Output
from dash.dependencies import DashDependency
from dash.development.base_component import Component

from flash_events import bridge
from flash_events.errors import CallbackError, UpdateError, did_you_mean
from flash_events.updates import (
    Answer,
    ComponentId,
    Props,
    check_wildcards,
    checked_id,
    is_no_update,
    stream_props,
)
from flash_events.wire.json import to_json

logger = logging.getLogger(__name__)

Overlap = Literal["restart", "skip", "queue", "parallel"]
OnDisconnect = Literal["cancel", "finish"]

Dependencies = DashDependency | Sequence["Dependencies"] | Mapping[str, "Dependencies"]
"""Inputs and States, in any grouping that `dash.callback` takes."""

Cancel = Input | tuple[Input, Any] | Sequence[Input | tuple[Input, Any]]
"""Inputs that cancel a run at any change, or pairs of an Input and a value that does not cancel."""

_Pair = tuple[ComponentId | Component, Props]
ResetProps = Mapping[str, Props] | Sequence[_Pair] | _Pair
"""Pairs of id and props, a dict of them, or a single pair."""

Running = tuple[Output, Any, Any] | Sequence[tuple[Output, Any, Any]]
"""`(Output, while_running, afterwards)`, one or several."""

OnError = Callable[[Exception], Answer | Awaitable[Answer]]
"""An error handler; may be async."""


class CeleryApp(Protocol):
    """A `celery.Celery`, as a protocol because Celery has no types and may not be installed."""

    def send_task(self, *args: Any, **kwargs: Any) -> Any:
        """Send a task."""

    def task(self, *args: Any, **kwargs: Any) -> Any:
        """Return a task."""


class Options(TypedDict, total=False):
    """The options of `@event_callback`; see its docstring."""

    inputs: Dependencies | None
    state: Dependencies | None
    cancel: Cancel
    reset_props: ResetProps
    running: Running
    on_error: OnError | None
    overlap: Overlap
    on_disconnect: OnDisconnect
    worker: CeleryApp | None
    timeout: float | None
    keep_alive: bool
    prevent_initial_call: bool


_INPUT = 'Input("start", "n_clicks")'
_CANCEL = 'cancel=[Input("stop", "n_clicks")]'
_RUNNING = 'running=[(Output("start", "disabled"), True, False)]'
_RESET = 'reset_props={"out": {"children": ""}}'
_EXAMPLES = {"cancel": _CANCEL, "running": _RUNNING}

_KNOWN = tuple(Options.__annotations__)

_NO_BACKGROUND = (
    "An event callback never blocks the page: remove it. To run the work in Celery workers, write "
    "worker=celery_app."
)
_NO_PROGRESS = "Yield stream_props(id, {prop: value}) as the work goes on, or use track(...)."
_NO_OUTPUT = "An event callback has no Outputs: yield stream_props(id, {prop: value}) instead."
_OF_DASH = "It is an option of dash.callback that an event callback does not have: remove it."
_CURES = {
    **dict.fromkeys(("background", "manager", "interval"), _NO_BACKGROUND),
    **dict.fromkeys(("progress", "progress_default"), _NO_PROGRESS),
    **dict.fromkeys(("output", "outputs"), _NO_OUTPUT),
    **dict.fromkeys(
        (
            *("cache_args_to_ignore", "cache_ignore_triggered", "api_endpoint", "optional"),
            *("hidden", "websocket", "persistent", "mcp_enabled", "mcp_expose_docstring"),
        ),
        _OF_DASH,
    ),
}
"""The cures for options that only other decorators have."""

COUNTERS = ("n_clicks", "n_submit", "n_blur", "n_close", "n_clicks_left")
"""Props that count up from 0, so each value above 0 occurs only once."""


def unknown_option(name: str) -> CallbackError:
    """Return the error for an option that `@event_callback` does not have."""
    cure = _CURES.get(name) or did_you_mean(name, _KNOWN)
    return CallbackError(f"Unknown option {name!r} of @event_callback. {cure}")


def _name_of(thing: Any) -> str:
    return f"function {thing.__name__!r}" if hasattr(thing, "__name__") else repr(thing)


def _as_input(got: Any) -> str:
    """Return the source of an Input that was probably intended by another value."""
    if isinstance(got, str) and got.count(".") == 1:
        component_id, prop = got.split(".")
        return f'Input("{component_id}", "{prop}")'
    return f'Input("{got}", "n_clicks")' if isinstance(got, str) and got else _INPUT


def _check_dependency_id(dependency: DashDependency) -> None:
    """Raise `CallbackError` if the id or the prop of a dependency is invalid."""
    kind = type(dependency).__name__
    if not isinstance(dependency.component_id, str | dict):
        raise CallbackError(
            f"Expected the component id in {kind}(...) to be a string, a dict or a component, "
            f"got {dependency.component_id!r:.80}. Write one {kind} for each component: "
            f'{kind}("start", "n_clicks").'
        )
    try:
        checked_id(dependency.component_id)
    except UpdateError as error:
        raise CallbackError(f"In {kind}(...): {error}") from None
    if not isinstance(dependency.component_property, str):
        raise CallbackError(
            f"Expected the name of a prop as a string, got {dependency.component_property!r:.80}. "
            f"Write: {_INPUT}."
        )


def check_options(given: Mapping[str, Any]) -> None:
    """Raise `CallbackError` if an option has an invalid value."""
    for name, literal in (("overlap", Overlap), ("on_disconnect", OnDisconnect)):
        if given[name] not in get_args(literal):
            expected = ", ".join(map(repr, get_args(literal)))
            raise CallbackError(f"Expected {name} to be one of {expected}, got {given[name]!r}.")
    if given["on_error"] is not None:
        _check_on_error(given["on_error"])
    timeout = given["timeout"]
    is_number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    if timeout is not None and not (is_number and timeout > 0):
        raise CallbackError(f"Expected timeout to be seconds above 0 or None, got {timeout!r}.")
    for name in ("keep_alive", "prevent_initial_call"):
        if not isinstance(given[name], bool):
            raise CallbackError(f"Expected {name} to be True or False, got {given[name]!r}.")


def spec_of(given: Mapping[str, Any], match_keys: frozenset[str]) -> dict[str, Any]:
    """Return the spec of a callback's options for the browser.

    Raises:
        CallbackError: if an entry of `cancel`, `reset_props` or `running` is invalid.
    """
    return {
        "overlap": given["overlap"],
        "onDisconnect": given["on_disconnect"],
        "keepAlive": given["keep_alive"],
        "cancel": cancel_entries(given["cancel"], match_keys),
        "reset": reset_entries(given["reset_props"], match_keys),
        "running": running_entries(given["running"], match_keys),
    }


def _check_on_error(on_error: Any) -> None:
    write = "Write: def on_error(error): return stream_props(id, {prop: value})."
    if not callable(on_error):
        raise CallbackError(
            f"Expected on_error to be a function of the exception, got {on_error!r:.80}. {write}"
        )
    if inspect.isgeneratorfunction(on_error) or inspect.isasyncgenfunction(on_error):
        raise CallbackError(
            f"Expected on_error to return its updates, got generator {_name_of(on_error)}. {write}"
        )
    with suppress(ValueError):  # some functions that are written in C have no signature
        try:
            inspect.signature(on_error).bind(None)
        except TypeError:
            raise CallbackError(
                "Expected on_error to be a function of the exception, "
                f"got {_name_of(on_error)} with {inspect.signature(on_error)}. {write}"
            ) from None


def refuse_outputs(groupings: list[Any]) -> None:
    """Raise `CallbackError` if the dependencies have anything but Inputs and States."""
    if len(groupings) == 1 and callable(groupings[0]) and not isinstance(groupings[0], type):
        raise CallbackError(
            f"Expected Inputs and States, got {_name_of(groupings[0])}: the decorator has no "
            f"parentheses. Write: @event_callback({_INPUT})."
        )
    for dependency in bridge.flatten(groupings):
        if isinstance(dependency, Output):
            raise CallbackError(
                f"Expected only Inputs and States, got {dependency!r}. {_NO_OUTPUT}"
            )
        if not isinstance(dependency, DashDependency):
            raise CallbackError(
                f"Expected Inputs and States, got {type(dependency).__name__} {dependency!r:.80}. "
                f"Write: @event_callback({_as_input(dependency)})."
            )
        _check_dependency_id(dependency)


def match_keys_of(dependencies: Iterable[DashDependency]) -> frozenset[str]:
    """Return the keys with MATCH in the ids of these dependencies."""
    return frozenset(
        key
        for dependency in dependencies
        if isinstance(dependency.component_id, dict)
        for key, value in dependency.component_id.items()
        if value is MATCH
    )


def cancel_entries(cancel: Any, match_keys: frozenset[str]) -> list[dict[str, Any]]:
    """Return the entries of `cancel` as `{id, property, allowed?}` each."""
    entries: list[dict[str, Any]] = []
    seen: set[str] = set()
    for entry in _as_list(cancel, "cancel"):
        trigger, *allowed = entry if isinstance(entry, list | tuple) else (entry,)
        if not isinstance(trigger, Input) or len(allowed) > 1:
            raise CallbackError(
                "Expected cancel entries to be an Input or (Input, allowed value), "
                f"got {entry!r:.120}. Write: {_CANCEL}."
            )
        _check_dependency_id(trigger)
        _warn_of_counter(trigger, allowed)
        check_wildcards(trigger.component_id, match_keys, CallbackError)
        if str(trigger) in seen:
            raise CallbackError(f"{trigger!r} is in cancel twice. Keep one of them.")
        seen.add(str(trigger))
        wire = bridge.wire_dependency(trigger)
        wire.pop("allow_optional", None)
        if allowed:
            wire["allowed"] = _checked(allowed[0], f"The allowed value of {trigger!r} in cancel")
        entries.append(wire)
    return entries


def _warn_of_counter(trigger: Input, allowed: list[Any]) -> None:
    """Warn if the value that does not cancel is the number of a click.

    dash-event-callback's own example has pairs with the value 1, but there any change cancels.
    """
    if trigger.component_property in COUNTERS and allowed and allowed[0] not in (0, None):
        logger.warning(
            "cancel=[(%r, %r)]: a change to %r does not cancel, so click number %r does nothing. "
            "Write: cancel=[Input(%r, %r)].",
            trigger,
            *[allowed[0]] * 3,
            trigger.component_id,
            trigger.component_property,
        )


def reset_entries(reset_props: Any, match_keys: frozenset[str]) -> list[list[Any]]:
    """Return the entries of `reset_props` as `[id, props]` each."""
    pairs = list(reset_props.items()) if isinstance(reset_props, Mapping) else reset_props
    if not isinstance(pairs, list | tuple):
        raise CallbackError(
            "Expected reset_props to be a list of (id, {prop: value}) or a dict, "
            f"got {type(reset_props).__name__} {reset_props!r:.80}. Write: {_RESET}."
        )
    if len(pairs) == 2 and isinstance(pairs[1], Mapping):  # a single pair without a list
        pairs = [pairs]
    entries = []
    for pair in pairs:
        try:
            update = stream_props([pair])
        except UpdateError as error:
            raise CallbackError(f"In reset_props: {error}") from None
        for component_id, props in update.targets:
            check_wildcards(component_id, match_keys, CallbackError)
            _checked(props, f"The props of {component_id!r} in reset_props")
            entries.append([bridge.wire_id(component_id), props])
    return entries


def running_entries(running: Any, match_keys: frozenset[str]) -> list[list[Any]]:
    """Return the entries of `running` as `[id, property, while_running, afterwards]` each."""
    entries = []
    for entry in _as_list(running, "running"):
        if not isinstance(entry, list | tuple) or len(entry) != 3:
            raise CallbackError(
                "Expected running entries to be (Output, while_running, afterwards), "
                f"got {entry!r:.120}. Write: {_RUNNING}."
            )
        output, on, off = entry
        if not isinstance(output, Output):
            raise CallbackError(
                f"Expected an Output first in a running entry, got {output!r:.80}. "
                f"Write: {_RUNNING}."
            )
        check_wildcards(output.component_id, match_keys, CallbackError)
        # The browser recognises Dash's JSON form of `no_update`, and does not set the prop.
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
        raise CallbackError(
            f"Expected {option} to be a list, got {value!r:.80}. Write: {_EXAMPLES[option]}."
        )
    return list(value)


def _is_one_entry(value: Any) -> bool:
    """Return whether this is a single `(dependency, value, ...)` without a list."""
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
