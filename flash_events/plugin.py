"""Integration into Dash apps, which happens when this package is installed and imported."""

import functools
import hashlib
import inspect
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self, Unpack

from dash import Dash, hooks

from flash_events import bridge
from flash_events.brokers import check_broker
from flash_events.callbacks import Decorator, event_callback_in
from flash_events.endpoint.backends import Handler, Request, backend_of
from flash_events.endpoint.replies import Reply
from flash_events.endpoint.server import Server
from flash_events.endpoint.stats import OPENMETRICS
from flash_events.errors import ConfigurationError
from flash_events.mistakes.functions import names_stream_props, slip_under_callback
from flash_events.operations.shutdown import ShutdownWatch, watch_shutdown
from flash_events.options import Dependencies, Options
from flash_events.registration import is_registered
from flash_events.runs.errors import shows_errors
from flash_events.runs.traces import place_of
from flash_events.settings import Settings, SettingsOptions
from flash_events.sharing import apps
from flash_events.sharing.process import mark_serving, namespace_of
from flash_events.sharing.topics import Topic, TopicKeywords
from flash_events.sharing.values import DeclaredValues, SharedValue, ValueKeywords
from flash_events.stores.urls import check_store

logger = logging.getLogger(__name__)

ROUTE = "_dash-flash-events/"
ACTIONS = ("ask", "start", "resume", "attach", "alive", "stop", "probe")
SCRIPT = "static/flash_events.js"
DEVTOOL = "static/flash_events_devtool.js"
STATIC = Path(__file__).parent / "static"
LOADED_ON_USE = ("connections", "waitlist")
"""Scripts that the page's script loads on use, by the last part of their names."""

COMPONENTS = "flash_events.components"
"""The module of the components, which is imported on first use."""

WSGI_WORKERS = ("sync", "gthread", "ggevent", "geventlet", "gtornado")
"""Modules of gunicorn's WSGI worker classes; only the one in use is imported."""

_WIRING = "_flash_events_wiring"
"""The attribute of an app that holds its `_Wiring`."""


class FlashEvents:
    """The event callbacks and settings of one app.

    It is optional: without it, an app has the settings of the environment. A later call for the
    same app returns the same object.

    Args:
        app: the app.
        settings: see `flash_events.settings.Settings`; each may also come from an environment
            variable, such as `FLASH_EVENTS_HEARTBEAT_SECONDS`. Only the first call sets them.

    Attributes:
        settings: the settings of the app.

    Raises:
        ConfigurationError: if a setting is unknown, if it differs from the one that the app has
            already, or if the app's server cannot stream.
    """

    settings: Settings

    def __new__(cls, app: Dash, **_settings: Unpack[SettingsOptions]) -> Self:
        if not isinstance(app, Dash):
            raise ConfigurationError(
                f"Expected the app that Dash(...) returns, got {type(app).__name__} {app!r:.80}. "
                "Write: FlashEvents(app), not FlashEvents(app.server)."
            )
        wiring: _Wiring | None = getattr(app, _WIRING, None)
        known = wiring.handle if wiring is not None else None
        return known if isinstance(known, cls) else super().__new__(cls)

    def __init__(self, app: Dash, **settings: Unpack[SettingsOptions]) -> None:
        bridge.require_async_backend(app)
        wiring: _Wiring | None = getattr(app, _WIRING, None)
        if wiring is None:  # the app was created before this package was imported
            wiring = _wire(app)
            wiring.add_routes()
        self.settings = wiring.configure(settings)
        self._wiring = wiring
        wiring.handle = self
        apps.add_app(app, bridge.name_of(app), lambda: wiring.configure({}))

    def event_callback(self, *dependencies: Dependencies, **options: Unpack[Options]) -> Decorator:
        """Return the decorator of `flash_events.event_callback`, bound to this app."""
        registry = bridge.app_registry(self._wiring.app)
        decorate = event_callback_in(registry, *dependencies, **options)
        self._wiring.add_script()
        return decorate

    def topic(self, name: str, **options: Unpack[TopicKeywords]) -> Topic:
        """Return a topic of this app's namespace; see `flash_events.topic`."""
        return self._wiring.declared.topic(name, **options)

    def shared_value(
        self, name: str, initial: Any = None, **options: Unpack[ValueKeywords]
    ) -> SharedValue:
        """Return a value of this app's namespace; see `flash_events.shared_value`."""
        return self._wiring.declared.shared_value(name, initial, **options)

    def stats(self) -> dict[str, int]:
        """Return the counters and gauges of this worker by name (see `endpoint.stats`)."""
        return self._wiring.ready().stats.snapshot()


