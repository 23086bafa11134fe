"""Dash's private names are touched here and nowhere else; `tests/test_bridge.py` runs them all."""

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
"""Our key on a callback's entry: for the browser in the list, for the server in the map."""

NAMESPACE = "flash_events"
"""The namespace of the client-side starters, `window.dash_clientside.flash_events`."""


NO_UPDATE = no_update.to_plotly_json()
"""`dash.no_update` as JSON."""


@dataclass(frozen=True, slots=True)
class Registry:
    """Where Dash keeps callbacks: one pair for the app, one for what is not yet bound to an app."""

    entries: list[dict[str, Any]]
    by_id: MutableMapping[str, dict[str, Any]]

    def __iter__(self) -> Iterator[Any]:
        return (known[SPEC_KEY] for known in self.by_id.values() if SPEC_KEY in known)


def global_registry() -> Registry:
    """Callbacks of no app yet: the first app that serves a request takes them, as in Dash."""
    return Registry(dash_callback.GLOBAL_CALLBACK_LIST, dash_callback.GLOBAL_CALLBACK_MAP)


def app_registry(app: Dash) -> Registry:
    """Callbacks of one app."""
    return Registry(app._callback_list, app.callback_map)


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What Dash made of a callback's Inputs and States."""

    inputs: list[dict[str, Any]]
    state: list[dict[str, Any]]
    entry: dict[str, Any]
    details: dict[str, Any]


def parse_dependencies(
    args: tuple[Any, ...], grouped: dict[str, Any], *, prevent_initial_call: bool
) -> Dependencies:
    """Reads dependencies as `dash.callback` does, without touching Dash's registries."""

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
    """A callback's arguments as Dash groups them, with `id.property` in the place of each value."""
    names = [f"{dep['id']}.{dep['property']}" for dep in (*parsed.inputs, *parsed.state)]
    args, kwargs = validate_and_group_input_args(names, parsed.details["inputs_state_indices"])
    return list(args), kwargs


def register(
    registry: Registry, callback_id: str, parsed: Dependencies, spec: dict[str, Any], callback: Any
) -> None:
    """Puts an event callback into Dash's registry, in the place of an earlier one with its id.

    Args:
        registry: of an app, or the global one.
        callback_id: takes the place of the id that Dash derives from the Inputs.
        parsed: from `parse_dependencies`.
        spec: what the browser must know; travels in `_dash-dependencies`.
        callback: what `find` returns.
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
    """The event callback with this id, or None."""
    return registry.by_id.get(callback_id, {}).get(SPEC_KEY)


def flatten(grouping: Any) -> list[Any]:
    """The leaves of nested lists, tuples and dicts of dependencies."""
    return list(flatten_grouping(grouping))


def id_of(component_id: object) -> object:
    """The id itself, or the id of a component instance (which gets one if it has none)."""
    if isinstance(component_id, Component):
        return component_id._set_random_id()
    return component_id


def wire_id(component_id: str | dict[str, Any]) -> str:
    """An id as Dash writes it: strings as they are, dicts as sorted JSON, MATCH as `["MATCH"]`."""
    return str(stringify_id(component_id))


def wire_dependency(dependency: DashDependency) -> dict[str, Any]:
    """A dependency as Dash writes it for the browser: `{"id": ..., "property": ...}`."""
    return dependency.to_dict()


class SetPropsRecorder:
    """Stands where Dash collects `set_props`, and hands each call on at once, in order."""

    def __init__(self, on_set: Callable[[str, dict[str, Any]], None]) -> None:
        self._on_set = on_set

    def get(self, _component_id: str) -> None:
        return None

    def __setitem__(self, component_id: str, props: dict[str, Any]) -> None:
        self._on_set(component_id, props)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a callback, as Dash would make it: its arguments and its `dash.ctx`."""

    args: list[Any]
    kwargs: dict[str, Any]
    context: Any

    def activate(self, on_set_props: Callable[[str, dict[str, Any]], None]) -> None:
        """Makes `dash.ctx` and `dash.set_props` work in the current task or thread."""
        self.context.updated_props = SetPropsRecorder(on_set_props)
        context_value.set(self.context)

    def deactivate(self) -> None:
        """What `dash.set_props` sets from now on goes nowhere."""
        self.context.updated_props = SetPropsRecorder(lambda *_: None)


def empty_call() -> Call:
    """Returns a call without Inputs, for handlers of a run that has none or never began."""
    return Call([], {}, as_context({"inputs_list": [], "states_list": [], "triggered_inputs": []}))


def open_call(app: Dash, body: Any) -> Call:
    """Builds arguments and context from the body that Dash's own renderer would post.

    Must be called inside the request. Raises `Refused` (400) when the body does not fit the
    callback's dependencies.
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
    """What of a call's context has a JSON form; what has none (the response, say) is left out."""
    fields: dict[str, Any] = {}
    for name, value in call.context.items():
        with contextlib.suppress(TypeError, ValueError):
            fields[name] = json.loads(json.dumps(value))
    return fields


