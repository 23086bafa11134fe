"""Components: the state of runs and of the connection, and the messages of topics."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

from dash.development.base_component import Component

from flash_events.errors import CallbackError, did_you_mean
from flash_events.registration import EventFunction, registered
from flash_events.sharing.codecs import json_or_none
from flash_events.sharing.hub import MAX_HISTORY
from flash_events.sharing.topics import Topic, check_count
from flash_events.sharing.values import SharedValue
from flash_events.updates import ComponentId

PageOverflow = Literal["skip", "latest"]

MAX_WINDOW = 10_000

RunStateName = Literal["idle", "queued", "running", "done", "cancelled", "error", "lost"]
ConnectionState = Literal["idle", "connecting", "open", "reconnecting", "lost"]


class _Component(Component):
    """Base of components, with the attributes that Dash requires."""

    _namespace = "flash_events"
    _type = "_Component"

    def _set(self, **props: Any) -> None:
        self._prop_names = self.available_properties = [*props]
        self._valid_wildcard_attributes = self.available_wildcard_properties = []
        given = {name: value for name, value in props.items() if value is not None}
        Component.__init__(self, **given)


class RunState(_Component):
    """An invisible component with a prop `state`, which ordinary callbacks can take as an Input.

    If the state changes faster than Dash calls back, intermediate states are skipped, but never the
    last one.

    Args:
        callback: a function with `@event_callback`.
        id: the id of the component. If the event callback's ids have MATCH, a dict id with the same
            keys selects the runs with its values; any other id selects all runs.

    Attributes:
        state: `idle` before the first run, `queued` until the server has started it, `running`,
            and then the reason of the last run's end: `done`, `cancelled`, `error` or `lost`.

    Raises:
        TypeError: if `callback` is not an event callback.
    """

    _type = "RunState"

    def __init__(self, callback: EventFunction, id: ComponentId) -> None:
        found, _ = registered(callback)
        self._set(id=id, callback=found.id, state="idle")


class ConnectionStatus(_Component):
    """A short text with the state of the page's connection to the server.

    Args:
        id: the id of the component.
        labels: texts that replace the built-in ones, by state; `{seconds}` stands for
            `retry_seconds`.
        className: the CSS class of the element.
        style: the CSS style of the element.

    Attributes:
        state: `idle` while nothing streams (the server may be up or down), `connecting`, `open`,
            `reconnecting` after a cut, or `lost` if the connection could not be resumed or a start
            did not reach the server. If a page has several connections, which needs several
            workers without a shared broker, it is the state of the one that changed last.
        retry_seconds: seconds until the next attempt while `reconnecting`; otherwise None.
    """

    _type = "ConnectionStatus"

    def __init__(
        self,
        id: ComponentId | None = None,
        labels: Mapping[ConnectionState, str] | None = None,
        className: str | None = None,
        style: Mapping[str, object] | None = None,
    ) -> None:
        self._set(
            id=id,
            labels=labels,
            className=className,
            style=style,
            state="idle",
            retry_seconds=None,
        )


class Subscription(_Component):
    """An invisible component whose props are the messages of a topic, for callbacks.

    If an `Update` was published (`stream_props(...)`), the page applies it like one that an event
    callback has streamed: `extendData`, `Patch` and all. Its data is `{"set": [[id, props]]}`.

    Nothing is lost while the page lives: after a cut it goes on after its last message, and so does
    a component that is drawn again with the same id and topic. What the topic no longer keeps is
    counted in `missed`.

    Args:
        topic: a topic or a shared value of this app.
        id: the id of the component.
        last: how many of the kept messages come first, in a page that was just loaded. None: the
            value of a shared value, nothing of another topic.
        window: maximum number of messages in the prop `messages`, 0 to 10,000.
        each: whether `message` shows every message. The next one comes when no callback is
            requested or runs that has `message` as an Input. Up to 10,000 messages wait; beyond
            that, the oldest are dropped and counted in `missed`.
        overflow: what the page gets if it is behind what the topic keeps: "skip" goes on with the
            oldest message that is kept, "latest" with the newest.

    Attributes:
        message: the data of the last message. If several come within a frame, callbacks see the
            last of them, unless `each` is set. Before the first one, and after the topic was
            cleared or the value deleted, it is the initial value of a shared value, and None for
            a topic. It is None for data that has no JSON form (a data frame), and for a value of
            more than 64 KiB: take `offset` as an Input, and call `get()`.
        messages: the last `window` messages, oldest first: dicts with `data`, `offset`, `time`
            (Unix time in seconds), `is_mine` (whether a run of this page has published it),
            `missed` (messages lost right before it; None if nobody can know how many), and
            `is_cleared` (only if it is set).
        offset: the offset of `message`; 0 before the first one. It changes with every message, even
            if the data is equal.
        missed: the number of all messages that this page has missed.
        state: `connecting`, `live`, `reconnecting` after the server or the connection was lost, or
            `refused` if the app has no such topic (the console says why).

    Raises:
        TypeError, ValueError: if an argument is not valid.
        CallbackError: if the topic has parameters.
    """

    _type = "Subscription"

    def __init__(
        self,
        topic: Topic,
        id: ComponentId,
        *,
        last: int | None = None,
        window: int = 100,
        each: bool = False,
        overflow: PageOverflow = "skip",
    ) -> None:
        name = _name_of(topic)
        if last is None:
            last = 1 if isinstance(topic, SharedValue) else 0
        for option, value, most in (("last", last, MAX_HISTORY), ("window", window, MAX_WINDOW)):
            check_count(option, value)
            if value > most:
                raise ValueError(f"Expected {option} to be {most:,} or less, got {value:,}.")
        if not isinstance(each, bool):
            raise TypeError(f"Expected each to be True or False, got {each!r:.80}.")
        if overflow not in get_args(PageOverflow):
            raise ValueError(
                f"Expected overflow to be one of {', '.join(get_args(PageOverflow))}, got "
                f"{overflow!r:.80}. {did_you_mean(str(overflow), get_args(PageOverflow))}"
            )
        initial = json_or_none(topic.initial)
        self._set(
            id=id,
            topic={"name": name, "params": {}},
            last=last,
            window=window,
            each=each,
            overflow=overflow,
            initial=initial,
            message=initial,
            messages=[],
            offset=0,
            missed=0,
            state="connecting",
        )


def _name_of(topic: object) -> str:
    """Return the name of a topic that a page may watch.

    Raises:
        TypeError, CallbackError: if it may not.
    """
    if isinstance(topic, str):
        raise TypeError(
            f"Expected a topic, got the string {topic!r:.80}. Write: "
            f'Subscription(topic("{topic:.80}"), id=...).'
        )
    if not isinstance(topic, Topic):
        raise TypeError(
            f"Expected a topic or a shared value, got {type(topic).__name__} {topic!r:.80}. Write: "
            'Subscription(topic("prices"), id="prices").'
        )
    if topic.is_parametrised:
        raise CallbackError(
            f"Expected a topic without parameters, got {topic.name!r}: a page may not choose what "
            "it watches yet. Loop over the topic's subscribe() in an event callback, which decides "
            "itself."
        )
    return topic.name
