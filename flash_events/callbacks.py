"""`@event_callback`, which checks and registers a function when it is decorated."""

import hashlib
import inspect
import logging
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import CodeType
from typing import Any, Never, ParamSpec, Protocol, TypeVar

from dash import Input

from flash_events import bridge, options
from flash_events.errors import CallbackError
from flash_events.mistakes.functions import check_generator, check_parameters, warn_of_slips
from flash_events.options import (
    Cancel,
    CeleryApp,
    Dependencies,
    OnDisconnect,
    OnError,
    Options,
    Overlap,
    ResetProps,
    Running,
)
from flash_events.registration import EventCallback, remember
from flash_events.task_queue import RunQueue

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R", bound=AsyncIterator[Any] | Iterator[Any])


class Decorator(Protocol):
    """A decorator that registers a generator function and returns it unchanged."""

    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]: ...


def event_callback(
    *dependencies: Dependencies,
    inputs: Dependencies | None = None,
    state: Dependencies | None = None,
    cancel: Cancel = (),
    reset_props: ResetProps = (),
    running: Running = (),
    on_error: OnError | None = None,
    overlap: Overlap = "restart",
    on_disconnect: OnDisconnect = "cancel",
    worker: CeleryApp | None = None,
    timeout: float | None = None,
    keep_alive: bool = False,
    prevent_initial_call: bool = True,
    **unknown: Never,
) -> Decorator:
    """Return a decorator that streams the updates of a generator function to the page.

        @event_callback(Input("start", "n_clicks"), cancel=[Input("stop", "n_clicks")])
        async def count(n_clicks):
            for i in range(100):
                yield stream_props("out", {"children": i})
                await asyncio.sleep(1)

    Args:
        dependencies: Inputs and States, in any grouping that `dash.callback` takes.
        inputs: Inputs by keyword.
        state: States by keyword.
        cancel: triggers that cancel a run: Inputs (any change cancels) or pairs `(Input, allowed)`
            (a change to any value except `allowed` cancels).
        reset_props: props that are set once when a run ends as `cancelled`, `error` or `lost`: a
            list of `(id, {prop: value})` or a dict `{id: {prop: value}}`.
        running: `(Output, while_running, afterwards)`, one or a list of them; with `dash.no_update`
            as a value the prop is not set.
        on_error: function that is called with the exception when a run fails, and with a
            `RunRefused` when the server refuses to start one; may be async. It may return updates,
            which are applied after `reset_props`. An exception that is not an `Exception` (such as
            `SystemExit`) is passed as the `__cause__` of a `RunAborted`.
        overlap: effect of a trigger while a run is live: `"restart"` cancels the run, `"skip"`
            ignores the trigger, `"queue"` queues it (at most 16), `"parallel"` starts another run.
        on_disconnect: effect of a closed page or a vanished client: `"cancel"` cancels the run,
            `"finish"` lets it go on, and a reloaded page gets all updates that it has missed.
        worker: a Celery app whose workers drive the runs, which needs Redis as the broker of
            events; None for the web server.
        timeout: maximum duration of a run in seconds, after which it ends as `error`; in a Celery
            worker it starts when the worker starts the run. None for no timeout.
        keep_alive: whether a run goes on when its triggering components are removed from the page.
        prevent_initial_call: whether no run starts when the page or the Input's component appears.

    Returns:
        A decorator that returns the function itself, so it can still be called and tested.

    Raises:
        CallbackError: if a function or an option cannot be registered; the message has the cure.
    """
    given = Options(
        inputs=inputs,
        state=state,
        cancel=cancel,
        reset_props=reset_props,
        running=running,
        on_error=on_error,
        overlap=overlap,
        on_disconnect=on_disconnect,
        worker=worker,
        timeout=timeout,
        keep_alive=keep_alive,
        prevent_initial_call=prevent_initial_call,
    )
    return event_callback_in(None, *dependencies, **given, **unknown)