def load_call(fields: dict[str, Any], indices: Any) -> Call:
    """A call from a dumped context and from how Dash groups arguments (`Dependencies.details`)."""
    context = as_context(fields)
    values = inputs_to_vals(context.inputs_list + context.states_list)
    args, kwargs = validate_and_group_input_args(values, indices)
    return Call(args, kwargs, context)


def as_context(value: Any) -> Any:
    """What has a JSON form as a `dash.ctx`, or a part of it."""
    if isinstance(value, dict):
        return AttributeDict({name: as_context(inner) for name, inner in value.items()})
    return [as_context(inner) for inner in value] if isinstance(value, list) else value


def is_debug(app: Dash | None) -> bool:
    """Whether the app runs with Dash's dev tools."""
    return app is not None and bool(app._dev_tools.get("ui"))


def prunes_errors(app: Dash | None) -> bool:
    """Whether Dash leaves its own frames out of the tracebacks that its dev tools show."""
    return app is None or bool(app._dev_tools.get("prune_errors", True))


def call_app_on_error(app: Dash | None, error: Exception) -> bool:
    """Calls the app's own `on_error`, if it has one; says whether it had."""
    if app is None or app._on_error is None:
        return False
    app._on_error(error)
    return True


def current_app() -> Dash | None:
    """The app that was created last, or whose request this is."""
    with contextlib.suppress(AppNotFoundError):
        app: Dash = get_app()
        return app
    return None


def require_async_backend(app: Dash) -> None:
    """Raises `ConfigurationError` when the app's server cannot stream."""
    if app.backend.server_type not in ("quart", "fastapi"):
        raise ConfigurationError(
            f"Event callbacks need Quart or FastAPI; this app runs on {app.backend.server_type}. "
            'Create it with Dash(__name__, backend="quart") and install dash[quart]. '
            "If another app of this process is meant, bind the callback to that one: "
            "FlashEvents(app).event_callback(...)."
        )


@contextlib.contextmanager
def replaced_fastapi_request(replace: Callable[[Any], Any]) -> Iterator[Any]:
    """Yields the request that Dash on FastAPI keeps; another takes its place meanwhile."""
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
    """Hooks into an app's start.

    `hooks.setup` runs before `init_app`, which may swap the server, so routes are added when Dash
    adds its own. `before_first_request` runs when Dash binds the global callbacks. An app that is
    not used (`is_used`) when it runs is run as Dash does it.

    Quart runs `_setup_server` in a thread per request, and Dash lets all but the first pass at
    once: a script that is asked for meanwhile is "not registered" (500). So the others wait.
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
    """Has an app that is served in the place of its ASGI server say so; Dash's own would fail.

    `Dash.__call__` hands a call on to the web framework, whatever protocol the caller speaks.
    """
    call: Callable[..., Any] = app.backend.__call__

    @functools.wraps(call)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if len(args) + len(kwargs) != 3:  # ASGI's scope, receive and send
            raise ConfigurationError(
                "Expected the server of the app to be served, got the app itself. Write: "
                "server = app.server, and start `hypercorn app:server`, with the name of the "
                "module before the colon."
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
    """The paths of the pages whose layout is an `async def` that this app will not await."""
    if app._use_async:
        return []
    pages = dash.page_registry.values()
    return [page["path"] for page in pages if inspect.iscoroutinefunction(page["layout"])]


def keep_loggers(app: Dash, is_used: Callable[[], bool]) -> None:
    """Has every logger speak on when `app.run(debug=True)` serves with Quart.

    Dash calls `dictConfig` there, to silence Quart's log of requests. Unless it is told otherwise,
    `dictConfig` disables every logger that exists, ours and the app's own among them.
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
    """Adds a route under the app's routes prefix."""
    app._add_url(name, view, [method])


def add_script(app: Dash, package: str, path: str) -> None:
    """Has every page of this app load a script that the package carries."""
    app.scripts.append_script({"namespace": package, "relative_package_path": path})


def add_devtool(app: Dash, component: str, props: Callable[[], dict[str, Any]]) -> None:
    """Shows a component of our namespace in an app's dev tools.

    `hooks.devtool` would show it in every app of the process, also in those that do not use us.

    Args:
        app: the app.
        component: the name that its script gives it.
        props: called for each page that is served.
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
    """The props of a component, as its Python class knows them; None where that is not known.

    A name that ends with `*` stands for all that begin so.

    Args:
        component_type: the namespace and the name of the component, with a dot between them.
    """
    namespace, _, name = component_type.rpartition(".")
    package = sys.modules.get(ComponentRegistry.namespace_to_package.get(namespace, ""))
    modules = (package, *(getattr(package, part, None) for part in ("html", "dcc", "dash_table")))
    for module in modules:
        found = getattr(module, name, None)
        if isinstance(found, type) and getattr(found, "_namespace", None) == namespace:
            parameters = inspect.signature(found).parameters.values()
            if all(one.kind is not one.VAR_KEYWORD for one in parameters):
                return None  # not made by Dash's generator: its arguments may differ from its props
            names = [one.name for one in parameters if one.kind is not one.VAR_KEYWORD]
            return [*names, "data-*", "aria-*"]
    return None
