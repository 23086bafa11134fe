"""The settings, from keywords and from `FLASH_EVENTS_*` environment variables."""

import functools
import inspect
import logging
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self, TypedDict

from flash_events.brokers.log import LogLimits
from flash_events.errors import ConfigurationError, did_you_mean, nearest
from flash_events.identity import Identify

logger = logging.getLogger(__name__)

PREFIX = "FLASH_EVENTS_"
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/*\s]+")
_LIKE_PREFIX = re.compile("FLASH_?EVENTS?_?", re.IGNORECASE)
"""Start of the names of environment variables that are likely intended for this package."""

MAX_HEARTBEAT_SECONDS = 30.0
"""Maximum of `heartbeat_seconds`; proxies commonly cut connections that are silent for 60 s."""


class SettingsOptions(TypedDict, total=False):
    """The keywords of the settings; see `Settings`."""

    broker: str
    store: str
    namespace: str
    publish_timeout: float
    broker_outage_seconds: float
    heartbeat_seconds: float
    grace_seconds: float
    linger_seconds: float
    log_bytes: int
    log_events: int
    replay_bytes: int
    replay_seconds: float
    max_event_bytes: int
    max_body_bytes: int
    max_uploading_bytes: int
    max_runs_per_page: int
    max_runs_per_connection: int
    max_connections_per_page: int
    max_runs: int
    max_subscriptions_per_page: int
    max_subscriptions: int
    max_value_bytes: int
    max_connections: int
    max_threads: int
    max_kept_bytes: int
    max_ended_bytes: int
    allowed_origins: str | Sequence[str]
    command_props: str | Sequence[str]
    trust_forwarded_host: bool
    identify: Identify | None
    metrics: bool
    debug: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of an app. The defaults suit most deployments.

    All numbers must be above 0. Environment variables separate the items of lists by commas.

    Attributes:
        broker: store of event logs: `memory://` (in one process) or `redis://host:port/db` (shared
            by all workers on all machines; also `rediss://` and `unix://`).
        store: store of topics and shared values: `memory://`, `sqlite:////path/to/file` (shared by
            the processes of one machine) or `redis://host:port/db`. By default it is the broker's
            Redis; without one, the workers of a server share a file of their own.
        namespace: apps with the same store and namespace share their topics and shared values.
        publish_timeout: maximum wait in seconds for the store when a message is published.
        broker_outage_seconds: timeout after which streams end as `lost` if Redis does not answer,
            or refuses all commands.
        heartbeat_seconds: time between two heartbeats of a connection, 30 at most. The page answers
            them; the grace period starts when it leaves two in a row unanswered.
        grace_seconds: grace period, for which runs go on after their client has vanished.
        linger_seconds: time for which a connection stays open after its last run has ended.
        log_bytes: maximum size of the events of a connection that wait to be written to the socket;
            above it, its runs wait.
        log_events: maximum number of these events.
        replay_bytes: maximum size of the sent events that are kept for replay after a cut.
        replay_seconds: maximum time for which sent events are kept for replay.
        max_event_bytes: maximum size of one update, or of one message of a topic.
        max_body_bytes: maximum size of a start, which holds the values of all Inputs and States.
            Quart's `MAX_CONTENT_LENGTH` limits it, too.
        max_uploading_bytes: maximum total size of the starts above 1 MiB that a worker receives
            concurrently.
        max_runs_per_page: maximum number of live runs of one tab.
        max_runs_per_connection: maximum number of live runs of one connection.
        max_connections_per_page: maximum number of connections of one tab.
        max_runs: maximum number of live runs of one worker.
        max_subscriptions_per_page: maximum number of `Subscription` components of one tab.
        max_subscriptions: maximum number of `Subscription` components that one worker serves.
        max_value_bytes: maximum size of a shared value.
        max_connections: maximum number of connections of one worker.
        max_threads: maximum number of concurrent plain generators of one worker.
        max_kept_bytes: maximum size of the snapshot of a run with `on_disconnect="finish"`.
        max_ended_bytes: maximum total size of the snapshots of ended runs in one worker, which are
            kept for 5 minutes; the oldest are dropped first.
        identify: function that takes the request (Quart's, or Starlette's under FastAPI) and
            returns the id of the user as a string; may be async. Connections and runs belong to
            this user, and other users get the same error as for unknown ones. None or an exception
            refuses the request.
        metrics: whether `_dash-flash-events/metrics` serves counters as OpenMetrics text.
        allowed_origins: other origins whose pages may send requests, such as
            `https://portal.example`.
        command_props: further props whose values are actions, so that no value may be merged into
            the next: `play`, or `my_lib.Player.play` for one component type. dcc.Graph's
            `extendData`, AgGrid's `rowTransaction` and similar props are known already.
        trust_forwarded_host: whether to trust the header `X-Forwarded-Host`, which a proxy must
            set.
        debug: whether the browser gets messages and tracebacks of errors, and the source lines of
            updates; None follows Dash's dev tools.
    """

    broker: str = "memory://"
    store: str = ""
    namespace: str = "default"
    publish_timeout: float = 5.0
    broker_outage_seconds: float = 120.0
    heartbeat_seconds: float = 15.0
    grace_seconds: float = 30.0
    linger_seconds: float = 1.0
    log_bytes: int = 1024 * 1024
    log_events: int = 1000
    replay_bytes: int = 16 * 1024 * 1024
    replay_seconds: float = 300.0
    max_event_bytes: int = 1024 * 1024
    max_body_bytes: int = 16 * 1024 * 1024
    max_uploading_bytes: int = 64 * 1024 * 1024
    max_runs_per_page: int = 32
    max_runs_per_connection: int = 256
    max_connections_per_page: int = 32
    max_runs: int = 20_000
    max_subscriptions_per_page: int = 64
    max_subscriptions: int = 20_000
    max_value_bytes: int = 64 * 1024 * 1024
    max_connections: int = 5_000
    max_threads: int = 40
    max_kept_bytes: int = 8 * 1024 * 1024
    max_ended_bytes: int = 64 * 1024 * 1024
    allowed_origins: tuple[str, ...] = ()
    command_props: tuple[str, ...] = ()
    trust_forwarded_host: bool = False
    identify: Identify | None = None
    metrics: bool = False
    debug: bool | None = None

    def __post_init__(self) -> None:
        for name in _NUMBERS:
            value = getattr(self, name)
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or value <= 0 or not math.isfinite(value):
                raise ConfigurationError(f"Expected {name} to be a number above 0, got {value!r}.")
        for name in _FLAGS:
            flag = getattr(self, name)
            if not isinstance(flag, bool) and (flag is not None or name != "debug"):
                raise ConfigurationError(f"Expected {name} to be True or False, got {flag!r}.")
        for name in ("store", "namespace"):
            text = getattr(self, name)
            if not isinstance(text, str) or not text.isprintable():
                raise ConfigurationError(f"Expected {name} to be a string, got {text!r:.80}.")
        if not self.namespace:
            raise ConfigurationError("Expected namespace to be a name, got an empty string.")
        if self.identify is not None and not _takes_a_request(self.identify):
            raise ConfigurationError(
                "Expected identify to be a function that takes a request and returns a string, "
                f"got {self.identify!r}. Write: def identify(request): ..."
            )
        for origin in self.allowed_origins:
            if not _ORIGIN.fullmatch(origin):
                raise ConfigurationError(
                    "Expected allowed_origins to name each origin as browsers send it, such as "
                    f"https://portal.example or http://localhost:3000, got {origin!r}. Remove "
                    "path, trailing slash and wildcards."
                )
        if self.heartbeat_seconds > MAX_HEARTBEAT_SECONDS:
            raise ConfigurationError(
                f"Expected heartbeat_seconds to be at most {MAX_HEARTBEAT_SECONDS}, as proxies cut "
                f"connections that are silent for 60 s, got {self.heartbeat_seconds!r}."
            )

    @property
    def store_url(self) -> str | None:
        """The URL of the store; None for the one that the workers of the server share."""
        if self.store:
            return self.store
        return None if self.broker == "memory://" else self.broker

    @property
    def log_limits(self) -> LogLimits:
        """The limits of each event log."""
        return LogLimits(
            self.log_bytes,
            self.log_events,
            self.replay_bytes,
            self.replay_seconds,
            self.grace_seconds,
            self.broker_outage_seconds,
        )

    @classmethod
    def load(cls, environment: Mapping[str, str] = os.environ, **given: object) -> Self:
        """Return settings from the environment and from keywords, which take precedence.

        Args:
            environment: environment variables.
            given: settings by keyword.

        Raises:
            ConfigurationError: if a setting is unknown, or a value has the wrong type.
        """
        known = {field.name: field.default for field in fields(cls)}
        for name in given:
            if name not in known:
                raise ConfigurationError(f"Unknown setting {name!r}. {did_you_mean(name, known)}")
        _warn_of_unknown(environment, known)
        if environment.get(PREFIX + "IDENTIFY", "").strip():
            raise ConfigurationError(
                f"{PREFIX}IDENTIFY cannot be set, since identify is a function. Write: "
                "FlashEvents(app, identify=...)."
            )
        values: dict[str, Any] = {}
        for name, default in known.items():
            text = environment.get(PREFIX + name.upper(), "").strip()
            if text and name != "identify":  # an empty variable sets nothing
                values[name] = _parse(PREFIX + name.upper(), text, default)
        values.update(given)
        for name in ("allowed_origins", "command_props"):
            if name in values:
                value = values[name]
                if not isinstance(value, str | list | tuple | set | frozenset):
                    raise ConfigurationError(
                        f"Expected {name} to be a list of strings, got {value!r}."
                    )
                values[name] = (value,) if isinstance(value, str) else tuple(value)
        return cls(**values)


_FLAGS = ("trust_forwarded_host", "metrics", "debug")
_NAMES = [field.name.upper() for field in fields(Settings)]
_NUMBERS = [
    field.name
    for field in fields(Settings)
    if isinstance(field.default, int | float) and not isinstance(field.default, bool)
]


def _takes_a_request(identify: Any) -> bool:
    try:
        inspect.signature(identify).bind(None)
    except ValueError:  # some functions that are written in C have no signature
        return True
    except TypeError:  # it is not callable, or has other parameters
        return False
    return True


def _warn_of_unknown(environment: Mapping[str, str], known: Mapping[str, Any]) -> None:
    """Warns of variables that are likely meant for us and set nothing; not of another tool's."""
    variables = {PREFIX + name.upper() for name in known}
    for variable in environment:
        prefix = _LIKE_PREFIX.match(variable)
        if prefix is None or variable in variables:
            continue
        near = nearest(variable[prefix.end() :].lower(), known)
        if near:
            _warn_of(variable, f"Did you mean {PREFIX}{near.upper()}?")
        elif variable.startswith(PREFIX):
            _warn_of(variable, "")


@functools.cache
def _warn_of(variable: str, hint: str) -> None:
    """Warn of an unknown environment variable, once in a process."""
    logger.warning(
        "The environment variable %s is not a setting of flash_events and has no effect. %s",
        variable,
        hint or f"The settings are {PREFIX} and one of {', '.join(_NAMES)}.",
    )


def _parse(variable: str, text: str, default: Any) -> Any:
    match default:
        case bool() | None:
            if text.lower() in ("1", "true", "yes", "on"):
                return True
            if text.lower() in ("0", "false", "no", "off"):
                return False
            raise ConfigurationError(f"Expected {variable} to be true or false, got {text!r}.")
        case int() | float():
            try:
                return type(default)(text)
            except ValueError:
                kind = "a whole number" if isinstance(default, int) else "a number"
                raise ConfigurationError(
                    f"Expected {variable} to be {kind}, got {text!r}."
                ) from None
        case tuple():
            return tuple(part.strip() for part in text.split(",") if part.strip())
    return text
