"""All uses of Dash's private names; `tests/test_bridge.py` runs each of them."""

import contextlib
import functools
import inspect
import json
import logging.config
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any, NoReturn

import dash
from dash import Dash, get_app, no_update
from dash import _callback as dash_callback
from dash._callback_context import context_value
from dash._grouping import flatten_grouping
from dash._utils import AttributeDict, inputs_to_vals, stringify_id
from dash._validate import validate_and_group_input_args
from dash.dependencies import DashDependency
from dash.development.base_component import Component, ComponentRegistry
from dash.exceptions import AppNotFoundError, CallbackException, PreventUpdate

from flash_events.errors import ConfigurationError, NoResponse, Refused

SPEC_KEY = "flash_events"
"""Our key in Dash's entries of callbacks, both in the list for the browser and in the map."""

NAMESPACE = "flash_events"
"""The namespace of the client-side functions that start runs, in `window.dash_clientside`."""


NO_UPDATE = no_update.to_plotly_json()
"""`dash.no_update` as JSON."""


@dataclass(frozen=True, slots=True)
class Registry:
    """Dash's collections of callbacks: those of one app, or those without an app.

    Attributes:
        entries: the callbacks' specs for the browser.
        by_id: the callbacks' details for the server, by id.
    """

    entries: list[dict[str, Any]]
    by_id: MutableMapping[str, dict[str, Any]]

    def __iter__(self) -> Iterator[Any]:
        return (known[SPEC_KEY] for known in self.by_id.values() if SPEC_KEY in known)


def global_registry() -> Registry:
    """Return the callbacks without an app; the first app that serves a request takes them."""
    return Registry(dash_callback.GLOBAL_CALLBACK_LIST, dash_callback.GLOBAL_CALLBACK_MAP)


def app_registry(app: Dash) -> Registry:
    """Return the callbacks of one app."""
    return Registry(app._callback_list, app.callback_map)


@dataclass(frozen=True, slots=True)
class Dependencies:
    """A callback's Inputs and States, parsed by Dash.

    Attributes:
        inputs: the Inputs.
        state: the States.
        entry: Dash's entry of the callback for the browser.
        details: Dash's details of the callback for the server.
    """

    inputs: list[dict[str, Any]]
    state: list[dict[str, Any]]
    entry: dict[str, Any]
    details: dict[str, Any]


def parse_dependencies(
    args: tuple[Any, ...], grouped: dict[str, Any], *, prevent_initial_call: bool
) -> Dependencies:
    """Return dependencies as `dash.callback` parses them, without changing Dash's registries."""

    async def never_posted(*_args: Any, **_kwargs: Any) -> NoReturn:
        raise PreventUpdate

    entries: list[dict[str, Any]] = []
    by_id: dict[str, dict[str, Any]] = {}
    dash_callback.register_callback(
        entries,
        by_id,
        False,
        *args,
        **grouped,
        prevent_initial_call=prevent_initial_call,
        mcp_enabled=False,
    )(never_posted)
    [entry], [details] = entries, by_id.values()
    return Dependencies(entry["inputs"], entry["state"], entry, details)


def named_arguments(parsed: Dependencies) -> tuple[list[Any], dict[str, Any]]:
    """Return a callback's arguments in Dash's grouping, with `id.property` for each value."""
    names = [f"{dep['id']}.{dep['property']}" for dep in (*parsed.inputs, *parsed.state)]
    args, kwargs = validate_and_group_input_args(names, parsed.details["inputs_state_indices"])
    return list(args), kwargs


def register(
    registry: Registry, callback_id: str, parsed: Dependencies, spec: dict[str, Any], callback: Any
) -> None:
    """Add an event callback to a registry of Dash, or replace an earlier one with the same id.

    Args:
        registry: the registry of an app, or the global one.
        callback_id: the id, which replaces the one that Dash derives from the Inputs.
        parsed: the dependencies from `parse_dependencies`.
        spec: the spec for the browser, which gets it from `_dash-dependencies`.
        callback: the object that `find` returns.
    """
    entry = {
        **parsed.entry,
        "output": callback_id,
        "clientside_function": {"namespace": NAMESPACE, "function_name": callback_id},
        SPEC_KEY: spec,
    }
    registry.by_id[callback_id] = {**parsed.details, SPEC_KEY: callback}
    for index, known in enumerate(registry.entries):
        if known["output"] == callback_id:
            registry.entries[index] = entry
            return
    registry.entries.append(entry)


