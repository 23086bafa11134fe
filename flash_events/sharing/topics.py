"""Topics: named, ordered logs of messages that all pages, workers and apps share."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Never, TypedDict, get_args

from flash_events import context
from flash_events.errors import CallbackError, did_you_mean
from flash_events.sharing import names
from flash_events.sharing.codecs import Kind, encode_message, off_loop, stored_frame_bytes
from flash_events.sharing.frames import is_equal_frame
from flash_events.sharing.hub import MAX_HISTORY, Hub
from flash_events.sharing.messages import Message, Messages, message_of
from flash_events.sharing.process import Namespace, wait_in_thread
from flash_events.sharing.reader import FROM_NOW_ON, Delivery, Overflow, Start, Watch
from flash_events.stores import Keep, LogId, Position

Scope = Literal["app"]
"""Owner of a copy of a topic or value: `app` is one copy for all."""

MAX_KEY = 1000

CURE = "Write `async def` and await the method without _sync."


@dataclass(frozen=True, slots=True)
class TopicOptions:
    """The options of a declared topic or shared value.

    Attributes:
        kind: "topic" or "shared_value".
        keep: what its log keeps.
        scope: whose copy it is.
        initial: the value before one is set.
        codec: the codec of a shared value; None chooses it by type.
    """

    kind: str
    keep: Keep
    scope: Scope = "app"
    initial: Any = None
    codec: str | None = None


class Topic:
    """A named, ordered log of messages; see `flash_events.topic`.

    Args:
        name: the name, with its parameters.
        options: the options.
        namespace: returns the namespace of the app that it belongs to.
        values: the values of its parameters; None if they are not given yet.
    """

    def __init__(
        self,
        name: str,
        options: TopicOptions,
        namespace: Callable[[], Namespace],
        values: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self._options = options
        self._namespace = namespace
        self._parameters = names.parameters_of(name)
        self._values = {} if values is None and not self._parameters else values

    @property
    def parameters(self) -> Mapping[str, str] | None:
        """The values of its parameters; None if they are not given yet."""
        return self._values

    @property
    def initial(self) -> Any:
        """The value before one is set; None for a topic."""
        return self._options.initial

    @property
    def is_parametrised(self) -> bool:
        """Whether its name has parameters."""
        return bool(self._parameters)

    def __repr__(self) -> str:
        values = f"({self._values})" if self._values else ""
        return f'{self._options.kind}("{self.name}"){values}'

    def __call__(self, *args: str | int, **named: str | int) -> "Topic":
        """Return the topic with these values of its parameters.

        Args:
            args: the values, in the order of the name.
            named: the values by parameter.

        Raises:
            CallbackError: if a value is missing, unknown or not valid.
        """
        given = dict(zip(self._parameters, args, strict=False)) | named
        if len(args) > len(self._parameters) or set(given) != set(self._parameters):
            expected = ", ".join(self._parameters) or "no values: it has no parameters"
            raise CallbackError(
                f"Expected {expected} for the topic {self.name!r}, got {[*args, *named]!r}."
            )
        values = {
            parameter: names.checked_parameter(self.name, parameter, value)
            for parameter, value in given.items()
        }
        return type(self)(self.name, self._options, self._namespace, values)

    async def publish(self, data: Any, *, key: str | None = None, expect: int | None = None) -> int:
        """Append a message and return its offset, when the store has it.

        Args:
            data: a value that has a JSON form (a data frame has none), or an `Update`
                (`stream_props(...)`), which pages with a `Subscription` apply as it is.
            key: idempotency key. A second publish with the same key within 5 minutes does nothing
                and returns the offset of the first; for tasks that may be delivered twice.
            expect: the offset that must be the last one now; 0 for none yet.

        Raises:
            EncodingError: if it has no JSON form (the message names the path), or is larger than
                `max_event_bytes`.
            Conflict: if the last offset is not `expect`.
            StoreUnavailable: if the store does not answer within `publish_timeout` seconds. The
                message may have been stored; give a `key` to repeat it safely.
            ConfigurationError: if no other process can see what this one publishes.
        """
        return (await self._append(await self._encoded(data), key, expect)).offset

    def publish_sync(self, data: Any, *, key: str | None = None, expect: int | None = None) -> int:
        """Do the same as `publish`, in a thread, a Celery task or a script.

        Raises:
            RuntimeError: on an event loop, which it would block.
        """
        return wait_in_thread(self._hub(), self.publish(data, key=key, expect=expect), CURE)

    def subscribe(
        self, *, last: int = 0, since: int | None = None, overflow: Overflow = "skip"
    ) -> Messages:
        """Return the messages from now on, to loop over.

        Args:
            last: how many of the kept messages come first.
            since: the offset after which it begins, in place of `last`; to go on where an earlier
                reader has ended (`Messages.offset`).
            overflow: what happens if the reader is behind what is kept: "skip" goes on with the
                oldest message that is kept, "latest" with the newest (for a display), "error"
                raises `TopicOverflow` (for a ledger).

        Raises:
            TypeError, ValueError: if an argument is not valid.
        """
        return self._messages(check_start(last, since, overflow), overflow)

    async def latest(self, count: int = 1) -> list[Message]:
        """Return the newest kept messages, oldest first; [] if there are none."""
        check_count("count", count)
        hub = self._hub()
        found = await hub.run(hub.latest(self._log(), count))
        watch = self.watch(origin=context.page.get() or hub.origin)

        def messages() -> list[Message]:
            every = [message_of(Delivery(entry, data, 0, True), watch) for entry, data in found]
            return [message for message in every if message is not None]

        return await off_loop(sum(stored_frame_bytes(data) for _, data in found), messages)

    def latest_sync(self, count: int = 1) -> list[Message]:
        """Do the same as `latest`, in a thread, a Celery task or a script."""
        return wait_in_thread(self._hub(), self.latest(count), CURE)

    async def clear(self) -> None:
        """Remove the history. Offsets go on; readers get a message with `is_cleared`."""
        await self._append(Kind.CLEARED.value, None, None, clear=True)

    def clear_sync(self) -> None:
        """Do the same as `clear`, in a thread, a Celery task or a script."""
        wait_in_thread(self._hub(), self.clear(), CURE)

    async def _encoded(self, data: Any) -> bytes:
        return encode_message(data, self._namespace().settings.max_event_bytes)

    async def _append(
        self, data: bytes, key: str | None, expect: int | None, clear: bool = False
    ) -> Position:
        if key is not None and (not isinstance(key, str) or not 0 < len(key) <= MAX_KEY):
            raise TypeError(
                f"Expected key as a string of 1 to {MAX_KEY} characters, got {key!r:.80}."
            )
        if expect is not None:
            check_count("expect", expect)
        hub = self._hub()
        return await hub.run(
            hub.publish(
                self._log(),
                data,
                self._options.keep,
                origin=context.page.get(),
                key=key or "",
                expect=expect,
                clear=clear,
            )
        )

    def watch(
        self, start: Start = FROM_NOW_ON, overflow: Overflow = "skip", *, origin: str
    ) -> Watch:
        """Return what a reader of this topic reads; see `Watch`."""
        initial = self._options.initial
        is_lazy = self._options.kind != "topic"
        return Watch(self.name, self._log(), start, overflow, initial, is_lazy, origin)

    def _messages(self, start: Start, overflow: Overflow) -> Messages:
        hub = self._hub()
        return Messages(hub, self.watch(start, overflow, origin=context.page.get() or hub.origin))

    def _hub(self) -> Hub:
        return self._namespace().hub()

    def _log(self) -> LogId:
        if self._values is None:
            raise CallbackError(
                f"The topic {self.name!r} has parameters. Write topic("
                f"{', '.join(f'{one}=...' for one in self._parameters)}) before you use it."
            )
        return names.log_id(self._namespace().name, self.name, self._values)


def check_start(last: int, since: int | None, overflow: Overflow) -> Start:
    """Return where a reader begins.

    Raises:
        TypeError, ValueError: if an argument is not valid.
    """
    check_count("last", last)
    if since is not None:
        check_count("since", since)
        if last:
            raise ValueError("Expected last or since, got both: since comes in place of last.")
    if overflow not in get_args(Overflow):
        raise ValueError(
            f"Expected overflow to be one of {', '.join(get_args(Overflow))}, got {overflow!r}."
        )
    return Start(last, None if since is None else Position(since))


def check_count(name: str, value: object) -> None:
    """Raise `TypeError` or `ValueError` if a value is not a whole number from 0."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"Expected {name} as a whole number, got {value!r:.80}.")
    if value < 0:
        raise ValueError(f"Expected {name} to be 0 or more, got {value}.")


