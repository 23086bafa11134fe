"""The state that a run has streamed so far, folded, for a page that comes late.

Of a state prop the last value is kept, in its place in the order of all updates. `extendData` is
joined and cut to its maxPoints. Notifications are over when they have been shown. Everything else
that does something (Patch, transactions) is kept in order.

To leave out an earlier value of a prop, and to keep the last one in its place, is right even where
values draw components. Until the last value comes, only what the prop holds may differ, and the
last value replaces all of that. What was set inside of it meanwhile is hidden, so it is left out,
too.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flash_events import bridge
from flash_events.wire.json import to_json

COMMANDS = frozenset(
    ("extendData", "prependData", "rowTransaction", "rowTransactionAsync", "sendNotifications")
)
"""Props of which every value does something; the same as in renderer/src/apply/commands.ts."""

PIECE_BYTES = 128 * 1024
"""Of one update of a snapshot, unless a single value is larger."""

_FORGOTTEN = frozenset(("sendNotifications",))
_REPLACES = {"figure": ("extendData", "prependData"), "rowData": ("rowTransaction",)}
"""What a new value of a prop makes needless."""

_MOVE_POINTS = frozenset(("figure", "extendData", "prependData"))

_COMPONENT = b'"namespace":'
"""Stands in every update that draws components."""


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
    """What a run's updates come to.

    Args:
        limit_bytes: above which it holds no more.
        command_props: commands besides those that are known.

    Attributes:
        size: about how many bytes it holds.
        collapsed: how many values a later one has made needless.
        is_complete: False once something had to be left out.
    """

    def __init__(self, limit_bytes: int, command_props: tuple[str, ...] = ()) -> None:
        self._limit_bytes = limit_bytes
        # What type a component has is not known here: `namespace.Type.prop` may be any `prop`.
        self._commands = COMMANDS | {name.rpartition(".")[2] for name in command_props}
        self._entries: dict[int, _Entry] = {}
        self._of_prop: dict[str, dict[str, list[int]]] = {}
        self._drawn_by: dict[str, int] = {}
        self._next = 0
        self._last_moved = ""
        self._barrier = 0
        self.size = 0
        self.collapsed = 0
        self.is_complete = True

    @property
    def is_full(self) -> bool:
        """Whether another update may not fit."""
        return self.size >= self._limit_bytes

    @property
    def is_idempotent(self) -> bool:
        """Whether a page that has seen a part of it may apply it all."""
        return all(entry.is_state for entry in self._entries.values())

    def add(self, body: bytes) -> None:
        """Takes an update, encoded by `protocol.encode_update`."""
        if not self.is_complete:
            return
        fields = json.loads(b"{%b}" % body)
        is_alone = bool(fields.get("alone"))
        draws = _COMPONENT in body
        count = sum(len(props) for _, props in fields["set"]) or 1
        for component, props in fields["set"]:
            for prop, value in props.items():
                self._add(component, prop, value, len(body) // count + 1, is_alone, draws)
                if draws:  # what an id means may have changed
                    self._barrier = self._next

    def abandon(self) -> None:
        """Gives up: it got too large while somebody watched."""
        self.is_complete = False
        self._entries.clear()
        self._of_prop.clear()
        self._drawn_by.clear()
        self.size = 0

    def bodies(self) -> list[bytes]:
        """Encoded updates that bring a fresh page to the state of the run."""
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
        if prop in _FORGOTTEN:
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
            if is_state and prop == "children":  # others may only hold what looks like components
                drawn = tuple(_ids_drawn(value))
                for one in drawn:  # a new component has nothing of what was set before
                    self._remove_all(one)
        if prop in _MOVE_POINTS:
            self._note_move(component)
        if prop == "extendData" and not is_alone and self._extend(component, value, size):
            return
        self._next += 1
        entry = _Entry(component, prop, value, size, is_alone, is_state, drawn)
        self._entries[self._next] = entry
        self._of_prop.setdefault(component, {}).setdefault(prop, []).append(self._next)
        self._drawn_by.update(dict.fromkeys(drawn, self._next))
        self.size += size

    def _note_move(self, component: str) -> None:
        """Two ids may mean one component if one is a wildcard: nothing is joined across them."""
        before, self._last_moved = self._last_moved, component
        if before != component and (_is_wildcard(before) or _is_wildcard(component)):
            self._barrier = self._next

    def _extend(self, component: str, value: Any, size: int) -> bool:
        """Joins points to earlier ones of the same traces, if nothing between touches these."""
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
        """Whether the graph has got something else that moves points."""
        for prop in ("figure", "prependData"):
            positions = self._positions(component, prop)
            if positions and positions[-1] > position:
                return True
        return False

    def _positions(self, component: str, prop: str) -> list[int]:
        return self._of_prop.get(component, {}).get(prop, [])

    def _remove(self, component: str, prop: str) -> None:
        """Removes all values of a prop, and what was set inside of what they have drawn."""
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


def _ids_drawn(children: Any) -> Iterator[str]:
    """The ids of the components in a value of `children`, and in the `children` of these."""
    waiting = [children]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting.extend(one)
        elif _is_component(one):
            yield from _id_of(one)
            waiting.append(one["props"].get("children"))


def _ids_anywhere(value: Any) -> Iterator[str]:
    """The ids of all that looks like a component."""
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
    """Joins two values of extendData if they speak of the same traces; says whether it could."""
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
    """Arrays, trace indices, maxPoints; None for what cannot be joined (typed arrays, say)."""
    arrays, indices, max_points = value, None, None
    if isinstance(value, list):
        arrays, indices, max_points = [*value, None, None, None][:3]
    if not isinstance(arrays, dict) or not (max_points is None or type(max_points) is int):
        return None
    if max_points is not None and max_points < 0:  # to plotly.js it is no limit
        max_points = None
    is_plain = (indices is None or _are_plain(indices)) and all(
        isinstance(traces, list) and all(isinstance(trace, list) for trace in traces)
        for traces in arrays.values()
    )
    return (arrays, indices, max_points) if is_plain else None


def _are_plain(indices: Any) -> bool:
    """Whether each names another trace; -1 means the last one, whichever that is."""
    return (
        isinstance(indices, list)
        and all(type(index) is int and index >= 0 for index in indices)
        and len(set(indices)) == len(indices)
    )


def _is_wildcard(component: str) -> bool:
    return '["ALL"]' in component or '["MATCH"]' in component
