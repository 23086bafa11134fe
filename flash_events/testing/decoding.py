"""Decoding of events and updates from their wire format."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from dash import ALL, MATCH

from flash_events import bridge, sse
from flash_events.updates import ComponentId, Props, Update
from flash_events.wire import events

_WILDCARDS: dict[str, Any] = {'["ALL"]': ALL, '["MATCH"]': MATCH}


def events_of(data: bytes) -> Iterator[events.Event]:
    """Yield the events of a batch of a log."""
    for event in sse.split(data):
        lines = event.decode().split("\n")
        fields = dict(line.split(": ", 1) for line in lines if ": " in line)
        if "event" in fields and (decoded := events.decode(fields["event"], fields["data"])):
            yield decoded


def update_of(targets: Iterable[tuple[ComponentId, Props]], alone: bool) -> Update:
    """Return an update from its ids and props on the wire."""
    return Update(tuple((_id(component), props) for component, props in targets), alone)


def values_of(updates: Iterable[Update], component_id: ComponentId, prop: str) -> list[Any]:
    """Return all values that updates set a prop to, in order."""
    wanted = bridge.wire_id(component_id)
    return [
        props[prop]
        for update in updates
        for one, props in update.targets
        if bridge.wire_id(one) == wanted and prop in props
    ]


def update_in(body: bytes) -> Update:
    """Return the update in the body of an event."""
    decoded = events.decode_update(body)
    return update_of(decoded.targets, decoded.alone)


def _id(component: ComponentId) -> ComponentId:
    """Return an id in the form that the callback used, from its form on the wire."""
    if isinstance(component, dict) or not component.startswith("{"):
        return component
    return {
        key: _WILDCARDS.get(json.dumps(value), value)
        for key, value in json.loads(component).items()
    }