def checked_keep(name: str, history: Any, ttl: Any, max_bytes: Any) -> Keep:
    """Return what a topic keeps.

    Raises:
        CallbackError: if a number is not valid.
    """
    for option, value, least, most in (
        ("history", history, 0, MAX_HISTORY),
        ("max_bytes", max_bytes, 1, 2**40),
    ):
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise CallbackError(
                f"Expected {option} of {name!r} as a whole number from {least:,} to {most:,}, got "
                f"{value!r:.80}."
            )
    is_number = isinstance(ttl, int | float) and not isinstance(ttl, bool)
    if ttl is not None and not (is_number and 0 < ttl < math.inf):
        raise CallbackError(
            f"Expected ttl of {name!r} in seconds, above 0, or None for no limit, got {ttl!r:.80}."
        )
    return Keep(history, ttl, max_bytes)


def checked_scope(name: str, scope: object) -> Scope:
    """Return a scope.

    Raises:
        CallbackError: if it is not one.
    """
    if scope not in get_args(Scope):
        raise CallbackError(
            f"Expected the scope of {name!r} to be one of {', '.join(get_args(Scope))}, got "
            f"{scope!r:.80}. {did_you_mean(str(scope), get_args(Scope))}"
        )
    return "app"


def refuse_unknown(options: Mapping[str, object], known: Any) -> None:
    """Raise `CallbackError` if there are options that are not among the known ones."""
    for name in options:
        raise CallbackError(f"Unknown option {name!r}. {did_you_mean(name, known.__annotations__)}")


