"""`track` yields the items unchanged and streams the progress."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from dash import MATCH, html

from flash_events import (
    Progress,
    Settings,
    Update,
    UpdateError,
    context,
    progress,
    stream_props,
    track,
)
from flash_events.wire.events import Reason
from tests.support.harness import running


@dataclass
class Clock:
    """A clock that the test moves."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now

    def taking(self, seconds: float, items: Iterable[Any]) -> Iterator[Any]:
        """Yields the items, each after `seconds` of the clock."""
        for item in items:
            self.now += seconds
            yield item


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "monotonic", clock)
    return clock


@contextmanager
def streaming() -> Iterator[list[Update]]:
    """Collects the updates that the block pushes, as in a run."""
    streamed: list[Update] = []
    token = context.stream_aside.set(streamed.append)
    try:
        yield streamed
    finally:
        context.stream_aside.reset(token)


def values(updates: list[Update], component_id: str = "bar", prop: str = "value") -> list[Any]:
    """Returns the values that a component's prop was set to, in order."""
    targets = [target for update in updates for target in update.targets]
    return [props[prop] for name, props in targets if name == component_id]


def texts(updates: list[Update]) -> list[str]:
    return values(updates, "text", "children")


async def letters(word: str = "abc") -> AsyncIterator[str]:
    for letter in word:
        yield letter


class TestItems:
    """Items are yielded as without `track`."""

    def test_items_of_an_iterable_are_unchanged_and_in_order(self) -> None:
        items = [object() for _ in range(100)]
        with streaming():
            assert list(track(items, "bar")) == items

    async def test_items_of_an_async_iterable_are_unchanged_and_in_order(self) -> None:
        with streaming():
            assert [letter async for letter in track(letters(), "bar", total=3)] == list("abc")

    async def test_outside_of_a_run_items_are_yielded_and_nothing_is_streamed(self) -> None:
        def never(_progress: Progress) -> dict[str, Any]:
            raise AssertionError

        assert list(track("abc", "bar", label="text", props=never)) == list("abc")
        tracked = track(letters(), "bar", label="text", props=never)
        assert [letter async for letter in tracked] == list("abc")

    def test_an_item_is_requested_only_on_demand(self) -> None:
        made: list[int] = []

        def items() -> Iterator[int]:
            while True:
                made.append(len(made))
                yield made[-1]

        tracked = track(items(), "bar")
        assert made == []
        assert next(tracked) == 0
        assert made == [0]

    def test_an_error_of_the_iterable_is_raised_and_ends_the_reports(self, clock: Clock) -> None:
        def broken() -> Iterator[int]:
            yield from clock.taking(1, range(2))
            raise LookupError("in the items")

        with streaming() as updates, pytest.raises(LookupError, match="in the items"):
            list(track(broken(), "bar", total=4))
        assert values(updates) == [0, 25, 50]


class TestReports:
    """Reports: the first at once, the last when all is done, and ten a second in between."""

    def test_the_first_report_precedes_the_first_item(self) -> None:
        with streaming() as updates:
            tracked = track((len(updates) for _ in range(1)), "bar", total=1)
            assert updates == []
            assert next(tracked) == 1
        assert values(updates) == [0]

    def test_an_item_is_done_when_the_next_one_is_requested(self, clock: Clock) -> None:
        with streaming() as updates:
            for _ in track(range(4), "bar"):
                seen = values(updates)[-1]
                clock.now += 1
                assert values(updates)[-1] == seen
        assert values(updates) == [0, 25, 50, 75, 100, 100]

    @pytest.mark.parametrize("per_second", [11, 1000, 100_000])
    def test_there_are_at_most_ten_a_second(self, clock: Clock, per_second: int) -> None:
        with streaming() as updates:
            list(track(clock.taking(1 / per_second, range(per_second)), "bar", total=per_second))
        assert 5 <= len(updates) <= 12  # ten, the first and the last
        assert values(updates) == sorted(values(updates))
        assert (values(updates)[0], values(updates)[-1]) == (0, 100)

    async def test_reports_of_an_async_iterable_are_the_same(self, clock: Clock) -> None:
        async def slow() -> AsyncIterator[int]:
            for i in clock.taking(0.01, range(100)):
                yield i

        with streaming() as updates:
            assert [i async for i in track(slow(), "bar", total=100)] == list(range(100))
        assert len(updates) <= 12
        assert (values(updates)[0], values(updates)[-1]) == (0, 100)

    def test_the_first_and_the_last_report_are_sent_even_in_a_short_iteration(
        self, clock: Clock
    ) -> None:
        with streaming() as updates:
            list(track(range(3), "bar"))
        assert values(updates) == [0, 100]

    def test_100_percent_is_not_shown_before_all_is_done(self, clock: Clock) -> None:
        with streaming() as updates:
            for i in track(range(100_000), "bar"):
                if i == 99_998:
                    clock.now += 1
        assert values(updates) == [0, 99.9, 100]

    @pytest.mark.parametrize("how", ["break", "raise", "close"])
    def test_left_early_it_streams_nothing_more(self, clock: Clock, how: str) -> None:
        with streaming() as updates:
            tracked = track(clock.taking(1, range(4)), "bar", total=4)
            try:
                for item in tracked:
                    if item == 2 and how == "break":
                        break
                    if item == 2 and how == "raise":
                        raise LookupError
                    if item == 2:
                        tracked.close()
            except LookupError:
                pass
            tracked.close()
        assert values(updates) == [0, 25, 50]

    @pytest.mark.parametrize("items", [[], (), iter([])])
    def test_an_empty_iterable_is_done_at_once(self, items: Iterable[int]) -> None:
        with streaming() as updates:
            assert list(track(items, "bar", total=0, label="text")) == []
        assert values(updates) == [100, 100]
        assert texts(updates)[-1] == "100 %, 0:00 left"

    def test_progress_is_streamed_by_the_run_that_iterates(self) -> None:
        tracked = track(range(3), "bar")
        with streaming() as updates:
            list(tracked)
        assert values(updates) == [0, 100]


