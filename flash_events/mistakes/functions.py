"""Checks of a function when it is decorated."""

import ast
import contextlib
import functools
import inspect
import logging
import textwrap
from collections.abc import Callable, Iterator
from tokenize import TokenError
from types import FunctionType
from typing import Any

from flash_events import bridge
from flash_events.errors import CallbackError

logger = logging.getLogger(__name__)

_YIELD_IN_FINALLY = (
    "what is yielded in `finally` is not shown when the run is cancelled. Write it as reset_props "
    "of @event_callback, too, and yield it behind the `try`."
)
_CATCHES_ALL = (
    "what stops the run is caught here, so that it cannot be stopped. Write: except Exception:"
)
_YIELD = "yield stream_props(id, {prop: value})"


def check_generator(function: Any) -> bool:
    """Return whether it is an async generator function, and not a plain one.

    Raises:
        CallbackError: it is neither.
    """
    is_async = inspect.isasyncgenfunction(function)
    is_callable_thing = isinstance(function, functools.partial | staticmethod | classmethod)
    if is_callable_thing or not (is_async or inspect.isgeneratorfunction(function)):
        raise _not_a_generator(function)
    return is_async


def check_parameters(function: Callable[..., Any], parsed: bridge.Dependencies) -> None:
    """Raise `CallbackError` unless the function takes a value for each Input and State."""
    args, kwargs = bridge.named_arguments(parsed)
    signature = inspect.signature(function, follow_wrapped=False)
    if _is_method(function, signature):
        raise CallbackError(
            f"Expected a function of the module, got the method {function.__qualname__}. Take it "
            "out of the class, with a parameter for each Input and State."
        )
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        raise _wrong_parameters(function, signature, args, kwargs) from None


def warn_of_slips(function: Callable[..., Any]) -> None:
    """Warn about lines without effect: updates without `yield`, blocking sleeps."""
    for line, slip in _slips(inspect.unwrap(function)):
        logger.warning("%s.%s, line %d: %s", function.__module__, function.__qualname__, line, slip)


def slip_under_callback(function: Any, is_event_callback: bool) -> str | None:
    """Return the mistake in a function under Dash's @callback that was meant to stream, or None.

    Args:
        function: the function as Dash has it.
        is_event_callback: whether it is an event callback as well.
    """
    function = inspect.unwrap(function)
    if _is_generator(function):
        slip = "a function with `yield` stands under @callback, and Dash cannot send what it yields"
        cure = "write @event_callback(Input(...)), without an Output."
        if is_event_callback:
            cure = "leave @callback out; it is an event callback already."
    elif _returns_update(function):
        slip = "stream_props(...) is returned under @callback, and Dash takes it for a value"
        cure = (
            "return the value itself, or write @event_callback(Input(...)), without an Output, and "
            "`yield stream_props(...)`."
        )
    else:
        return None
    line = function.__code__.co_firstlineno
    return f"{function.__module__}.{function.__qualname__}, line {line}: {slip}: {cure}"


