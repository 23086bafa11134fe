"""Components that show the state of runs and of the connection, in the page and to callbacks."""

from collections.abc import Mapping
from typing import Any, Literal

from dash.development.base_component import Component

from flash_events.registration import EventFunction, registered
from flash_events.updates import ComponentId

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