class _Wiring:
    """Routes, scripts and server of one app; pages without event callbacks do not change."""

    def __init__(self, app: Dash) -> None:
        self.app = app
        self.handle: FlashEvents | None = None
        self._settings: Settings | None = None
        self._server: Server | None = None
        self._process = 0
        self._has_script = False
        self._has_devtool = False
        self._watch: ShutdownWatch | None = None
        self.declared = DeclaredValues(lambda: namespace_of(self.configure({})), apps.declared)

    def configure(self, given: Mapping[str, Any]) -> Settings:
        """Return the app's settings, which the first call sets.

        Raises:
            ConfigurationError: if a setting is unknown, invalid, or differs from the app's.
        """
        wanted = Settings.load(**given)
        if self._settings is None:
            check_broker(wanted.broker)
            if wanted.store:
                check_store(wanted.store)
            self._settings = wanted
        settings = self._settings
        differing = [name for name in given if getattr(wanted, name) != getattr(settings, name)]
        if differing:
            raise ConfigurationError(
                f"The app already has another {' and another '.join(differing)}. Pass all settings "
                "in the first FlashEvents(app, ...), right after creating the app; later calls "
                "need none."
            )
        return settings

    def add_routes(self) -> None:
        backend = backend_of(self.app)
        if backend is None:
            return
        for action in ACTIONS:
            bridge.add_route(self.app, ROUTE + action, backend.view(self._answering(action)))
        bridge.add_route(self.app, ROUTE + "worker", backend.view(_worker), "GET")
        for name in LOADED_ON_USE:
            bridge.add_route(self.app, ROUTE + name, backend.view(_script_of(name)), "GET")
        bridge.add_route(self.app, ROUTE + "metrics", backend.view(self._metrics), "GET")
        bridge.add_route(self.app, ROUTE + "props", backend.view(self._prop_names), "GET")
        backend.on_serving(self._start, self._close)

    def add_script(self) -> None:
        if not self._has_script:
            self._has_script = True
            bridge.add_script(self.app, "flash_events", SCRIPT)

    def before_first_request(self) -> None:
        """Check and complete the app, before Dash binds the global callbacks to it."""
        mark_serving()
        self._warn_of_ordinary_callbacks()
        if self.has_callbacks() or self.has_subscriptions():
            bridge.require_async_backend(self.app)
            self.add_script()
            self.ready().check()
            self._warn_of_pages()
            self._add_devtool()

    def _add_devtool(self) -> None:
        """Add the panel, and the checks of ids and props, to Dash's dev tools."""
        if bridge.is_debug(self.app) and not self._has_devtool:
            self._has_devtool = True
            bridge.add_script(self.app, "flash_events", DEVTOOL)
            bridge.add_devtool(self.app, "Devtool", self._devtool_props)

    def _devtool_props(self) -> dict[str, Any]:
        """Return names and source locations of the event callbacks, by id."""
        by_id = {one.id: one for one in bridge.app_registry(self.app)}
        props: dict[str, Any] = {"names": {one: callback.name for one, callback in by_id.items()}}
        if shows_errors(self.app, self.configure({})):
            props["places"] = {one: place_of(callback.function) for one, callback in by_id.items()}
        return props

    async def _prop_names(self, request: Request) -> Reply:
        """Return the props of a component, for the dev tools, which know some only by name."""
        if not bridge.is_debug(self.app):
            return Reply(404, b"Not found.\n")
        names = bridge.prop_names(request.query.get("type", ""))
        headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
        return Reply(200, json.dumps(names).encode(), headers)

    def is_used(self) -> bool:
        """Whether the app uses this package, or has an ordinary callback that was meant to."""
        is_meant = any(map(names_stream_props, self._ordinary_functions()))
        return self.has_callbacks() or self.has_subscriptions() or is_meant

    def _ordinary_functions(self) -> list[Any]:
        registries = bridge.app_registry(self.app), bridge.global_registry()
        return list(bridge.ordinary_functions(*registries))

    def _warn_of_ordinary_callbacks(self) -> None:
        has_callbacks = self.has_callbacks()
        for function in self._ordinary_functions():
            if has_callbacks or names_stream_props(function):
                slip = slip_under_callback(function, is_registered(inspect.unwrap(function)))
                if slip is not None:
                    logger.error(slip)

    def _warn_of_pages(self) -> None:
        paths = bridge.unawaited_pages(self.app)
        if paths:
            logger.error(
                "The layout of %s is an `async def`, which Dash awaits only with dash[async]: "
                "these pages are answered with status 500. Install dash[async], or write `def`.",
                ", ".join(paths),
            )

    def ready(self) -> Server:
        """Return the app's server, which is created with the settings so far.

        Each process creates its own, because forked processes (`gunicorn --preload`) must not share
        random values such as the worker's id.
        """
        if self._server is None or self._process != os.getpid():
            self._server, self._process = (
                Server(self.app, self.configure({}), self.declared),
                os.getpid(),
            )
            self._watch = None
        return self._server

    def has_callbacks(self) -> bool:
        """Return whether the app has event callbacks, or may get global ones."""
        return any(bridge.global_registry()) or any(bridge.app_registry(self.app))

    def has_subscriptions(self) -> bool:
        """Return whether pages of the app may have a `Subscription`.

        A layout may be made for each page, so it is enough that the app has topics, and that the
        components were imported.
        """
        if COMPONENTS not in sys.modules or backend_of(self.app) is None:
            return False
        return self.declared.has_own or (bool(apps.declared) and apps.owns_topics(self.app))

    def _answering(self, action: str) -> Handler:
        async def answer(request: Request) -> Reply:
            self._watch_shutdown().look()
            return await self.ready().answer(action, request)

        return answer

    async def _metrics(self, _request: Request) -> Reply:
        server = self.ready()
        if not server.settings.metrics:
            return Reply(404, b"Not found. To enable it, set metrics=True.\n")
        return Reply(200, server.stats.openmetrics().encode(), {"Content-Type": OPENMETRICS})

    async def _start(self) -> None:
        server = self._server
        if server is not None and (server.has_ended or server.is_elsewhere):
            self._server = self._watch = None  # the app is served a second time, as in tests
        if self.has_callbacks() or self.declared:
            await self.ready().start()
            self._watch_shutdown()

    def _watch_shutdown(self) -> ShutdownWatch:
        """Return the shutdown watch, which is created at the first request at the latest.

        An app that is mounted in another one gets no notice of the server's start.
        """
        if self._watch is None:
            self._watch = watch_shutdown(self.ready().drain)
        return self._watch

    async def _close(self) -> None:
        server = self._server
        if server is None or server.is_elsewhere:
            return  # another event loop serves the app now
        if self._watch is not None:
            self._watch.close()
        await server.drain()