def names_stream_props(function: Any) -> bool:
    """Return whether a function itself names `stream_props`."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return code is not None and "stream_props" in code.co_names


def _returns_update(function: Any) -> bool:
    if not names_stream_props(function):
        return False
    body, _first = _source_of(function)
    returned = (node.value for node in _nodes_of(body) if isinstance(node, ast.Return))
    return any(_is_call(value, "stream_props") for value in returned if value is not None)


def _not_a_generator(function: Any) -> CallbackError:
    name = getattr(function, "__name__", repr(function))
    if inspect.isfunction(function) and any(map(_is_generator, _wrapped_by(function))):
        kind = "coroutine function" if inspect.iscoroutinefunction(function) else "function"
        cure = "Put @event_callback below the other decorators of this function."
    elif name == "<lambda>":
        kind, cure = "lambda", f"Write a `def` with `{_YIELD}` in it."
    elif inspect.iscoroutinefunction(function):
        kind, cure = "coroutine function", f"Did you forget `yield`? Write: {_YIELD}."
    elif isinstance(function, staticmethod | classmethod):
        kind, cure = type(function).__name__, "Write @event_callback on a function of a module."
    elif isinstance(function, functools.partial):
        kind, cure = "partial", "Write a `def` that calls it, with a `yield` in it."
    elif inspect.isfunction(function):
        kind, cure = "function", f"Did you forget `yield`? Write: {_YIELD}, and no `return`."
    else:
        kind, cure = type(function).__name__, "Decorate the generator function itself."
    return CallbackError(
        "Expected a generator function (`async def` or `def`, with a `yield`), "
        f"got {kind} {name!r}. {cure}"
    )


def _wrapped_by(function: FunctionType) -> Iterator[Any]:
    """Return the functions that a decorator may have wrapped, also without `functools.wraps`."""
    yield inspect.unwrap(function)
    for cell in function.__closure__ or ():
        with contextlib.suppress(ValueError):  # it is empty
            yield cell.cell_contents


def _is_generator(function: Any) -> bool:
    return inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function)


def _is_method(function: Callable[..., Any], signature: inspect.Signature) -> bool:
    """Return whether a function is a method: it takes an instance or the class."""
    is_in_class = function.__qualname__.rpartition(".")[0].rpartition(".")[2] not in (
        "",
        "<locals>",
    )
    first = next(iter(signature.parameters), None)
    return is_in_class and first in ("self", "cls") and not inspect.ismethod(function)


def _wrong_parameters(
    function: Callable[..., Any],
    signature: inspect.Signature,
    args: list[Any],
    kwargs: dict[str, Any],
) -> CallbackError:
    name = function.__name__
    word = "async def" if inspect.isasyncgenfunction(function) else "def"
    if kwargs:
        expected = f"parameters named as the keys of its Inputs and States: {', '.join(kwargs)}"
        wanted = list(kwargs)
    else:
        texts = [text if isinstance(text, str) else repr(text) for text in args]
        count = f"{len(texts)} parameters" if len(texts) > 1 else "1 parameter"
        expected = f"{count}, one for each Input and State: {', '.join(texts)}"
        wanted = _parameter_names(texts)
    return CallbackError(
        f"Expected {name} to have {expected}; got {name}{signature}. "
        f"Write: {word} {name}({', '.join(wanted)})."
    )


def _parameter_names(texts: list[str]) -> list[str]:
    """Return parameter names for values such as `start.n_clicks`."""
    names = [text.rpartition(".")[2] for text in texts]
    return [
        name if name.isidentifier() and names.count(name) == 1 else f"value_{number}"
        for number, name in enumerate(names, 1)
    ]


def _source_of(function: Callable[..., Any]) -> tuple[ast.AST, int]:
    """Return the syntax tree of a function, empty without source, and its first line."""
    try:
        lines, first = inspect.getsourcelines(function)
        [body] = ast.parse(textwrap.dedent("".join(lines))).body
    except (OSError, TypeError, SyntaxError, ValueError, TokenError, SystemError):
        # SystemError: a bug of CPython 3.11 (gh-106905) that hits now and then.
        return ast.Pass(), 0  # no source, a part of an expression, or changed meanwhile
    return body, first


def _slips(function: Callable[..., Any]) -> Iterator[tuple[int, str]]:
    body, first = _source_of(function)
    is_async = isinstance(body, ast.AsyncFunctionDef)
    for node in _nodes_of(body):
        if isinstance(node, ast.Try):
            for late in _nodes_in(node.finalbody):
                if isinstance(late, ast.Yield | ast.YieldFrom):
                    yield first + late.lineno - 1, _YIELD_IN_FINALLY
            if any(isinstance(one, ast.Yield | ast.Await) for one in _nodes_in(node.body)):
                for handler in node.handlers:
                    if _catches_all(handler):
                        yield first + handler.lineno - 1, _CATCHES_ALL
        if not isinstance(node, ast.Expr):
            continue
        line = first + node.lineno - 1
        if _is_call(node.value, "stream_props"):
            yield line, "the update is thrown away. Write: yield stream_props(...)."
        elif is_async and _is_call(node.value, "sleep", "time"):
            yield line, "time.sleep holds up all streams. Write: await asyncio.sleep(...)."
        elif _is_call(node.value, "sleep", "asyncio"):
            right = "await asyncio.sleep(...)" if is_async else "time.sleep(...)"
            yield line, f"asyncio.sleep without `await` does not wait. Write: {right}."


def _catches_all(handler: ast.ExceptHandler) -> bool:
    """Return whether an exception handler swallows the exception that stops a run."""
    caught = [] if handler.type is None else [handler.type, *_nodes_of(handler.type)]
    names = {node.id for node in caught if isinstance(node, ast.Name)}
    is_all = handler.type is None or "BaseException" in names
    return is_all and not any(isinstance(node, ast.Raise) for node in _nodes_in(handler.body))


def _nodes_in(body: list[ast.stmt]) -> Iterator[ast.AST]:
    for statement in body:
        yield statement
        yield from _nodes_of(statement)


def _nodes_of(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a function, without those of functions that it defines."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from _nodes_of(child)


def _is_call(node: ast.AST, name: str, module: str | None = None) -> bool:
    if not isinstance(node, ast.Call):
        return False
    called = node.func
    if isinstance(called, ast.Attribute) and called.attr == name:
        return module is None or (isinstance(called.value, ast.Name) and called.value.id == module)
    return module is None and isinstance(called, ast.Name) and called.id == name
