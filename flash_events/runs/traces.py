"""Source locations in an app's own code, for the log and, in debug mode, for the page."""

import asyncio
import inspect
import os
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path
from traceback import FrameSummary, StackSummary, TracebackException
from types import CodeType, FrameType
from typing import Any

import dash

from flash_events.errors import EncodingError

MAX_CHARACTERS = 20_000
"""Maximum length of a message or a traceback in a page; a longer traceback is cut at its start."""

_NOT_THE_APPS = tuple(
    f"{home}{os.sep}"
    for home in (
        Path(__file__).parent.parent,
        Path(str(dash.__file__)).parent,
        Path(asyncio.__file__).parent,
    )
)
"""Path prefixes of this package, of Dash and of asyncio."""


def place_of(function: Callable[..., Any]) -> str:
    """Return the source location of a function as `file:line`; "" if unknown."""
    code = getattr(inspect.unwrap(function), "__code__", None)  # a partial has none
    return f"{code.co_filename}:{code.co_firstlineno}" if isinstance(code, CodeType) else ""


def note_yield(error: Exception, generator: AsyncGenerator[Any] | Generator[Any]) -> None:
    """Add a note with the line of the generator's current `yield` to an error."""
    frame = _frame_of(generator)
    if frame is not None:
        place = FrameSummary(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
        error.add_note("Yielded here:\n" + StackSummary.from_list([place]).format()[0].rstrip())


def yield_place(generator: AsyncGenerator[Any] | Generator[Any]) -> str:
    """Return the source location of the generator's current `yield`; "" if it has ended."""
    frame = _frame_of(generator)
    return "" if frame is None else _place(frame)


def caller_place() -> str:
    """Return the source location of the app's code that called; "" if there is none."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_NOT_THE_APPS):
        frame = frame.f_back
    return "" if frame is None else _place(frame)


def text_of(error: BaseException) -> str:
    """Return the class and the message of an exception; a long message is cut."""
    try:
        text = str(error)
    except BaseException:  # of the app's own class; tracebacks show the same
        text = "<exception str() failed>"
    return f"{type(error).__name__}: {text:.{MAX_CHARACTERS}}"


def shown_trace(error: BaseException, function: Callable[..., Any], prune: bool) -> str:
    """Return the text about a failed run that Dash's dev tools show.

    Args:
        error: the exception.
        function: the function of the event callback.
        prune: whether to leave out frames of Dash, of asyncio and of this package.
    """
    trace = TracebackException.from_exception(error)
    if prune:
        _prune(trace)
        if isinstance(error, EncodingError):  # its message includes that of its cause
            trace.__cause__ = None
            trace.__suppress_context__ = True
    text = "".join(trace.format())
    if len(text) > MAX_CHARACTERS:
        text = "...\n" + text[-MAX_CHARACTERS:]
    name = getattr(function, "__qualname__", repr(function))
    file, _, line = place_of(function).rpartition(":")
    return f'{name} in "{file}", line {line}\n\n{text}' if file else f"{name}\n\n{text}"


def _prune(trace: TracebackException) -> None:
    waiting, seen = [trace], set()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        kept = [frame for frame in one.stack if not frame.filename.startswith(_NOT_THE_APPS)]
        one.stack = StackSummary.from_list(kept)
        waiting += [other for other in (one.__cause__, one.__context__) if other is not None]
        waiting += one.exceptions or ()


def _frame_of(generator: AsyncGenerator[Any] | Generator[Any]) -> FrameType | None:
    """Return the frame of a suspended generator, or of the innermost one it delegates to."""
    inner: Any = generator
    while isinstance(delegate := getattr(inner, "gi_yieldfrom", None), Generator):
        inner = delegate
    # A generator that another compiler (Cython, say) has made may have neither.
    frame = getattr(inner, "ag_frame", None) or getattr(inner, "gi_frame", None)
    return frame if isinstance(frame, FrameType) else None


def _place(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
