"""Updates from what is on the wire."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from dash import ALL, MATCH

from flash_events import bridge
from flash_events.updates import ComponentId, Props, Update
from flash_events.wire import events

_WILDCARDS: dict[str, Any] = {'["ALL"]': ALL, '["MATCH"]': MATCH}


def events_of(data: bytes) -> Iterator[events.Event]:
    """The events of a log's batch."""
    for block in data.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
        if "event" in fields and (event := events.decode(fields["event"], fields["data"])):
            yield event


def update_of(targets: Iterable[tuple[ComponentId, Props]], alone: bool) -> Update:
    """An update from what is on the wire."""
    return Update(tuple((_id(component), props) for component, props in targets), alone)


def values_of(updates: Iterable[Update], component_id: ComponentId, prop: str) -> list[Any]:
    """All values that updates set a prop to, in order."""
    wanted = bridge.wire_id(component_id)
    return [
        props[prop]
        for update in updates
        for one, props in update.targets
        if bridge.wire_id(one) == wanted and prop in props
    ]


def update_in(body: bytes) -> Update:
    """An update from an event's body."""
    decoded = events.decode_update(body)
    return update_of(decoded.targets, decoded.alone)


def _id(component: ComponentId) -> ComponentId:
    """An id as the callback wrote it."""
    if isinstance(component, dict) or not component.startswith("{"):
        return component
    return {
        key: _WILDCARDS.get(json.dumps(value), value)
        for key, value in json.loads(component).items()
    }