class TestTotal:
    """The total is the length, the given number, or unknown."""

    def test_it_is_the_length_if_there_is_one(self, clock: Clock) -> None:
        with streaming() as updates:
            for _ in track({"a": 1, "b": 2}, "bar"):
                clock.now += 1
        assert values(updates) == [0, 50, 100, 100]

    def test_a_given_total_overrides_the_length(self, clock: Clock) -> None:
        with streaming() as updates:
            for _ in track([1, 2], "bar", total=8):
                clock.now += 1
        assert values(updates) == [0, 12.5, 25, 100]

    def test_more_items_than_the_total_stay_at_100(self, clock: Clock) -> None:
        with streaming() as updates:
            items = list(track(clock.taking(1, range(4)), "bar", total=2, label="text"))
        assert items == [0, 1, 2, 3]
        assert values(updates) == [0, 50, 100, 100, 100, 100]
        assert texts(updates)[3] == "100 %, 1/s, 0:00 left"

    def test_without_a_total_the_text_counts_and_the_bar_does_not_change(
        self, clock: Clock
    ) -> None:
        with streaming() as updates:
            list(track(clock.taking(0.01, range(1500)), "bar", label="text"))
        assert values(updates) == []
        assert texts(updates)[0] == "0, 0:00"
        assert texts(updates)[-1] == "1,500, 100/s, 0:15"

    def test_without_a_total_and_without_a_text_nothing_is_streamed(self) -> None:
        with streaming() as updates:
            assert list(track(iter("abc"), "bar")) == list("abc")
        assert updates == []

    def test_an_invalid_length_is_ignored(self) -> None:
        class Endless:
            def __iter__(self) -> Iterator[int]:
                return iter(range(3))

            def __len__(self) -> int:
                raise TypeError("object of type 'Endless' has no len()")

        with streaming() as updates:
            assert list(track(Endless(), "bar")) == [0, 1, 2]
        assert updates == []


