"""Snapshot of a run: its updates so far, reduced, for pages that attach late.

- State props: only the last value is kept, at its position in the order of all updates.
- `extendData`: the values are joined, and cut to maxPoints.
- Notifications: dropped, since they were shown when they came.
- Other commands (Patch, transactions): all are kept, in order.

It is safe to drop the earlier values of a state prop even if values contain components: the last
value replaces the whole content of the prop. Updates of components inside an earlier value are
hidden by it, so they are dropped, too.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flash_events import bridge
from flash_events.wire.events import PartedBody
from flash_events.wire.json import embedded, to_json

COMMANDS = frozenset(
    ("extendData", "prependData", "rowTransaction", "rowTransactionAsync", "sendNotifications")
)
"""Command props: each value is an action. The same list is in renderer/src/apply/commands.ts."""

PIECE_BYTES = 128 * 1024
"""Maximum size of one update of a snapshot; a single value may be larger."""

_DROPPED = frozenset(("sendNotifications",))
_REPLACES = {"figure": ("extendData", "prependData"), "rowData": ("rowTransaction",)}
"""Commands that a new value of a state prop replaces."""

_CHANGE_TRACES = frozenset(("figure", "extendData", "prependData"))

_COMPONENT = b'"namespace":'
"""Bytes that every encoded update with components contains."""

_PATCH = b'"__dash_patch_update"'


@dataclass(slots=True)
class _Entry:
    component: str
    prop: str
    value: Any
    size: int
    is_alone: bool
    is_state: bool
    drawn: tuple[str, ...] = ()


class Snapshot:
    """The reduced updates of one run.

    Args:
        limit_bytes: size at which the snapshot is full.
        command_props: command props besides the known ones.

    Attributes:
        size: approximate size in bytes.
        collapsed: number of values that were replaced by later ones.
        is_complete: whether it holds all updates; False after `abandon`.
    """

    def __init__(self, limit_bytes: int, command_props: tuple[str, ...] = ()) -> None:
        self._limit_bytes = limit_bytes
        # The types of components are not known here, so `namespace.Type.prop` matches any `prop`.
        self._commands = COMMANDS | {name.rpartition(".")[2] for name in command_props}
        self._entries: dict[int, _Entry] = {}
        self._of_prop: dict[str, dict[str, list[int]]] = {}
        self._drawn_by: dict[str, int] = {}
        self._next = 0
        self._last_changed = ""
        self._barrier = 0
        self.size = 0
        self.collapsed = 0
        self.is_complete = True

    @property
    def is_full(self) -> bool:
        """Whether the size limit is reached."""
        return self.size >= self._limit_bytes

    @property
    def is_idempotent(self) -> bool:
        """Whether a page that has applied a part of the updates may apply the whole snapshot."""
        return all(entry.is_state for entry in self._entries.values())

    def add(self, body: bytes) -> None:
        """Add an update that `wire.events.encode_update` has encoded."""
        if not self.is_complete:
            return
        draws = _COMPONENT in body
        for component, prop, value, size, is_alone in _parts_of(body, draws):
            self._add(component, prop, value, size, is_alone, draws)
            if draws:  # the same id may belong to another component from here on
                self._barrier = self._next

    def abandon(self) -> None:
        """Drop the content for good, because the snapshot is full while a page watches the run."""
        self.is_complete = False
        self._entries.clear()
        self._of_prop.clear()
        self._drawn_by.clear()
        self.size = 0

    def bodies(self) -> list[bytes]:
        """Return encoded updates that bring a fresh page to the current state of the run."""
        bodies: list[bytes] = []
        together: list[Any] = []
        size = 0

        def close() -> None:
            if together:
                bodies.append(b'"set":%b' % to_json(together))
                together.clear()

        for entry in self._entries.values():
            if entry.is_alone or size + entry.size > PIECE_BYTES:
                close()
                size = 0
            together.append([entry.component, {entry.prop: entry.value}])
            size += entry.size
            if entry.is_alone:
                close()
                bodies[-1] += b',"alone":true'
        close()
        return bodies

    def _add(
        self,
        component: str,
        prop: str,
        value: Any,
        size: int,
        is_alone: bool,
        draws: bool,
    ) -> None:
        if prop in _DROPPED:
            return
        is_patch = isinstance(value, dict) and "__dash_patch_update" in value
        is_state = prop not in self._commands and not is_patch
        if is_state:
            for replaced in (prop, *_REPLACES.get(prop, ())):
                self._remove(component, replaced)
        drawn: tuple[str, ...] = ()
        if draws:
            for one in _ids_anywhere(value):
                self._drawn_by.pop(one, None)
            if is_state and prop == "children":  # other props may hold mere look-alikes
                drawn = tuple(_ids_drawn(value))
                for one in drawn:  # earlier updates went to an earlier component with this id
                    self._remove_all(one)
        if prop in _CHANGE_TRACES:
            self._note_change(component)
        if prop == "extendData" and not is_alone and self._extend(component, value, size):
            return
        self._next += 1
        entry = _Entry(component, prop, value, size, is_alone, is_state, drawn)
        self._entries[self._next] = entry
        self._of_prop.setdefault(component, {}).setdefault(prop, []).append(self._next)
        self._drawn_by.update(dict.fromkeys(drawn, self._next))
        self.size += size

    def _note_change(self, component: str) -> None:
        """Set a barrier for joins between two ids that may match the same component (wildcards)."""
        before, self._last_changed = self._last_changed, component
        if before != component and (_is_wildcard(before) or _is_wildcard(component)):
            self._barrier = self._next

    def _extend(self, component: str, value: Any, size: int) -> bool:
        """Join points to earlier ones of the same traces, unless an update between changes these.

        Return whether they were joined.
        """
        for position in reversed(self._positions(component, "extendData")):
            if position <= self._barrier or self._has_changed_since(component, position):
                return False
            earlier = self._entries[position]
            before = earlier.size
            if _join(earlier, value, size):
                self.size += earlier.size - before
                self.collapsed += 1
                return True
            if _may_share_traces(earlier.value, value):
                return False
        return False

    def _has_changed_since(self, component: str, position: int) -> bool:
        """Return whether a later figure or prependData of the graph changes its traces."""
        for prop in ("figure", "prependData"):
            positions = self._positions(component, prop)
            if positions and positions[-1] > position:
                return True
        return False

    def _positions(self, component: str, prop: str) -> list[int]:
        return self._of_prop.get(component, {}).get(prop, [])

    def _remove(self, component: str, prop: str) -> None:
        """Remove all values of a prop, and all updates of components inside these values."""
        props = self._of_prop.get(component, {})
        positions = props.pop(prop, ())
        if not props:
            self._of_prop.pop(component, None)
        for position in positions:
            entry = self._entries.pop(position)
            self.size -= entry.size
            self.collapsed += 1
            for one in entry.drawn:
                if self._drawn_by.get(one) == position:
                    del self._drawn_by[one]
                    self._remove_all(one)

    def _remove_all(self, component: str) -> None:
        for prop in list(self._of_prop.get(component, ())):
            self._remove(component, prop)


def _parts_of(body: bytes, draws: bool) -> Iterator[tuple[str, str, Any, int, bool]]:
    """Yield component id, prop, value, size in bytes and `alone` for each prop of an update."""
    if isinstance(body, PartedBody):
        for component, prop, text in body.props:
            is_read = draws or prop == "extendData" or _PATCH in text
            value = json.loads(text) if is_read else embedded(text)
            yield component, prop, value, len(text) + 1, body.alone
        return
    fields = json.loads(b"{%b}" % body)  # of a task, which another process has encoded
    is_alone = bool(fields.get("alone"))
    count = sum(len(props) for _, props in fields["set"]) or 1
    for component, props in fields["set"]:
        for prop, value in props.items():
            yield component, prop, value, len(body) // count + 1, is_alone


def _ids_drawn(children: Any) -> Iterator[str]:
    """Yield the ids of the components in a value of `children`, at any depth."""
    waiting = [children]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting.extend(one)
        elif _is_component(one):
            yield from _id_of(one)
            waiting.append(one["props"].get("children"))


def _ids_anywhere(value: Any) -> Iterator[str]:
    """Yield the ids of everything in a value that looks like a component."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting.extend(one)
        elif isinstance(one, dict):
            waiting.extend(one.values())
            if _is_component(one):
                yield from _id_of(one)