def event_callback_in(
    registry: bridge.Registry | None, /, *dependencies: Any, **given: Any
) -> Decorator:
    """Return the decorator of `event_callback` for one registry of Dash.

    Args:
        registry: the registry; None to choose one when a function is decorated (`_registry_for`).
        dependencies: the dependencies of `event_callback`.
        given: the options of `event_callback`; missing ones have its defaults.

    Raises:
        CallbackError: if a function or an option cannot be registered; the message has the cure.
    """
    chosen: dict[str, Any] = {**_DEFAULTS, **given}
    chosen.pop("concat", None)  # an option of dash-flash that has no effect there either
    for name in chosen:
        if name not in _DEFAULTS:
            raise options.unknown_option(name)
    grouped = {
        name: dict(deps) if isinstance(deps, dict) else deps  # Dash merges State into it
        for name in ("inputs", "state")
        if (deps := chosen[name])
    }
    options.check_options(chosen)
    options.refuse_outputs([*dependencies, *grouped.values()])
    prevent_initial_call = chosen["prevent_initial_call"]
    parsed = bridge.parse_dependencies(
        dependencies, grouped, prevent_initial_call=prevent_initial_call
    )
    if not parsed.inputs:
        raise CallbackError(
            "Expected at least one Input to start a run, got none. "
            'Write: @event_callback(Input("start", "n_clicks"), ...).'
        )
    triggers = bridge.flatten([*dependencies, *grouped.values()])
    match_keys = options.match_keys_of(dep for dep in triggers if isinstance(dep, Input))
    queue = None if chosen["worker"] is None else _queue_of(chosen["worker"])
    spec = options.spec_of(chosen, match_keys)
    if prevent_initial_call and all(dep["property"] == "id" for dep in parsed.inputs):
        logger.warning(
            "%s never changes, so no run would start. Write: prevent_initial_call=False.",
            " and ".join(f"{dep['id']}.id" for dep in parsed.inputs),
        )

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        is_async = check_generator(function)
        check_parameters(function, parsed)
        warn_of_slips(function)
        callback_id = _callback_id(function, parsed)
        callback = EventCallback(
            callback_id,
            function,
            is_async,
            match_keys,
            chosen["on_error"],
            chosen["timeout"],
            is_kept=chosen["on_disconnect"] == "finish",
            queue=queue,
        )
        target = _registry_for(callback_id) if registry is None else registry
        earlier = bridge.find(target, callback_id)
        if earlier is not None:
            _refuse_duplicate(earlier, callback)
        bridge.register(target, callback_id, parsed, spec, callback)
        if queue is not None:
            stem = function.__module__.rpartition(".")[2]
            short_id = _id_in(stem, function, parsed)
            queue.register(callback, parsed.details["inputs_state_indices"], short_id)
        remember(function, callback, spec)
        return function

    return decorate


_DEFAULTS = {
    name: parameter.default
    for name, parameter in inspect.signature(event_callback).parameters.items()
    if parameter.kind is parameter.KEYWORD_ONLY
}


def _queue_of(worker: Any) -> RunQueue:
    """Return the task queue for `@event_callback(worker=...)`.

    Raises:
        CallbackError: if it is not a Celery app, or if Celery or redis-py is missing.
    """
    try:
        from flash_events.celery.queue import queue_of_app
    except ImportError as error:
        raise CallbackError(f"worker={worker!r:.80} cannot be used. {error}") from error
    return queue_of_app(worker)


def _registry_for(callback_id: str) -> bridge.Registry:
    """Return the registry of the current app if it has this callback, else the global one."""
    app = bridge.current_app()
    if app is not None:
        bridge.require_async_backend(app)
        if bridge.find(bridge.app_registry(app), callback_id) is not None:
            return bridge.app_registry(app)  # a notebook cell was run again while the app serves
    return bridge.global_registry()


def _callback_id(function: Callable[..., Any], parsed: bridge.Dependencies) -> str:
    module = function.__module__
    if module == "__main__":
        module = _importable_main()
    return _id_in(module, function, parsed)


def _id_in(module: str, function: Callable[..., Any], parsed: bridge.Dependencies) -> str:
    dependencies = [f"{dep['id']}.{dep['property']}" for dep in (*parsed.inputs, *parsed.state)]
    key = "\n".join([module, function.__qualname__, *dependencies])
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def _importable_main() -> str:
    """Return the name under which another process, such as a worker, imports this program."""
    main = sys.modules["__main__"]
    if main.__spec__ is not None:
        return main.__spec__.name.removesuffix(".__main__")
    path = getattr(main, "__file__", None)
    return Path(path).stem if path else "__main__"


def _refuse_duplicate(earlier: EventCallback, later: EventCallback) -> None:
    """Raise `CallbackError` if two functions have the same id, unless one replaces the other.

    After a reload, or when a notebook cell runs again, the later function replaces the earlier one.
    """
    before, after = _code(earlier.function), _code(later.function)
    if before is after and _captured(earlier.function) != _captured(later.function):
        raise CallbackError(
            f"Two different functions {later.name!r} are registered for the same Inputs and "
            "States, so both would answer every trigger. Give them different names or Inputs."
        )
    is_elsewhere = before.co_firstlineno != after.co_firstlineno
    if before.co_filename == after.co_filename and is_elsewhere:
        logger.warning(
            "%s in line %d replaces the one in line %d: they have the same name, Inputs and "
            "States. To keep both, rename one of them.",
            later.name,
            after.co_firstlineno,
            before.co_firstlineno,
        )


def _code(function: Callable[..., Any]) -> CodeType:
    code: CodeType = inspect.unwrap(function).__code__
    return code


def _captured(function: Callable[..., Any]) -> list[int]:
    """Return the identities of the objects that a function has captured; 0 for unbound names."""
    captured = [id(getattr(function, "__self__", None))]
    for cell in inspect.unwrap(function).__closure__ or ():
        try:
            captured.append(id(cell.cell_contents))
        except ValueError:
            captured.append(0)
    return captured