def find(registry: Registry, callback_id: str) -> Any | None:
    """Return the event callback with this id, or None."""
    return registry.by_id.get(callback_id, {}).get(SPEC_KEY)


def flatten(grouping: Any) -> list[Any]:
    """Return the leaves of nested lists, tuples and dicts of dependencies."""
    return list(flatten_grouping(grouping))


def id_of(component_id: object) -> object:
    """Return an id, or the id of a component (which gets a random one if it has none)."""
    if isinstance(component_id, Component):
        return component_id._set_random_id()
    return component_id


def wire_id(component_id: str | dict[str, Any]) -> str:
    """Return an id as Dash writes it: strings unchanged, dicts as sorted JSON."""
    return str(stringify_id(component_id))


def wire_dependency(dependency: DashDependency) -> dict[str, Any]:
    """Return a dependency as Dash writes it for the browser: `{"id": ..., "property": ...}`."""
    return dependency.to_dict()


class SetPropsRecorder:
    """Replacement of the dict in which Dash collects `set_props`; passes each call on at once."""

    def __init__(self, on_set: Callable[[str, dict[str, Any]], None]) -> None:
        self._on_set = on_set

    def get(self, _component_id: str) -> None:
        return None

    def __setitem__(self, component_id: str, props: dict[str, Any]) -> None:
        self._on_set(component_id, props)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a callback: arguments and `dash.ctx`, as Dash would create them."""

    args: list[Any]
    kwargs: dict[str, Any]
    context: Any

    def activate(self, on_set_props: Callable[[str, dict[str, Any]], None]) -> None:
        """Make `dash.ctx` and `dash.set_props` work in the current task or thread."""
        self.context.updated_props = SetPropsRecorder(on_set_props)
        context_value.set(self.context)

    def deactivate(self) -> None:
        """Ignore calls of `dash.set_props` from now on."""
        self.context.updated_props = SetPropsRecorder(lambda *_: None)


def empty_call() -> Call:
    """Return a call without Inputs, for error handlers of runs that never started."""
    return Call([], {}, as_context({"inputs_list": [], "states_list": [], "triggered_inputs": []}))


def open_call(app: Dash, body: Any) -> Call:
    """Return the call for a body that Dash's own renderer would post; only inside a request.

    Raises:
        Refused: with status 400, if the body does not match the callback's dependencies.
    """
    details = app.callback_map[body["output"]]
    try:
        context = app._initialize_context(body)
        app._prepare_callback(context, body)
        values = app._inputs_to_vals(context.inputs_list + context.states_list)
        args, kwargs = validate_and_group_input_args(values, details["inputs_state_indices"])
    except (CallbackException, KeyError, IndexError, TypeError, AttributeError) as error:
        raise Refused(
            400, "bad_inputs", "The inputs do not fit the callback. Reload the page."
        ) from error
    context.custom_data = AttributeDict({})
    for hook in app._hooks.get_hooks("custom_data"):
        context.custom_data[hook.data["namespace"]] = hook(context)
    context.dash_response = NoResponse()
    return Call(args, kwargs, context)


def dump_context(call: Call) -> dict[str, Any]:
    """Return the fields of a call's context that have a JSON form (the response has none)."""
    fields: dict[str, Any] = {}
    for name, value in call.context.items():
        with contextlib.suppress(TypeError, ValueError):
            fields[name] = json.loads(json.dumps(value))
    return fields


