"""Suggested code in place of a value that is not an update."""

import inspect
from collections.abc import Iterator, KeysView, Mapping, ValuesView
from datetime import timedelta
from pathlib import PurePath
from typing import Any

from dash.dependencies import DashDependency
from dash.development.base_component import Component


def instead_of_yielded(got: Any, verb: str) -> str:
    """Return the code to write in place of a value that was yielded, returned or emitted."""
    if inspect.isasyncgen(got) or inspect.isgenerator(got):
        if verb != "yield":
            return f"It cannot stream: {verb} one update, or a list of them."
        if inspect.isasyncgen(got):
            return "Write: async for update in ...: yield update."
        return "Write: yield from ..., or in an `async def`: for update in ...: yield update."
    if inspect.isawaitable(got):
        return "Did you forget `await`?"
    if isinstance(got, bytes):
        return "Is it stream_props of another package? Import it from flash_events."
    update = f"stream_props({_arguments_for(got)})"
    return f"Write: emit({update})." if verb == "emit" else f"Write: {verb} {update}."


def _arguments_for(got: Any) -> str:
    """Return the arguments of `stream_props` that a wrong value was probably meant to be."""
    if isinstance(got, DashDependency):
        return f"{got.component_id!r}, {{{got.component_property!r}: ...}}"
    if isinstance(got, Component):
        return 'id, {"children": ...}'
    if is_pair(got):
        return f"{got[0]!r}, {_short(got[1])}"
    if isinstance(got, Mapping):
        is_batch = got and all(isinstance(props, Mapping) for props in got.values())
        return _short(got) if is_batch else f"id, {_short(got)}"
    return f'id, {{"children": {_short(got)}}}'


def instead_of_call(args: tuple[Any, ...], unknown: Mapping[str, Any]) -> str:
    """Return the code to write in place of an invalid call of `stream_props`."""
    component_id = repr(args[0]) if args and isinstance(args[0], str | dict) else "id"
    if unknown:
        props = ", ".join(f'"{name}": {_short(value)}' for name, value in unknown.items())
        return f"Write: stream_props({component_id}, {{{props}}})."
    if len(args) == 3 and isinstance(args[1], str):
        return f'Write: stream_props({component_id}, {{"{args[1]}": {_short(args[2])}}}).'
    return f"Write: stream_props({component_id}, {{prop: value}})."


def instead_of_id(got: Any) -> str:
    """Return the code to write in place of a value that is not a component id."""
    if isinstance(got, DashDependency):
        component_id, prop = got.component_id, got.component_property
        return f"Write: {component_id!r}, and the prop in a dict: {{{prop!r}: ...}}."
    if isinstance(got, list | tuple | set):
        return "For several components write: stream_props([(id, props), (id, props)])."
    if isinstance(got, int | float):
        return f'Write: "{got}", in the layout, too.'
    return 'Write: "out", or {"type": "card", "index": 1}.'


def instead_of_props(got: Any) -> str:
    """Return the code to write in place of a value that is not a dict of props."""
    if isinstance(got, Mapping | list | tuple | set):
        return 'Write: {"children": ...}.'
    return f'Write: {{"children": {_short(got)}}}.'


def instead_of_unsendable(value: Any) -> str:
    """Return the code to write in place of a value that has no JSON form."""
    kind = type(value)
    if inspect.isawaitable(value):
        return "Did you forget `await`?"
    if kind.__name__ == "DataFrame":
        records = ".to_dicts()" if kind.__module__.startswith("polars") else '.to_dict("records")'
        return f"A DataFrame has several JSON forms; choose one, for instance {records}."
    if isinstance(value, set | frozenset | range | KeysView | ValuesView | Iterator):
        return "Write list(...)."
    if kind.__name__ == "Row":  # of sqlite3 and others
        return "Write dict(...)."
    if isinstance(value, PurePath | timedelta | BaseException | complex):
        return "Write str(...)."
    if isinstance(value, bytes | bytearray):
        return "Write .decode() for a text, or dcc.send_bytes(...) for dcc.Download."
    if callable(value):
        return "Did you forget to call it?"
    if kind.__module__.startswith("matplotlib"):
        return "Take a figure of Plotly, or save it to PNG and show it in an html.Img."
    return ""


def is_pair(value: Any) -> bool:
    """Return whether a value is a pair of id and props, as in a batch."""
    return (
        isinstance(value, list | tuple)
        and len(value) == 2
        and isinstance(value[0], str | dict | Component)
        and isinstance(value[1], Mapping)
    )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 and "\n" not in text else "..."
