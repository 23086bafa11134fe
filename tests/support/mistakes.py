"""Common mistakes in the body of an event callback, with their messages.

`tests/test_mistakes.py` checks the server's log, `tests/browser/test_mistakes.py` the page.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from dash import Output, html

from flash_events import stream_props

stream: Any = stream_props
"""`stream_props` without its types, by which mypy would find most of these mistakes."""


@dataclass(frozen=True)
class Mistake:
    """A faulty body.

    Attributes:
        body: the generator function.
        says: parts of what is said, without quotation marks, which a page may show otherwise.
    """

    body: Callable[[int], AsyncIterator[Any] | Iterator[Any]]
    says: tuple[str, ...]


MISTAKES: dict[str, Mistake] = {}


def says(*parts: str) -> Callable[[Any], Any]:
    def note(body: Any) -> Any:
        MISTAKES[body.__name__.replace("_", "-")] = Mistake(body, parts)
        return body

    return note


@says("Write: stream_props", "children", "got stream_props")
async def props_as_keywords(_n: int) -> AsyncIterator[Any]:
    yield stream("out", children="hello")


@says("Write: stream_props", "got stream_props")
async def three_arguments(_n: int) -> AsyncIterator[Any]:
    yield stream("out", "children", "hello")


@says("Expected a dict of props", "got str", "Write: {")
async def value_without_prop(_n: int) -> AsyncIterator[Any]:
    yield stream("out", "hello")


@says("Expected a dict of props", "got set", "Write: {")
async def set_for_a_dict(_n: int) -> AsyncIterator[Any]:
    yield stream("out", {"children"})


@says("Expected a component id", "got list", "For several components write: stream_props([")
async def list_as_id(_n: int) -> AsyncIterator[Any]:
    yield stream(["out", "other"], {"children": "hello"})


@says("Expected a component id", "got Output", "the prop in a dict")
async def output_as_id(_n: int) -> AsyncIterator[Any]:
    yield stream(Output("out", "children"), {"children": "hello"})


@says("Expected the values of a dict id", "got set", "Write str(...) around it")
async def set_in_an_id(_n: int) -> AsyncIterator[Any]:
    yield stream({"type": {"a"}}, {"children": "hello"})


@says("Expected the values of a dict id", "got int64", "Write int(...) around it")
async def numpy_in_an_id(_n: int) -> AsyncIterator[Any]:
    yield stream({"type": "card", "index": np.int64(3)}, {"children": "hello"})


@says("Expected the generator to yield", "got int 42", "Write: yield stream_props(id, {")
async def a_plain_value(_n: int) -> AsyncIterator[Any]:
    yield 42


@says("Expected the generator to yield", "got tuple", "Write: yield stream_props(")
def a_pair(_n: int) -> Iterator[Any]:
    yield "out", {"children": "hello"}


@says("Expected the generator to yield", "got dict", "Write: yield stream_props(id, {")
async def a_dict(_n: int) -> AsyncIterator[Any]:
    yield {"children": "hello"}


@says("Expected the generator to yield", "got Div", "Write: yield stream_props(id, {")
async def a_component(_n: int) -> AsyncIterator[Any]:
    yield html.Div("hello")


@says("Expected the generator to yield", "got bytes", "Import it from flash_events")
async def an_update_of_another_package(_n: int) -> AsyncIterator[Any]:
    yield b'data: ["[SINGLE]", "out", {"children": "hello"}]\n\n'


@says("got async_generator", "Write: async for update in ...: yield update")
async def a_generator_within(_n: int) -> AsyncIterator[Any]:
    yield _steps()


async def _steps() -> AsyncIterator[Any]:
    yield stream("out", {"children": "hello"})


@says("Expected the generator to yield", "got str", "Write: yield stream_props(id, {")
def a_returned_value(_n: int) -> Generator[Any, None, str]:
    yield stream("out", {"children": "hello"})
    return "done"


async def _fetch() -> str:
    await asyncio.sleep(0)
    return "hello"


@says("of component", "coroutine at children has no JSON form. Did you forget `await`?")
async def forgotten_await(_n: int) -> AsyncIterator[Any]:
    work = _fetch()
    try:
        yield stream("out", {"children": work})
    finally:
        work.close()


@says("DataFrame at data has no JSON form", "to_dict(")
def a_data_frame(_n: int) -> Iterator[Any]:
    yield stream("out", {"data": pd.DataFrame({"a": [1]})})


@says("set at options has no JSON form. Write list(...)")
def a_set_of_options(_n: int) -> Iterator[Any]:
    yield stream("out", {"options": {"a", "b"}})


@says("function at children has no JSON form. Did you forget to call it?")
def a_function_as_value(_n: int) -> Iterator[Any]:
    yield stream("out", {"children": _fetch})


SHAPE = "a list of lists for each attribute, one list for each trace"


@says("Expected extendData of", SHAPE, ": 1.", "[[1]]")
async def points_as_numbers(_n: int) -> AsyncIterator[Any]:
    yield stream("graph", {"extendData": {"x": 1, "y": 2}})


@says("Expected extendData of", SHAPE, ": [1].", "[[1]]")
async def points_in_one_list(_n: int) -> AsyncIterator[Any]:
    yield stream("graph", {"extendData": {"x": [1], "y": [2]}})


@says("Expected extendData of", SHAPE, "so many lists: 2 in", "1 in")
async def points_for_other_traces(_n: int) -> AsyncIterator[Any]:
    yield stream("graph", {"extendData": {"x": [[1], [2]], "y": [[1]]}})


@says("Expected extendData of", SHAPE, "the traces [0, 1] and so many lists: 1 in")
async def more_traces_than_lists(_n: int) -> AsyncIterator[Any]:
    yield stream("graph", {"extendData": [{"x": [[1]], "y": [[2]]}, [0, 1]]})


@says("Expected extendData of", SHAPE, "as the number of points to keep")
async def points_to_keep_as_text(_n: int) -> AsyncIterator[Any]:
    yield stream("graph", {"extendData": [{"x": [[1]], "y": [[2]]}, [0], "200"]})


@says("Expected rowTransaction of", "got list", "lists of rows")
async def rows_without_add(_n: int) -> AsyncIterator[Any]:
    yield stream("grid", {"rowTransaction": [{"name": "a"}]})


@says("Expected rowTransaction of", "got", "lists of rows")
async def a_row_in_no_list(_n: int) -> AsyncIterator[Any]:
    yield stream("grid", {"rowTransaction": {"add": {"name": "a"}}})


@says("Row at rows has no JSON form. Write dict(...)")
def a_row_of_sqlite(_n: int) -> Iterator[Any]:
    database = sqlite3.connect(":memory:")
    database.row_factory = sqlite3.Row
    yield stream("out", {"rows": database.execute("SELECT 1").fetchone()})


@says("Expected extendData of", SHAPE, "got 4 parts")
async def more_parts_than_three(_n: int) -> AsyncIterator[Any]:
    yield stream("graph", {"extendData": [{"x": [[1]], "y": [[2]]}, [0], 200, True]})
