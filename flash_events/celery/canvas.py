"""The parts of a Celery canvas: the single tasks of a signature, group, chain or chord.

Each part carries its number in a header of its message, because Celery rebuilds a canvas when it
sends it.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from celery.canvas import Signature, group
from celery.canvas import _chain as chain
from celery.canvas import _chord as chord
from celery.result import AsyncResult, GroupResult


def canvas_of(task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Signature:
    """Return a signature of a task and its arguments, or a copy of a signature.

    Raises:
        TypeError: if `task` is neither a task nor a signature, or a signature has arguments beside
            it.
    """
    if isinstance(task, Signature):
        if args or kwargs:
            raise TypeError(
                f"Expected no arguments beside the signature {task!r:.80}, which has its own. "
                "Write stream_task(crunch.s(10_000))."
            )
        return _copy(task)
    if not callable(getattr(task, "s", None)):
        raise TypeError(
            f"Expected a Celery task or signature, got {type(task).__name__} {task!r:.80}. "
            "Decorate the function with @celery_app.task."
        )
    return task.s(*args, **kwargs)


def parts_of(canvas: Signature) -> Iterator[Signature]:
    """Yield the single tasks, in the order in which they are written."""
    for inner in _inner(canvas):
        if inner is canvas:
            yield inner
        else:
            yield from parts_of(inner)


def first_of(canvas: Signature) -> list[int]:
    """Return the numbers of the parts that are sent at once; others are sent when these end."""
    numbers = count()

    def look(inner: Signature, is_first: bool) -> Iterator[int]:
        tasks = _inner(inner)
        if tasks[0] is inner:
            number = next(numbers)
            if is_first:
                yield number
            return
        for n, task in enumerate(tasks):
            follows = n == len(tasks) - 1 if isinstance(inner, chord) else n > 0
            waits = follows and not isinstance(inner, group)
            yield from look(task, is_first and not waits)

    return list(look(canvas, True))


def followers_of(canvas: Signature) -> dict[int, set[int]]:
    """Return, by part, the parts that are never sent if this one has no result."""
    numbers = count()
    followers: dict[int, set[int]] = {}

    def look(inner: Signature) -> list[int]:
        tasks = _inner(inner)
        if tasks[0] is inner:
            return [next(numbers)]
        lists = [look(task) for task in tasks]
        for n, part in ((n, part) for n, parts in enumerate(lists) for part in parts):
            later = lists[-1:] if isinstance(inner, chord) else lists[n + 1 :]
            if not isinstance(inner, group) and n < len(lists) - 1:
                followers.setdefault(part, set()).update(*later)
        return [part for parts in lists for part in parts]

    look(canvas)
    return followers


def label(canvas: Signature, header: str, note: Mapping[str, Any]) -> None:
    """Write a header with the note and the part's number into each part's options."""
    for number, part in enumerate(parts_of(canvas)):
        headers = {**(part.options.get("headers") or {}), header: {**note, "part": number}}
        part.set(headers=headers)


def result_of(canvas: Signature, results: Mapping[int, Any] | Sequence[Any]) -> Any:
    """Return the result of the canvas from those of its parts, in the shape that Celery uses."""
    numbers = iter(range(len(results)))

    def assemble(inner: Signature) -> Any:
        tasks = _inner(inner)
        if tasks[0] is inner:
            return results[next(numbers)]
        values = [assemble(task) for task in tasks]
        return values if isinstance(inner, group) else values[-1]

    return assemble(canvas)


def ids_of(result: AsyncResult | GroupResult | None) -> set[str]:
    """Return the ids of the tasks that are known once a canvas has been sent."""
    ids: set[str] = set()
    while result is not None:
        if isinstance(result, GroupResult):
            for child in result.results:
                ids |= ids_of(child)
        else:
            ids.add(result.id)
        result = result.parent
    return ids


def _copy(canvas: Signature) -> Signature:
    """Return a deep copy; Celery's own clone shares the tasks of a group."""
    copied = canvas.clone()
    if isinstance(copied, group | chain | chord):
        copied.tasks = [_copy(task) for task in copied.tasks]
    if isinstance(copied, chord):
        copied.body = _copy(copied.body)
    return copied


def _inner(canvas: Signature) -> list[Signature]:
    if isinstance(canvas, chord):
        return [*canvas.tasks, canvas.body]
    if isinstance(canvas, group | chain):
        return list(canvas.tasks)
    return [canvas]