def load_call(fields: dict[str, Any], indices: Any) -> Call:
    """Return a call from a dumped context.

    Args:
        fields: the result of `dump_context`.
        indices: Dash's grouping of the arguments, from `Dependencies.details`.
    """
    context = as_context(fields)
    values = inputs_to_vals(context.inputs_list + context.states_list)
    args, kwargs = validate_and_group_input_args(values, indices)
    return Call(args, kwargs, context)


def as_context(value: Any) -> Any:
    """Return a JSON value as a `dash.ctx`, or as a part of one."""
    if isinstance(value, dict):
        return AttributeDict({name: as_context(inner) for name, inner in value.items()})
    return [as_context(inner) for inner in value] if isinstance(value, list) else value


def name_of(app: Dash) -> str:
    """Return the name of an app, as given to `Dash(...)`, with its prefix."""
    return f"{app.config.name} at {app.config.routes_pathname_prefix}"


def is_debug(app: Dash | None) -> bool:
    """Return whether the app runs with Dash's dev tools."""
    return app is not None and bool(app._dev_tools.get("ui"))


def prunes_errors(app: Dash | None) -> bool:
    """Return whether Dash removes its own frames from the tracebacks in its dev tools."""
    return app is None or bool(app._dev_tools.get("prune_errors", True))


def call_app_on_error(app: Dash | None, error: Exception) -> bool:
    """Call the app's own `on_error`; return whether it has one."""
    if app is None or app._on_error is None:
        return False
    app._on_error(error)
    return True


def current_app() -> Dash | None:
    """Return the app of the current request, or the one that was created last."""
    with contextlib.suppress(AppNotFoundError):
        app: Dash = get_app()
        return app
    return None


def require_async_backend(app: Dash) -> None:
    """Raise `ConfigurationError` if the app's server cannot stream."""
    if app.backend.server_type not in ("quart", "fastapi"):
        raise ConfigurationError(
            f"Event callbacks need Quart or FastAPI; this app runs on {app.backend.server_type}. "
            'Create it with Dash(__name__, backend="quart") and install dash[quart]. '
            "If the callback belongs to another app of this process, bind it to that app: "
            "FlashEvents(app).event_callback(...)."
        )


@contextlib.contextmanager
def replaced_fastapi_request(replace: Callable[[Any], Any]) -> Iterator[Any]:
    """Yield the current request of Dash on FastAPI, and replace it inside the block."""
    from dash.backends import _fastapi

    request = _fastapi.get_current_request()
    token = _fastapi.set_current_request(replace(request))
    try:
        yield request
    finally:
        _fastapi.reset_current_request(token)


def wrap_startup(
    app: Dash,
    add_routes: Callable[[], None],
    before_first_request: Callable[[], None],
    is_used: Callable[[], bool],
) -> None:
    """Hook into an app's start.

    Quart runs `_setup_server` in a thread per request, and Dash lets all but the first pass at
    once: a script that is requested meanwhile is "not registered" (500). So the others wait.

    Args:
        app: the app.
        add_routes: called when Dash adds its own routes. `hooks.setup` would be too early: it runs
            before `init_app`, which may replace the server.
        before_first_request: called just before Dash binds the global callbacks to the app.
        is_used: function that returns whether the app has event callbacks; without any, `app.run`
            is not changed.
    """
    setup_routes: Callable[[], None] = app._setup_routes
    setup_server: Callable[[], None] = app._setup_server
    one_at_a_time = threading.Lock()

    @functools.wraps(setup_routes)
    def routes() -> None:
        setup_routes()
        add_routes()
        if app.backend.server_type == "quart":
            keep_loggers(app, is_used)

    @functools.wraps(setup_server)
    def server() -> None:
        with one_at_a_time:
            if not app._got_first_request["setup_server"]:
                before_first_request()
            setup_server()

    app._setup_routes = routes  # type: ignore[method-assign]
    app._setup_server = server  # type: ignore[method-assign]


