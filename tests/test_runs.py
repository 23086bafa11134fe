"""A run drives its generator to exactly one end and loses no update."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import dash
import pytest
from dash import MATCH, Dash, Input, no_update
from dash.exceptions import PreventUpdate

from flash_events import Settings, Update, stream_props
from flash_events.brokers.log import LogLimits
from flash_events.times import STOP_SECONDS
from flash_events.wire import events
from flash_events.wire.events import Reason, Started
from tests.support.harness import Streamed, body, running

OUT = stream_props("out", {"children": 1})


async def test_yielded_updates_are_sent_in_order() -> None:
    async def count(n: int) -> AsyncIterator[Update]:
        for i in range(n):
            yield stream_props("out", {"children": i})

    async with running(count, 5_000) as streamed:
        end = await streamed.to_end()
    assert [one[0][1]["children"] for one in streamed.sets] == list(range(5_000))
    assert isinstance(streamed.events[0], Started)
    assert (end.reason, end.number, streamed.ends) == (Reason.DONE, 5_000, 1)


def test_the_decorated_function_can_be_called_as_written() -> None:
    from flash_events import event_callback

    @event_callback(Input("a", "b"))
    def count(n: int) -> Iterator[Update]:
        yield stream_props("out", {"children": n})

    assert list(count(3)) == [stream_props("out", {"children": 3})]


async def test_a_list_is_one_batch_and_none_is_nothing() -> None:
    async def batch(n: int) -> AsyncIterator[Any]:
        yield None
        yield [stream_props("a", {"x": 1}), stream_props("b", {"y": 2})]

    async with running(batch, 0) as streamed:
        await streamed.to_end()
    assert streamed.sets == [[["a", {"x": 1}], ["b", {"y": 2}]]]


async def test_p14_no_update_does_not_set_a_prop_and_a_bare_one_sends_nothing() -> None:
    async def stream(n: int) -> AsyncIterator[Any]:
        yield no_update
        yield stream_props("a", {"x": no_update})
        dash.set_props("a", {"x": no_update, "y": 1})
        dash.set_props("a", {"x": no_update})
        yield [no_update, stream_props("b", {"x": no_update, "y": 2}), None]

    async with running(stream, 0) as streamed:
        end = await streamed.to_end()
    assert streamed.sets == [[["a", {"y": 1}]], [["b", {"y": 2}]]]
    assert (end.reason, end.number) == (Reason.DONE, 2)


async def test_p14_no_update_in_a_plain_generator() -> None:
    def stream(n: int) -> Iterator[Any]:
        yield no_update
        dash.set_props("a", {"x": no_update})
        yield stream_props("b", {"x": no_update, "y": 2})

    async with running(stream, 0) as streamed:
        await streamed.to_end()
    assert streamed.sets == [[["b", {"y": 2}]]]


@pytest.mark.parametrize("wrong", [5, "text", {"children": 1}, [OUT, 5], ("out", {"children": 1})])
async def test_any_other_value_is_an_error_with_the_expected_type(
    wrong: object, caplog: pytest.LogCaptureFixture
) -> None:
    async def bad(n: int) -> AsyncIterator[Any]:
        yield wrong

    async with running(bad, 0) as streamed:
        end = await streamed.to_end()
    assert end.reason == Reason.ERROR
    assert "Expected the generator to yield stream_props(...), a list of them or None" in str(
        caplog.records[-1].exc_info
    )


async def test_prevent_update_is_done() -> None:
    async def prevented(n: int) -> AsyncIterator[Update]:
        yield OUT
        raise PreventUpdate

    async with running(prevented, 0) as streamed:
        assert (await streamed.to_end()).reason == Reason.DONE


class TestErrors:
    """An error ends the run once; the browser gets a code, the log the traceback."""

    @staticmethod
    async def fail(n: int) -> AsyncIterator[Update]:
        yield OUT
        raise ValueError("the secret")

    async def test_the_text_stays_on_the_server(self, caplog: pytest.LogCaptureFixture) -> None:
        async with running(self.fail, 0) as streamed:
            end = await streamed.to_end()
        assert end.reason == Reason.ERROR
        assert end.failure is not None
        assert (end.failure.code, end.failure.message) == ("callback_error", None)
        [record] = caplog.records
        assert end.failure.ref in record.getMessage()
        assert "the secret" in str(record.exc_info)

    async def test_in_debug_the_text_reaches_the_browser(self) -> None:
        async with running(self.fail, 0, settings=Settings(debug=True)) as streamed:
            end = await streamed.to_end()
        assert end.failure is not None
        assert end.failure.message == "ValueError: the secret"

    async def test_on_error_streams_with_the_end(self) -> None:
        seen = []

        def on_error(error: Exception) -> Update:
            seen.append(error)
            return stream_props("message", {"children": "sorry"})

        async with running(self.fail, 0, on_error=on_error) as streamed:
            end = await streamed.to_end()
        assert end.body is not None
        assert body(end.body) == [["message", {"children": "sorry"}]]
        assert [str(error) for error in seen] == ["the secret"]

    async def test_on_error_may_be_async_and_return_several(self) -> None:
        async def on_error(error: Exception) -> list[Update]:
            await asyncio.sleep(0)
            dash.set_props("first", {"children": 0})
            return [OUT, stream_props("b", {"y": 2})]

        async with running(self.fail, 0, on_error=on_error) as streamed:
            end = await streamed.to_end()
        assert end.body is not None
        assert [target[0] for target in body(end.body)] == ["first", "out", "b"]

    async def test_on_error_may_return_nothing(self) -> None:
        async with running(self.fail, 0, on_error=lambda error: None) as streamed:
            assert (await streamed.to_end()).body is None

    async def test_a_failed_on_error_does_not_hide_the_error(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        def on_error(error: Exception) -> None:
            raise LookupError("in the handler")

        async with running(self.fail, 0, on_error=on_error) as streamed:
            end = await streamed.to_end()
        assert (end.reason, end.body) == (Reason.ERROR, None)
        text = str([record.exc_info for record in caplog.records])
        assert "the secret" in text
        assert "in the handler" in text

    @pytest.mark.parametrize(
        ("answer", "is_logged"),
        [
            (no_update, False),
            ([no_update, None], False),
            (stream_props("x", {"y": no_update}), False),
            ("text", True),
            ([OUT, 5], True),
            (stream_props("x", {"y": object()}), True),
            (stream_props("x", {"y": "z" * 2000}), True),
            (LookupError(), True),
        ],
        ids=["it", "list", "prop", "text", "number", "unsendable", "large", "raised"],
    )
    async def test_p14_set_props_in_on_error_is_sent_whatever_it_returns(
        self, answer: Any, is_logged: bool, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def on_error(error: Exception) -> Any:
            dash.set_props("message", {"children": "sorry", "title": no_update})
            if isinstance(answer, Exception):
                raise answer
            return answer

        settings = Settings(max_event_bytes=1000)
        async with running(self.fail, 0, on_error=on_error, settings=settings) as streamed:
            end = await streamed.to_end()
        assert end.body is not None
        assert body(end.body) == [["message", {"children": "sorry"}]]
        assert any("on_error of" in one.getMessage() for one in caplog.records) is is_logged

    async def test_p14_an_invalid_set_props_raises_in_on_error(self) -> None:
        def on_error(error: Exception) -> None:
            dash.set_props("message", {"children": "sorry"})
            dash.set_props("message", {"children": object()})

        async with running(self.fail, 0, on_error=on_error) as streamed:
            end = await streamed.to_end()
        assert end.body is not None
        assert body(end.body) == [["message", {"children": "sorry"}]]

    async def test_without_on_error_the_apps_own_is_called(self) -> None:
        seen = []

        def on_error(error: Exception) -> None:
            seen.append(str(error))
            dash.set_props("message", {"children": "from the app"})

        app = Dash("tests", backend="quart", on_error=on_error)
        async with running(self.fail, 0, app=app) as streamed:
            end = await streamed.to_end()
        assert seen == ["the secret"]
        assert end.body is not None
        assert body(end.body) == [["message", {"children": "from the app"}]]

    async def test_an_error_before_the_first_yield_ends_the_run(self) -> None:
        async def fail(n: int) -> AsyncIterator[Update]:
            raise ValueError
            yield OUT

        async with running(fail, 0) as streamed:
            assert (await streamed.to_end()).reason == Reason.ERROR

    async def test_an_error_in_finally_ends_the_run(self) -> None:
        async def fail(n: int) -> AsyncIterator[Update]:
            try:
                yield OUT
            finally:
                raise ValueError

        async with running(fail, 0) as streamed:
            end = await streamed.to_end()
        assert (end.reason, streamed.ends) == (Reason.ERROR, 1)

    async def test_wrong_arguments_are_an_error_of_the_run(self) -> None:
        async with running(self.fail) as streamed:
            assert (await streamed.to_end()).reason == Reason.ERROR

    async def test_a_cancelled_awaitable_is_an_error(self) -> None:
        async def fail(n: int) -> AsyncIterator[Update]:
            yield OUT
            task = asyncio.create_task(asyncio.sleep(10))
            task.cancel()
            await task

        async with running(fail, 0) as streamed:
            assert (await streamed.to_end()).reason == Reason.ERROR


class TestCancel:
    """A cancelled run runs its `finally` within a second and ends as `cancelled`."""

    @pytest.mark.deadline
    async def test_finally_and_async_with_run_within_a_second(self) -> None:
        closed = []

        class Resource:
            async def __aenter__(self) -> None: ...

            async def __aexit__(self, *_: object) -> None:
                await asyncio.sleep(0)
                closed.append("resource")

        async def endless(n: int) -> AsyncIterator[Update]:
            try:
                async with Resource():
                    while True:
                        yield OUT
                        await asyncio.sleep(60)
            finally:
                closed.append("finally")

        async with running(endless, 0) as streamed:
            await streamed.next()
            await streamed.next()
            asked = time.monotonic()
            streamed.run.stop()
            assert await streamed.run.stopped(STOP_SECONDS)
            end = await streamed.to_end()
        assert time.monotonic() - asked < STOP_SECONDS
        assert (end.reason, streamed.ends) == (Reason.CANCELLED, 1)
        assert closed == ["resource", "finally"]

    async def test_a_run_that_is_stopped_before_it_starts_still_ends(self) -> None:
        async def never(n: int) -> AsyncIterator[Update]:
            yield OUT

        async with running(never, 0) as streamed:
            streamed.run.stop()
            end = await streamed.to_end()
        assert (end.reason, streamed.ends, streamed.sets) == (Reason.CANCELLED, 1, [])

    async def test_a_generator_that_never_awaits_is_stopped(self) -> None:
        closed = asyncio.Event()

        async def hot(n: int) -> AsyncIterator[None]:
            try:
                while True:
                    yield None
            finally:
                closed.set()

        async with running(hot, 0) as streamed:
            await streamed.next()
            streamed.run.stop()
            assert await streamed.run.stopped()
        assert closed.is_set()

    async def test_a_run_that_waits_for_a_reader_is_stopped(self) -> None:
        closed = asyncio.Event()

        async def flood(n: int) -> AsyncIterator[Update]:
            try:
                while True:
                    yield OUT
            finally:
                closed.set()

        async with running(flood, 0, limits=LogLimits(10_000, 10, 10_000, 60)) as streamed:
            await streamed.next()
            streamed.run.stop()
            assert await streamed.run.stopped()
            assert (await streamed.to_end()).reason == Reason.CANCELLED
        assert closed.is_set()

    async def test_a_generator_that_swallows_its_cancellation_is_logged(
        self,
    ) -> None:
        let_go = asyncio.Event()
        heard = Heard("is still running 1 s after it was cancelled")
        logging.getLogger("flash_events").addHandler(heard)

        async def stubborn(n: int) -> AsyncIterator[Update]:
            yield OUT
            while not let_go.is_set():
                try:
                    await asyncio.wait_for(let_go.wait(), 60)
                except asyncio.CancelledError:
                    continue

        async with running(stubborn, 0) as streamed:
            await streamed.next()
            streamed.run.stop()
            assert not await streamed.run.stopped()
            await asyncio.wait_for(heard.event.wait(), 5)
            let_go.set()
            end = await streamed.to_end()
        assert end.reason == Reason.CANCELLED

    async def test_a_slow_finally_is_not_interrupted(self) -> None:
        closed = asyncio.Event()

        async def slow(n: int) -> AsyncIterator[Update]:
            try:
                yield OUT
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(2 * STOP_SECONDS)
                closed.set()

        async with running(slow, 0) as streamed:
            await streamed.next()
            await streamed.next()
            streamed.run.stop()
            assert not await streamed.run.stopped()
            await streamed.run.stopped(5)
        assert closed.is_set()

    async def test_a_generator_that_continues_to_yield_sends_nothing(self) -> None:
        async def stubborn(n: int) -> AsyncIterator[Update]:
            while True:
                try:
                    yield OUT
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    pass

        async with running(stubborn, 0) as streamed:
            await streamed.next()
            await streamed.next()
            streamed.run.stop()
            assert await streamed.run.stopped()
            assert (await streamed.to_end()).reason == Reason.CANCELLED

    async def test_an_error_while_it_is_cancelled_is_logged_only(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def fail(n: int) -> AsyncIterator[Update]:
            try:
                yield OUT
                await asyncio.sleep(60)
            finally:
                raise ValueError("in finally")

        async with running(fail, 0, on_error=lambda error: OUT) as streamed:
            await streamed.next()
            await streamed.next()
            streamed.run.stop()
            end = await streamed.to_end()
        assert (end.reason, end.body) == (Reason.CANCELLED, None)
        assert "in finally" in str(caplog.records[-1].exc_info)

    async def test_the_replaced_run_stops_before_the_new_one_starts(self) -> None:
        order = []

        def stopping(old: Streamed) -> Callable[[], Awaitable[object]]:
            old.run.stop()
            return old.run.stopped

        async def slow(n: int) -> AsyncIterator[Update]:
            try:
                yield OUT
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(0.05)
                order.append("old stopped")

        async def new(n: int) -> AsyncIterator[Update]:
            order.append("new began")
            yield OUT

        async with running(slow, 0) as old:
            await old.next()
            await old.next()
            async with running(new, 0, before=stopping(old)) as streamed:
                await streamed.to_end()
        assert order == ["old stopped", "new began"]


async def test_a_timeout_stops_a_generator_that_swallows_it() -> None:
    async def stubborn(n: int) -> AsyncIterator[Update]:
        while True:
            try:
                yield OUT
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                pass

    async with running(stubborn, 0, timeout=0.1) as streamed:
        end = await streamed.to_end()
    assert end.failure is not None
    assert (end.reason, end.failure.code) == (Reason.ERROR, "timeout")


async def test_a_timeout_ends_the_run_as_error() -> None:
    closed = asyncio.Event()
    errors: list[Exception] = []

    async def slow(n: int) -> AsyncIterator[Update]:
        try:
            yield OUT
            await asyncio.sleep(60)
        finally:
            closed.set()

    async with running(slow, 0, timeout=0.1, on_error=errors.append) as streamed:
        end = await streamed.to_end()
    assert end.failure is not None
    assert (end.reason, end.failure.code) == (Reason.ERROR, "timeout")
    assert "timeout=0.1" in str(errors[0])
    assert closed.is_set()


class TestSetProps:
    """`dash.set_props` inside a run is a separate update, in order."""

    async def test_it_is_sent_before_the_next_yield(self) -> None:
        async def both(n: int) -> AsyncIterator[Update]:
            dash.set_props("a", {"x": 1})
            dash.set_props("a", {"y": 2})
            yield stream_props("b", {"z": 3})
            dash.set_props({"type": "c", "index": 1}, {"w": 4})

        async with running(both, 0) as streamed:
            end = await streamed.to_end()
        assert streamed.sets == [
            [["a", {"x": 1}]],
            [["a", {"y": 2}]],
            [["b", {"z": 3}]],
            [['{"index":1,"type":"c"}', {"w": 4}]],
        ]
        assert end.number == 4

    async def test_it_is_sent_without_waiting_for_a_yield(self) -> None:
        async def silent(n: int) -> AsyncIterator[Update]:
            dash.set_props("a", {"x": 1})
            await asyncio.sleep(60)
            yield OUT

        async with running(silent, 0) as streamed:
            await streamed.next()
            await asyncio.wait_for(streamed.next(), 1)
        assert streamed.sets == [[["a", {"x": 1}]]]

    async def test_it_works_after_awaits_and_in_helper_threads(self) -> None:
        async def helped(n: int) -> AsyncIterator[Update]:
            await asyncio.sleep(0)
            await asyncio.to_thread(dash.set_props, "a", {"x": 1})
            yield OUT

        async with running(helped, 0) as streamed:
            await streamed.to_end()
        assert streamed.sets == [[["a", {"x": 1}]], [["out", {"children": 1}]]]

    async def test_it_works_in_a_plain_generator(self) -> None:
        def plain(n: int) -> Iterator[Update]:
            for i in range(200):
                dash.set_props("a", {"x": i})
                yield stream_props("b", {"y": i})

        async with running(plain, 0) as streamed:
            await streamed.to_end()
        expected = [
            [[name, {prop: i}]] for i in range(200) for name, prop in (("a", "x"), ("b", "y"))
        ]
        assert streamed.sets == expected

    async def test_a_value_that_cannot_be_sent_raises_where_it_is_set(self) -> None:
        async def bad(n: int) -> AsyncIterator[Update]:
            dash.set_props("a", {"x": object()})
            yield OUT

        async with running(bad, 0, settings=Settings(debug=True)) as streamed:
            end = await streamed.to_end()
        assert end.failure is not None
        assert "object at x has no JSON form" in (end.failure.message or "")

    async def test_a_call_after_the_end_sends_nothing(self) -> None:
        late: list[Any] = []

        async def leaves_a_task(n: int) -> AsyncIterator[Update]:
            async def set_later() -> None:
                await streamed.run.stopped()
                dash.set_props("a", {"x": 1})

            late.append(asyncio.create_task(set_later()))
            yield OUT

        async with running(leaves_a_task, 0) as streamed:
            await streamed.to_end()
            await late[0]
            await asyncio.sleep(0)
            streamed.log.append_now(events.encode(events.Closed()))
            await streamed.read()
        assert streamed.sets == [[["out", {"children": 1}]]]

    async def test_a_backlog_above_the_limit_is_an_error(self) -> None:
        async def flood(n: int) -> AsyncIterator[Update]:
            for i in range(100_000):
                dash.set_props("a", {"x": i})
            yield OUT

        async with running(flood, 0, settings=Settings(debug=True)) as streamed:
            end = await streamed.to_end()
        assert end.failure is not None
        assert "yield stream_props(id, props) instead" in (end.failure.message or "")

    @pytest.mark.deadline
    async def test_it_is_sent_while_a_yield_waits_for_capacity(self) -> None:
        async def both(n: int) -> AsyncIterator[Update]:
            async def set_later() -> None:
                await asyncio.sleep(0)
                dash.set_props("a", {"x": 1})

            task = asyncio.create_task(set_later())
            for _ in range(12):
                yield OUT
            await asyncio.sleep(60)
            await task

        async with running(both, 0, limits=LogLimits(10_000, 10, 10_000, 60)) as streamed:
            async with asyncio.timeout(2):
                while [["a", {"x": 1}]] not in streamed.sets:
                    await streamed.next()

    async def test_none_is_lost_when_the_log_is_full(self) -> None:
        async def flood(n: int) -> AsyncIterator[Update]:
            for i in range(300):
                dash.set_props("a", {"x": 2 * i})
                yield stream_props("a", {"x": 2 * i + 1})
                if i % 10 == 0:
                    await asyncio.sleep(0)

        async with running(flood, 0, limits=LogLimits(10_000, 10, 10_000, 60)) as streamed:
            end = await streamed.to_end()
        assert [one[0][1]["x"] for one in streamed.sets] == list(range(600))
        assert end.number == 600


class TestPlainGenerators:
    """A plain generator runs in a thread; cancel takes effect at its next yield."""

    async def test_everything_is_sent_in_order(self) -> None:
        threads = set()

        def count(n: int) -> Iterator[Update]:
            for i in range(n):
                threads.add(threading.get_ident())
                yield stream_props("out", {"children": i})

        async with running(count, 3_000) as streamed:
            end = await streamed.to_end()
        assert [one[0][1]["children"] for one in streamed.sets] == list(range(3_000))
        assert end.reason == Reason.DONE
        assert threading.get_ident() not in threads

    async def test_cancel_runs_finally(self) -> None:
        closed = threading.Event()

        def endless(n: int) -> Iterator[Update]:
            try:
                while True:
                    yield OUT
            finally:
                closed.set()

        async with running(endless, 0) as streamed:
            await streamed.next()
            streamed.run.stop()
            assert await streamed.run.stopped()
            assert (await streamed.to_end()).reason == Reason.CANCELLED
        assert closed.is_set()

    async def test_an_error_is_handled_like_any_other(self) -> None:
        def fail(n: int) -> Iterator[Update]:
            yield OUT
            raise ValueError("the secret")

        async with running(fail, 0, on_error=lambda error: OUT) as streamed:
            end = await streamed.to_end()
        assert end.reason == Reason.ERROR
        assert end.body is not None
        assert len(streamed.sets) == 1

    async def test_the_loop_is_not_blocked(self) -> None:
        release = threading.Event()

        def blocked(n: int) -> Iterator[Update]:
            release.wait(5)
            yield OUT

        async with running(blocked, 0) as streamed:
            await streamed.next()
            await asyncio.sleep(0)  # the loop runs while the generator blocks
            release.set()
            assert (await streamed.to_end()).reason == Reason.DONE


async def test_match_without_a_match_input_is_an_error_of_the_run() -> None:
    async def bad(n: int) -> AsyncIterator[Update]:
        yield stream_props({"type": "out", "index": MATCH}, {"children": 1})

    async with running(bad, 0, settings=Settings(debug=True)) as streamed:
        end = await streamed.to_end()
    assert end.failure is not None
    assert "no Input of the callback has MATCH at 'index'" in (end.failure.message or "")


async def test_a_busy_generator_does_not_block_the_loop() -> None:
    async def hot(n: int) -> AsyncIterator[Update]:
        while True:
            yield OUT

    async with running(hot, 0) as streamed:
        reader = asyncio.create_task(read_for_ever(streamed))
        for _ in range(50):  # every turn of the loop completes while it produces
            await asyncio.wait_for(asyncio.sleep(0.001), 1)
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
    assert len(streamed.events) > 50


async def read_for_ever(streamed: Any) -> None:
    while True:
        await streamed.next()


class Heard(logging.Handler):
    """Sets an event when a text is logged."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text
        self.event = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if self._text in record.getMessage():
            self.event.set()


@pytest.fixture(autouse=True)
def _log_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "flash_events")