def _is_component(value: Any) -> bool:
    return isinstance(value, dict) and "namespace" in value and isinstance(value.get("props"), dict)


def _id_of(component: Any) -> Iterator[str]:
    component_id = component["props"].get("id")
    if isinstance(component_id, str | dict):
        yield bridge.wire_id(component_id)


def _join(earlier: _Entry, value: Any, size: int) -> bool:
    """Join two values of extendData if they have the same traces; return whether they had."""
    before, more = _parts(earlier.value), _parts(value)
    if earlier.is_alone or before is None or more is None or before[1:] != more[1:]:
        return False
    arrays, max_points = before[0], before[2]
    lengths = {key: len(traces) for key, traces in arrays.items()}
    if lengths != {key: len(traces) for key, traces in more[0].items()}:
        return False
    earlier.size += size
    longest = 1
    for key, traces in arrays.items():
        for trace, addition in zip(traces, more[0][key], strict=True):
            trace.extend(addition)
            longest = max(longest, len(trace))
            if max_points is not None:
                del trace[: max(0, len(trace) - max_points)]
    if max_points is not None and longest > max_points:
        earlier.size = earlier.size * max_points // longest
    return True


def _may_share_traces(one: Any, other: Any) -> bool:
    first, second = _parts(one), _parts(other)
    return first is None or second is None or not _traces(first).isdisjoint(_traces(second))


def _traces(parts: "_Parts") -> set[int]:
    arrays, indices, _ = parts
    return set(indices if indices is not None else range(max(map(len, arrays.values()), default=0)))


_Parts = tuple[dict[str, list[list[Any]]], list[int] | None, int | None]


def _parts(value: Any) -> _Parts | None:
    """Return arrays, trace indices and maxPoints; None if they cannot be joined (typed arrays)."""
    arrays, indices, max_points = value, None, None
    if isinstance(value, list):
        arrays, indices, max_points = [*value, None, None, None][:3]
    if not isinstance(arrays, dict) or not (max_points is None or type(max_points) is int):
        return None
    if max_points is not None and max_points < 0:  # plotly.js treats it as no limit
        max_points = None
    is_plain = (indices is None or _are_plain(indices)) and all(
        isinstance(traces, list) and all(isinstance(trace, list) for trace in traces)
        for traces in arrays.values()
    )
    return (arrays, indices, max_points) if is_plain else None


def _are_plain(indices: Any) -> bool:
    """Return whether trace indices are distinct and not negative (-1 means the last trace)."""
    return (
        isinstance(indices, list)
        and all(type(index) is int and index >= 0 for index in indices)
        and len(set(indices)) == len(indices)
    )


def _is_wildcard(component: str) -> bool:
    return '["ALL"]' in component or '["MATCH"]' in component