def refuse_other_calls(app: Dash) -> None:
    """Make an app raise a `ConfigurationError` when it is served in place of `app.server`.

    `Dash.__call__` passes all calls on to the web framework, which fails if the caller does not
    speak ASGI.
    """
    call: Callable[..., Any] = app.backend.__call__

    @functools.wraps(call)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if len(args) + len(kwargs) != 3:  # ASGI's scope, receive and send
            raise ConfigurationError(
                "Expected app.server to be served, got the app itself. Write server = app.server, "
                "and start `hypercorn app:server`, with the name of the module before the colon."
            )
        return call(*args, **kwargs)

    app.backend.__call__ = checked  # type: ignore[method-assign] # Dash looks it up there


def ordinary_functions(*registries: Registry) -> Iterator[Any]:
    """The functions under Dash's own @callback, as Dash has wrapped them."""
    for registry in registries:
        for known in registry.by_id.values():
            if SPEC_KEY not in known and "callback" in known:
                yield known["callback"]


def unawaited_pages(app: Dash) -> list[str]:
    """Return the paths of pages whose layout is an `async def`, if this app does not await it."""
    if app._use_async:
        return []
    pages = dash.page_registry.values()
    return [page["path"] for page in pages if inspect.iscoroutinefunction(page["layout"])]


def keep_loggers(app: Dash, is_used: Callable[[], bool]) -> None:
    """Keep all loggers enabled when `app.run(debug=True)` serves with Quart.

    Dash calls `dictConfig` to silence Quart's access log. By default, `dictConfig` disables all
    existing loggers, including those of this package and of the app.
    """
    from dash.backends import _quart

    quart: Any = _quart
    run = app.backend.run

    def configure(config: dict[str, Any]) -> None:
        logging.config.dictConfig({"disable_existing_loggers": False, **config})

    @functools.wraps(run)
    def run_with_loggers(*args: Any, **kwargs: Any) -> Any:
        if not is_used():
            return run(*args, **kwargs)
        before, quart.dictConfig = quart.dictConfig, configure
        try:
            return run(*args, **kwargs)
        finally:
            quart.dictConfig = before

    app.backend.run = run_with_loggers  # type: ignore[method-assign]


def add_route(
    app: Dash, name: str, view: Callable[[], Awaitable[Any]], method: str = "POST"
) -> None:
    """Add a route under the app's routes prefix."""
    app._add_url(name, view, [method])


def add_script(app: Dash, package: str, path: str) -> None:
    """Make every page of this app load a script from a package."""
    app.scripts.append_script({"namespace": package, "relative_package_path": path})


def add_devtool(app: Dash, component: str, props: Callable[[], dict[str, Any]]) -> None:
    """Show a component of our namespace in an app's dev tools.

    `hooks.devtool` would show it in all apps of the process, even those without event callbacks.

    Args:
        app: the app.
        component: the name of the component in its script.
        props: function that returns the component's props, called for each page that is served.
    """
    make_config: Callable[[], dict[str, Any]] = app._config

    @functools.wraps(make_config)
    def config() -> dict[str, Any]:
        made = make_config()
        if "dev_tools" in made:
            shown = {"namespace": NAMESPACE, "type": component, "position": "right"}
            made["dev_tools"] = [*made["dev_tools"], {**shown, "props": props()}]
        return made

    app._config = config  # type: ignore[method-assign]


def prop_names(component_type: str) -> list[str] | None:
    """Return the props of a component, from its Python class; None if they are unknown.

    A name that ends with `*` is a prefix.

    Args:
        component_type: namespace and name of the component, separated by a dot.
    """
    namespace, _, name = component_type.rpartition(".")
    package = sys.modules.get(ComponentRegistry.namespace_to_package.get(namespace, ""))
    modules = (package, *(getattr(package, part, None) for part in ("html", "dcc", "dash_table")))
    for module in modules:
        found = getattr(module, name, None)
        if isinstance(found, type) and getattr(found, "_namespace", None) == namespace:
            parameters = inspect.signature(found).parameters.values()
            if all(one.kind is not one.VAR_KEYWORD for one in parameters):
                return None  # a class not generated by Dash may have arguments that are not props
            names = [one.name for one in parameters if one.kind is not one.VAR_KEYWORD]
            return [*names, "data-*", "aria-*"]
    return None