class TestText:
    """The text of the label."""

    def test_it_has_percent_rate_and_remaining_time(self, clock: Clock) -> None:
        with streaming() as updates:
            list(track(clock.taking(0.125, range(100)), "bar", total=100, label="text"))
        assert texts(updates)[0] == "0 %"
        assert "42 %, 8/s, 0:07 left" in texts(updates)
        assert texts(updates)[-1] == "100 %, 8/s, 0:00 left"

    def test_it_is_in_one_update_with_the_bar(self) -> None:
        with streaming() as updates:
            next(track([1], "bar", label="text"))
        assert updates == [stream_props([("bar", {"value": 0}), ("text", {"children": "0 %"})])]

    @pytest.mark.parametrize(
        ("progress", "text"),
        [
            (Progress(0, 9, 0, None), "0 %"),
            (Progress(42, 100, 4, 1234.4), "42 %, 1,234/s, 0:00 left"),
            (Progress(29, 100, 4, 12.6), "29 %, 13/s, 0:06 left"),
            (Progress(1, 3, 2, 0.5), "33 %, 0.5/s, 0:04 left"),
            (Progress(1, 2000, 30, 1 / 30), "0 %, 0.033/s, 16:39:30 left"),
            (Progress(1, 10_000, 1, 1.0), "0 %, 1/s, 2:46:39 left"),
            (Progress(0, 9, 60, 0.0), "0 %, 0/s"),
            (Progress(1234, None, 4, 310.0), "1,234, 310/s, 0:04"),
            (Progress(7, None, 3723, None), "7, 1:02:03"),
        ],
    )
    def test_it_is_short_and_easy_to_read(self, progress: Progress, text: str) -> None:
        assert str(progress) == text

    def test_the_rate_is_the_recent_one(self, clock: Clock) -> None:
        def slower() -> Iterator[int]:
            yield from clock.taking(0.001, range(5000))
            yield from clock.taking(0.1, range(100))

        with streaming() as updates:
            list(track(slower(), "bar", label="text"))
        assert texts(updates)[-1] == "5,100, 10/s, 0:15"

    def test_alternating_durations_do_not_make_it_jump(self, clock: Clock) -> None:
        def uneven() -> Iterator[int]:
            for i in range(100):
                clock.now += (2, 18)[i % 2]
                yield i

        with streaming() as updates:
            list(track(uneven(), "bar", total=100, props=lambda progress: {"rate": progress.rate}))
        assert all(0.08 < rate < 0.12 for rate in values(updates, prop="rate")[20:])


class TestTargets:
    """Any target of stream_props can show progress."""

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ("bar", "bar"),
            ({"type": "bar", "index": 1}, {"type": "bar", "index": 1}),
            ({"type": "bar", "index": MATCH}, {"type": "bar", "index": MATCH}),
            (html.Progress(id="bar"), "bar"),
            (html.Progress(id={"type": "bar"}), {"type": "bar"}),
        ],
    )
    def test_an_id_has_the_forms_of_stream_props(self, given: Any, expected: Any) -> None:
        with streaming() as updates:
            next(track("a", given, label=given))
        assert [update.targets for update in updates] == [
            ((expected, {"value": 0}), (expected, {"children": "0 %"}))
        ]

    def test_props_replace_the_value(self, clock: Clock) -> None:
        def props(progress: Progress) -> dict[str, Any]:
            return {"children": f"{progress.done}/{progress.total}", "title": progress.seconds}

        with streaming() as updates:
            list(track(clock.taking(1, "ab"), "out", total=2, props=props))
        shown = [(0, 0), (1, 1), (2, 2), (2, 2)]
        assert updates == [
            stream_props("out", {"children": f"{done}/2", "title": seconds})
            for done, seconds in shown
        ]

    def test_props_are_called_without_a_total_too(self) -> None:
        with streaming() as updates:
            list(track(iter("ab"), "out", props=lambda progress: {"n": progress.done}))
        assert values(updates, "out", "n") == [0, 2]


class TestClosing:
    """Leaving early closes async generators."""

    @staticmethod
    async def open_items(closed: list[str]) -> AsyncGenerator[int, None]:
        try:
            for i in range(9):
                yield i
        finally:
            await asyncio.sleep(0)
            closed.append("closed")

    @pytest.mark.parametrize("is_streaming", [True, False])
    async def test_an_async_generator_is_closed_with_the_tracker(self, is_streaming: bool) -> None:
        closed: list[str] = []
        with streaming() as updates:
            if not is_streaming:
                context.stream_aside.set(None)
            async with aclosing(track(self.open_items(closed), "bar", total=9)) as items:
                async for item in items:
                    if item == 3:
                        break
            assert closed == ["closed"]
        assert 100 not in values(updates)

    async def test_a_cancelled_generator_is_closed(self) -> None:
        closed: list[str] = []
        begun = asyncio.Event()

        async def stuck() -> AsyncIterator[int]:
            try:
                yield 1
                begun.set()
                await asyncio.Event().wait()
            finally:
                closed.append("closed")

        async def iterate() -> None:
            async for _ in track(stuck(), "bar", total=2):
                pass

        with streaming() as updates:
            task = asyncio.create_task(iterate())
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert closed == ["closed"]
        assert 100 not in values(updates)

    async def test_a_stream_that_is_no_generator_stays_open(self) -> None:
        class Stream:
            is_open = True

            def __aiter__(self) -> "Stream":
                return self

            async def __anext__(self) -> int:
                return 1

            async def aclose(self) -> None:
                self.is_open = False

        stream = Stream()
        async with aclosing(track(stream, "bar")) as items:
            assert await anext(items) == 1
        assert stream.is_open

    def test_a_plain_iterator_can_be_continued(self) -> None:
        items = iter(range(4))
        for _ in track(items, "bar"):
            break
        assert list(items) == [1, 2, 3]


