"""Celery's canvas, seen as parts: the single tasks of a signature, group, chain or chord.

A part's number travels in a header of its message, so it survives that Celery rebuilds a canvas
when it sends it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from celery.canvas import Signature, group
from celery.canvas import _chain as chain
from celery.canvas import _chord as chord
from celery.result import AsyncResult, GroupResult


def canvas_of(task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Signature:
    """A copy of a signature, or a task with its arguments; raises `TypeError` for anything else."""
    if isinstance(task, Signature):
        if args or kwargs:
            raise TypeError(
                f"Expected no arguments beside the signature {task!r:.80}, which has its own. "
                "Write stream_task(crunch.s(10_000))."
            )
        return task.clone()
    if not callable(getattr(task, "s", None)):
        raise TypeError(
            f"Expected a Celery task or signature, got {type(task).__name__} {task!r:.80}. "
            "Decorate the function with @celery_app.task."
        )
    return task.s(*args, **kwargs)


def parts_of(canvas: Signature) -> Iterator[Signature]:
    """The single tasks, in the order in which they are written."""
    for inner in _inner(canvas):
        if inner is canvas:
            yield inner
        else:
            yield from parts_of(inner)


def first_of(canvas: Signature) -> int:
    """How many of the parts are sent at once; the others follow when these are done."""
    inner = _inner(canvas)
    if isinstance(canvas, chord):
        inner = inner[:-1]
    elif isinstance(canvas, chain):
        inner = inner[:1]
    return 1 if inner[0] is canvas else sum(first_of(one) for one in inner)


def label(canvas: Signature, header: str, note: Mapping[str, Any]) -> None:
    """Writes a header into each part's options: the note, and the part's number."""
    for number, part in enumerate(parts_of(canvas)):
        headers = {**(part.options.get("headers") or {}), header: {**note, "part": number}}
        part.set(headers=headers)


def result_of(canvas: Signature, results: Mapping[int, Any]) -> Any:
    """The result of the whole from those of its parts, as Celery would give it."""
    numbers = iter(range(len(results)))

    def assemble(inner: Signature) -> Any:
        tasks = _inner(inner)
        if tasks[0] is inner:
            return results[next(numbers)]
        values = [assemble(task) for task in tasks]
        return values if isinstance(inner, group) else values[-1]

    return assemble(canvas)


def ids_of(result: AsyncResult | GroupResult | None) -> set[str]:
    """The ids of the tasks that are known once a canvas has been sent."""
    ids: set[str] = set()
    while result is not None:
        if isinstance(result, GroupResult):
            for child in result.results:
                ids |= ids_of(child)
        else:
            ids.add(result.id)
        result = result.parent
    return ids


def _inner(canvas: Signature) -> list[Signature]:
    if isinstance(canvas, chord):
        return [*canvas.tasks, canvas.body]
    if isinstance(canvas, group | chain):
        return list(canvas.tasks)
    return [canvas]