@functools.cache
def _script(name: str) -> tuple[bytes, str]:
    """Return a script and its version, which `renderer/build.mjs` writes into the page's script."""
    script = (STATIC / name).read_bytes()
    return script, hashlib.sha256(script).hexdigest()[:16]


async def _worker(request: Request) -> Reply:
    """Return the script of the SharedWorker of a browser's tabs.

    A page of another version gets a 404 and uses its own connection, because the two versions may
    not be compatible.
    """
    script, version = _script("flash_events_worker.js")
    if request.query.get("v") != version:
        return Reply(404, headers={"Cache-Control": "no-store"})
    return _javascript(script, is_current=True)


def _script_of(name: str) -> Handler:
    """Return a handler for a script that the page's script loads on use.

    A page of another version gets it, too, because it cannot work without the script.
    """

    async def answer(request: Request) -> Reply:
        script, version = _script(f"flash_events_{name}.js")
        return _javascript(script, is_current=request.query.get("v") == version)

    return answer


def _javascript(script: bytes, is_current: bool) -> Reply:
    caching = "public, max-age=31536000, immutable" if is_current else "no-store"
    headers = {"Content-Type": "text/javascript; charset=utf-8", "Cache-Control": caching}
    return Reply(200, script, headers)


def _event_callback(app: Dash, *dependencies: Any, **options: Any) -> Callable[[Any], Any]:
    """Return the decorator for `@app.event_callback(...)`, written like `@app.callback(...)`."""
    return FlashEvents(app).event_callback(*dependencies, **options)


def _wire(app: Dash) -> _Wiring:
    wiring = _Wiring(app)
    setattr(app, _WIRING, wiring)
    if "event_callback" not in dir(app):
        setattr(app, "event_callback", functools.partial(_event_callback, app))  # noqa: B010
    bridge.wrap_startup(app, wiring.add_routes, wiring.before_first_request, wiring.is_used)
    return wiring


@hooks.setup()  # type: ignore[untyped-decorator] # Dash's
def _on_app_created(app: Dash) -> None:
    if any(bridge.global_registry()):
        bridge.require_async_backend(app)
    _wire(app)
    if backend_of(app) is not None:
        bridge.refuse_other_calls(app)
        _warn_of_wsgi()


@functools.cache
def _warn_once(message: str) -> None:
    logger.error(message)


def _warn_of_wsgi() -> None:
    """Log an error if gunicorn was started with a WSGI worker class.

    Each request would fail inside gunicorn, with an error that names neither the worker class nor
    the cure.
    """
    workers = [name for name in WSGI_WORKERS if f"gunicorn.workers.{name}" in sys.modules]
    if workers:
        _warn_once(
            f"gunicorn's worker class {workers[0]} serves WSGI apps, but this app is ASGI: each "
            "request will fail. Start it with `hypercorn app:server`, or with `gunicorn -k "
            "uvicorn_worker.UvicornWorker app:server` (pip install uvicorn-worker)."
        )