class TopicKeywords(TypedDict, total=False):
    """The options of `flash_events.topic`."""

    history: int
    ttl: float | None
    max_bytes: int
    scope: Scope


class Declared:
    """The topics and shared values that were declared, by name.

    Args:
        namespace: returns the namespace of their app.
        further: others that the app may use, too.
    """

    def __init__(
        self, namespace: Callable[[], Namespace], further: "Declared | None" = None
    ) -> None:
        self.namespace = namespace
        self._further = further
        self._topics: dict[str, Topic] = {}
        self._options: dict[str, TopicOptions] = {}

    def __bool__(self) -> bool:
        return bool(self._topics or self._further)

    @property
    def has_own(self) -> bool:
        """Whether any were declared here, and not among the further ones."""
        return bool(self._topics)

    def find(self, name: str) -> Topic | None:
        """Return the topic with this name; None if none was declared."""
        if name in self._topics or self._further is None:
            return self._topics.get(name)
        return self._further.find(name)

    def topic(
        self,
        name: str,
        *,
        history: int = 100,
        ttl: float | None = 3600.0,
        max_bytes: int = 16 * 2**20,
        scope: Scope = "app",
        **unknown: Never,
    ) -> Topic:
        """See `flash_events.topic`."""
        names.parameters_of(name)
        refuse_unknown(unknown, TopicKeywords)
        keep = checked_keep(name, history, ttl, max_bytes)
        options = TopicOptions("topic", keep, checked_scope(name, scope))
        added: Topic = self.add(name, options, Topic)
        return added

    def add(self, name: str, options: TopicOptions, kind: type[Topic]) -> Any:
        """Return the topic of a name, which is made if need be.

        Raises:
            CallbackError: if it was declared with other options.
        """
        known = self._options.get(name)
        if known is not None and not _is_same(known, options):
            raise CallbackError(
                f"{options.kind}({name!r}) was declared before with other options ({known}). "
                "Declare it once, and import it where you use it."
            )
        if known is None:
            self._topics[name] = kind(name, options, self.namespace)
            self._options[name] = options
        return self._topics[name]


def _is_same(one: TopicOptions, other: TopicOptions) -> bool:
    if (one.kind, one.keep, one.scope, one.codec) != (
        other.kind,
        other.keep,
        other.scope,
        other.codec,
    ):
        return False
    if one.initial is other.initial or is_equal_frame(one.initial, other.initial):
        return True
    try:
        return bool(one.initial == other.initial)
    except (TypeError, ValueError):  # data frames compare to data frames
        return False
