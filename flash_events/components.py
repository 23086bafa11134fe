"""Components that say what runs and the connection are at, for the page and for callbacks."""

from collections.abc import Mapping
from typing import Any, Literal

from dash.development.base_component import Component

from flash_events.registration import EventFunction, registered
from flash_events.updates import ComponentId

RunStateName = Literal["idle", "queued", "running", "done", "cancelled", "error", "lost"]
ConnectionState = Literal["idle", "connecting", "open", "reconnecting", "lost"]


class _Component(Component):
    """What Dash asks of each component class."""

    _namespace = "flash_events"
    _type = "_Component"

    def _set(self, **props: Any) -> None:
        self._prop_names = self.available_properties = [*props]
        self._valid_wildcard_attributes = self.available_wildcard_properties = []
        given = {name: value for name, value in props.items() if value is not None}
        Component.__init__(self, **given)


class RunState(_Component):
    """Shows nothing, and has a prop `state` that ordinary callbacks can take as an Input.

    States that follow one another faster than Dash calls back are skipped; the last one is not.

    Args:
        callback: a function with `@event_callback`.
        id: of the component. Where the event callback's ids have MATCH, a dict id that has these
            keys means the runs with its values; any other id means all runs.

    Attributes:
        state: `idle` before the first run; `queued` until the server has begun it; `running`; and
            when no run is left, how the last one has ended: `done`, `cancelled`, `error`, `lost`.

    Raises:
        TypeError: `callback` is no event callback.
    """

    _type = "RunState"

    def __init__(self, callback: EventFunction, id: ComponentId) -> None:
        found, _ = registered(callback)
        self._set(id=id, callback=found.id, state="idle")


class ConnectionStatus(_Component):
    """Shows in a few words whether the page gets what the server streams.

    Args:
        id: of the component.
        labels: texts instead of the built-in ones, by state, with `{seconds}` for `retry_seconds`.
        className: of the element.
        style: of the element.

    Attributes:
        state: `idle` while nothing streams, which says nothing about the server; `connecting`,
            `open`, `reconnecting` after a cut, and `lost` when it could not be resumed, or when a
            start has not reached the server. A page without a shared broker may have several
            connections; then it is that of the one that changed last.
        retry_seconds: while it is `reconnecting`, until it is tried again; else None.
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
