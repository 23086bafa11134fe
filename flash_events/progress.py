"""`track(items, "bar")`, which yields the items and streams the progress to a component."""

from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Sized,
)
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext, suppress
from dataclasses import dataclass
from math import inf
from operator import index
from time import monotonic
from typing import TypeVar, overload

from dash.development.base_component import Component

from flash_events import context
from flash_events.errors import TooManyWaiting, UpdateError
from flash_events.updates import ComponentId, Props, Update, checked_id, stream_props

T = TypeVar("T")

INTERVAL_SECONDS = 0.1
"""Minimum time between two reports; more frequent ones would not be readable."""

RATE_SECONDS = 5.0
"""Minimum time over which the rate is measured."""

RATE_REPORTS = 10
"""Minimum number of reports over which the rate is measured, for slow items."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of an iteration.

    Attributes:
        done: number of finished items. An item is finished when the next one is requested.
        total: total number of items; None if unknown.
        seconds: seconds since the iteration started.
        rate: recent items per second; None until measurable.
    """

    done: int
    total: int | None
    seconds: float
    rate: float | None

    @property
    def percent(self) -> float | None:
        """Percentage, 0 to 100, rounded down to one decimal; None if the total is unknown."""
        if self.total is None:
            return None
        return min(self.done * 1000 // self.total, 1000) / 10 if self.total else 100.0

    @property
    def remaining_seconds(self) -> float | None:
        """Estimated time for the remaining items; None if total or rate is unknown."""
        if self.total is None:
            return None
        if self.done >= self.total:
            return 0.0
        return (self.total - self.done) / self.rate if self.rate else None

    def __str__(self) -> str:
        """Return `42 %, 1,234/s, 0:12 left`, or without a total `1,234, 310/s, 0:04`."""
        percent, remaining = self.percent, self.remaining_seconds
        parts = [f"{self.done:,}" if percent is None else f"{int(percent)} %"]
        if self.rate is not None:
            parts.append(f"{self.rate:,.0f}/s" if self.rate >= 10 else f"{self.rate:.2g}/s")
        if percent is None:
            parts.append(_as_clock(self.seconds))
        elif remaining is not None:
            parts.append(f"{_as_clock(remaining)} left")
        return ", ".join(parts)


@overload
def track(
    items: Iterable[T],
    component_id: ComponentId | Component,
    *,
    total: int | None = None,
    label: ComponentId | Component | None = None,
    props: Callable[[Progress], Props] | None = None,
) -> Generator[T, None, None]: ...
@overload
def track(
    items: AsyncIterable[T],
    component_id: ComponentId | Component,
    *,
    total: int | None = None,
    label: ComponentId | Component | None = None,
    props: Callable[[Progress], Props] | None = None,
) -> AsyncGenerator[T, None]: ...
def track(
    items: Iterable[T] | AsyncIterable[T],
    component_id: ComponentId | Component,
    *,
    total: int | None = None,
    label: ComponentId | Component | None = None,
    props: Callable[[Progress], Props] | None = None,
) -> Generator[T, None, None] | AsyncGenerator[T, None]:
    """Yield items unchanged, and stream the progress to a component, at most ten times a second.

    The first update comes when the iteration starts, the last one when the items are exhausted. An
    iteration that is left early streams no last update. Outside a run, nothing is streamed.

        for row in track(rows, "bar", label="progress-text"):
            work_on(row)

    Args:
        items: an iterable or an async iterable; an object that is both is used as an iterable. An
            async generator is closed with the tracker: `async with aclosing(track(...)) as items`.
        component_id: the component that gets `{"value": percent}`, 0 to 100; a string id, a dict id
            or a component, as in `stream_props`.
        total: total number of items; defaults to `len(items)`. If neither is known, no `value` is
            streamed.
        label: a component whose `children` gets `42 %, 1,234/s, 0:12 left`, or without a total
            `1,234, 310/s, 0:04`.
        props: function that returns the props of `component_id` from a `Progress`, in place of
            `{"value": percent}`.

    Raises:
        UpdateError: if an argument has the wrong type.
    """
    if not isinstance(items, Iterable | AsyncIterable):
        raise UpdateError(
            "Expected an iterable or an async iterable to track, "
            f"got {type(items).__name__} {items!r:.80}. "
            "Pass a list, or call the generator function: track(rows(), ...)."
        )
    meter = _Meter(
        _checked(total) if total is not None else _length(items),
        checked_id(component_id),
        None if label is None else checked_id(label),
        props,
    )
    return _track(items, meter) if isinstance(items, Iterable) else _track_async(items, meter)


def _track(items: Iterable[T], meter: "_Meter") -> Generator[T, None, None]:
    meter.begin()
    done = 0
    for item in items:
        yield item
        done += 1
        if monotonic() >= meter.due:
            meter.report(done)
    meter.end(done)


async def _track_async(items: AsyncIterable[T], meter: "_Meter") -> AsyncGenerator[T, None]:
    meter.begin()
    done = 0
    iterator = aiter(items)
    async with _closing(iterator):
        async for item in iterator:
            yield item
            done += 1
            if monotonic() >= meter.due:
                meter.report(done)
    meter.end(done)


def _closing(iterator: AsyncIterator[T]) -> AbstractAsyncContextManager[object]:
    """Return a context manager that closes an async generator; other iterators stay open.

    Streams may have an `aclose`, too, but their owner closes them.
    """
    return aclosing(iterator) if isinstance(iterator, AsyncGenerator) else nullcontext()


class _Meter:
    """Meter of one iteration, which measures and streams the progress.

    Attributes:
        due: time of the next report, on the monotonic clock.
    """

    def __init__(
        self,
        total: int | None,
        component_id: ComponentId,
        label: ComponentId | None,
        props: Callable[[Progress], Props] | None,
    ) -> None:
        self._total = total
        self._component_id = component_id
        self._label = label
        self._props = props
        self._began = 0.0
        self._stream: Callable[[Update], None] | None = None
        self._reports: deque[tuple[float, int]] = deque()
        self.due = inf

    def begin(self) -> None:
        self._stream = context.stream_aside.get()
        self._began = monotonic()
        self.report(0)

    def report(self, done: int) -> None:
        if self._stream is None:
            return
        now = monotonic()
        progress = Progress(done, self._total, now - self._began, self._rate(now, done))
        targets: list[tuple[ComponentId, Props]] = []
        if self._props is not None:
            targets.append((self._component_id, self._props(progress)))
        elif progress.percent is not None:
            targets.append((self._component_id, {"value": progress.percent}))
        if self._label is not None:
            targets.append((self._label, {"children": str(progress)}))
        if targets:
            with suppress(TooManyWaiting):  # the next report replaces this one
                self._stream(stream_props(targets))
        self.due = now + INTERVAL_SECONDS

    def end(self, done: int) -> None:
        if self._total is not None:
            self._total = done  # the given total may have been wrong
        self.report(done)

    def _rate(self, now: float, done: int) -> float | None:
        """Return the rate over a window of reports, which makes the remaining time steady."""
        reports = self._reports
        while len(reports) > RATE_REPORTS and now - reports[1][0] >= RATE_SECONDS:
            reports.popleft()
        reports.append((now, done))
        since, before = reports[0]
        return (done - before) / (now - since) if now > since and done > before else None


def _checked(total: int) -> int:
    try:
        checked = index(total)
    except TypeError:
        checked = -1
    if checked < 0:
        raise UpdateError(
            "Expected total as a whole number of items, "
            f"got {type(total).__name__} {total!r:.80}. Leave it out if it is not known."
        )
    return checked


def _length(items: object) -> int | None:
    try:
        return len(items) if isinstance(items, Sized) else None
    except TypeError:  # some have a __len__ that raises, such as a DataLoader over a stream
        return None


def _as_clock(seconds: float) -> str:
    """Return a duration as `0:12` or `1:02:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