class TestWrong:
    """A mistake raises in the call of `track`, with the expected value."""

    @pytest.mark.parametrize("items", [5, None, letters, object()])
    def test_what_is_not_iterable(self, items: Any) -> None:
        with pytest.raises(UpdateError) as raised:
            track(items, "bar")
        assert f"an async iterable to track, got {type(items).__name__}" in str(raised.value)
        assert "call the generator function" in str(raised.value)

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            ({"component_id": ["rows"]}, "Expected a component id (a string, a dict or a compon"),
            ({"label": 5}, "Expected a component id (a string, a dict or a component), got int 5"),
            ({"total": 2.5}, "Expected total as a whole number of items, got float 2.5"),
            ({"total": -1}, "Expected total as a whole number of items, got int -1"),
        ],
    )
    def test_another_argument(self, arguments: dict[str, Any], says: str) -> None:
        with pytest.raises(UpdateError) as raised:
            track([1], **{"component_id": "bar", **arguments})
        assert says in str(raised.value)


def plain_callback(n: int) -> Iterator[Update]:
    for i in track(range(n), "bar", label="text"):
        yield stream_props("out", {"children": i})


async def async_callback(n: int) -> AsyncIterator[Update]:
    for i in track(range(n), "bar", label="text"):
        yield stream_props("out", {"children": i})


async def async_callback_over_async_items(n: int) -> AsyncIterator[Update]:
    async def rows() -> AsyncIterator[int]:
        for i in range(n):
            await asyncio.sleep(0)
            yield i

    async for i in track(rows(), "bar", total=n, label="text"):
        yield stream_props("out", {"children": i})


BOTH_KINDS = [plain_callback, async_callback, async_callback_over_async_items]


class TestRuns:
    """In a run of either kind progress and yielded updates keep their order."""

    @pytest.mark.parametrize("callback", BOTH_KINDS)
    async def test_progress_is_sent_between_yielded_updates(
        self, clock: Clock, callback: Callable[..., Any]
    ) -> None:
        async with running(callback, 3) as streamed:
            end = await streamed.to_end()
        assert end.reason == Reason.DONE
        assert streamed.sets == [
            [["bar", {"value": 0}], ["text", {"children": "0 %"}]],
            *[[["out", {"children": i}]] for i in range(3)],
            [["bar", {"value": 100}], ["text", {"children": "100 %, 0:00 left"}]],
        ]

    async def test_it_is_sent_without_a_yield(self) -> None:
        async def silent(n: int) -> AsyncIterator[Update]:
            async for _ in track(letters(), "bar", total=3):
                pass
            await asyncio.Event().wait()
            yield stream_props("never", {"children": 0})

        async with running(silent, 0) as streamed, asyncio.timeout(5):
            while len(streamed.sets) < 2:
                await streamed.next()
        assert [one[0][1]["value"] for one in streamed.sets] == [0, 100]

    async def test_a_helper_thread_of_an_async_one_can_iterate(self) -> None:
        async def helped(n: int) -> AsyncIterator[Update]:
            await asyncio.to_thread(lambda: list(track(range(n), "bar")))
            yield stream_props("out", {"children": "done"})

        async with running(helped, 3) as streamed:
            await streamed.to_end()
        assert streamed.sets == [
            [["bar", {"value": 0}]], [["bar", {"value": 100}]], [["out", {"children": "done"}]],
        ]  # fmt: skip

    @pytest.mark.parametrize("callback", BOTH_KINDS)
    async def test_a_cancelled_run_sends_no_more_progress(
        self, callback: Callable[..., Any]
    ) -> None:
        async with running(callback, 10**9) as streamed:
            await streamed.until(lambda: len(streamed.sets) > 3)
            streamed.run.stop()
            end = await streamed.to_end()
        assert end.reason == Reason.CANCELLED
        assert not [one for one in streamed.sets if one[0] == ["bar", {"value": 100}]]

    async def test_a_wildcard_that_cannot_be_resolved_ends_the_run(self) -> None:
        async def bad(n: int) -> AsyncIterator[Update]:
            for i in track(range(n), {"type": "bar", "index": MATCH}):
                yield stream_props("out", {"children": i})

        async with running(bad, 3, settings=Settings(debug=True)) as streamed:
            end = await streamed.to_end()
        assert end.failure is not None
        assert "no Input of the callback has MATCH at 'index'" in (end.failure.message or "")
