"""Reasons for the end of a run: `cancelled` only on request, else `error`, unless it returns."""

import asyncio
import logging
import re
import signal
import sys
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any

import pytest
from dash import set_props

from flash_events import Settings, Update, stream_props
from flash_events.errors import RunAborted
from flash_events.wire.events import Reason, encode
from tests.support.harness import running

OUT = stream_props("out", {"children": 1})


class Panic(BaseException):
    pass


@pytest.mark.parametrize("raised", [SystemExit(2), Panic("no"), asyncio.CancelledError()])
@pytest.mark.parametrize("is_plain", [False, True])
async def test_s12_on_error_gets_an_exception_with_what_was_raised_as_its_cause(
    raised: BaseException, is_plain: bool
) -> None:
    got: list[Exception] = []

    async def fail(_n: int) -> AsyncIterator[Update]:
        yield OUT
        raise raised

    def fail_in_thread(_n: int) -> Iterator[Update]:
        yield OUT
        raise raised

    body = fail_in_thread if is_plain else fail
    async with running(body, 0, on_error=lambda error: got.append(error)) as streamed:
        end = await streamed.to_end()
    assert end.reason == Reason.ERROR
    [error] = got
    assert isinstance(error, RunAborted)
    assert error.__cause__ is raised


class Silent(Exception):
    def __str__(self) -> str:
        raise LookupError("It has no text.")


class SilentPanic(BaseException):
    def __str__(self) -> str:
        raise SystemExit(3)


@pytest.mark.parametrize(
    "raised", [Silent(), SilentPanic(), ValueError("x" * 100_000)], ids=["", "panic", "huge"]
)
@pytest.mark.parametrize("debug", [False, True])
async def test_t1_on_error_hears_of_exceptions_whose_text_cannot_be_made_or_is_huge(
    raised: BaseException, debug: bool
) -> None:
    """In debug mode the page is told what there is of them, and no more than it can show."""
    got: list[Exception] = []

    def on_error(error: Exception) -> Update:
        got.append(error)
        return OUT

    async def fail(_n: int) -> AsyncIterator[Update]:
        raise raised
        yield OUT

    async with running(fail, 0, settings=Settings(debug=debug), on_error=on_error) as streamed:
        end = await streamed.to_end()
    [error] = got
    assert raised in (error, error.__cause__)
    assert (end.reason, bool(end.body)) == (Reason.ERROR, True)
    assert end.failure is not None
    assert end.failure.code == "callback_error"
    if debug:
        assert end.failure.message
        assert type(raised).__name__ in end.failure.message
    assert len(encode(end)) < 50_000


@pytest.mark.parametrize("raised", [SystemExit(2), Panic(), asyncio.CancelledError()])
async def test_s11_a_base_exception_in_on_error_does_not_hide_the_error(
    raised: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(_n: int) -> AsyncIterator[Update]:
        yield OUT
        raise ValueError("first")

    async def on_error(_error: Exception) -> None:
        raise raised

    async with running(fail, 0, on_error=on_error) as streamed:
        end = await streamed.to_end()
    assert end.reason == Reason.ERROR
    assert end.failure is not None
    assert sum(end.failure.ref in record.getMessage() for record in caplog.records) == 2


async def test_s11_an_exception_in_finally_does_not_change_a_cancelled_end() -> None:
    calls: list[Exception] = []

    async def leave(_n: int) -> AsyncIterator[Update]:
        try:
            yield OUT
            await asyncio.sleep(60)
        finally:
            raise SystemExit(2)

    async with running(leave, 0, on_error=lambda error: calls.append(error)) as streamed:
        await streamed.next()
        await streamed.next()
        streamed.run.stop()
        assert (await streamed.to_end()).reason == Reason.CANCELLED
    assert calls == []


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("is_plain", [False, True])
async def test_t1_an_exception_in_finally_of_a_cancelled_run_is_logged_with_its_traceback(
    debug: bool, is_plain: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def leave(_n: int) -> AsyncIterator[Update]:
        try:
            while True:
                yield OUT
                await asyncio.sleep(0)
        finally:
            raise LookupError("in its finally")

    def leave_in_thread(_n: int) -> Iterator[Update]:
        try:
            while True:
                yield OUT
        finally:
            raise LookupError("in its finally")

    body = leave_in_thread if is_plain else leave
    async with running(body, 0, settings=Settings(debug=debug)) as streamed:
        await streamed.next()
        await streamed.next()
        streamed.run.stop()
        assert (await streamed.to_end()).reason == Reason.CANCELLED
    assert "failed while it was cancelled" in caplog.text
    assert "LookupError: in its finally" in caplog.text
    assert f", in {body.__name__}" in caplog.text


@pytest.mark.parametrize("debug", [False, True])
async def test_t1_a_timeout_and_a_failed_on_error_log_their_source(
    debug: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def waits(_n: int) -> AsyncIterator[Update]:
        yield OUT
        await asyncio.sleep(60)

    def on_error(_where: str, _error: Exception) -> None:
        raise LookupError("in on_error")

    handler = partial(on_error, "")  # as anything that can be called
    settings = Settings(debug=debug)
    async with running(waits, 0, timeout=0.05, on_error=handler, settings=settings) as streamed:
        end = await streamed.to_end()
    assert end.failure is not None
    assert end.failure.code == "timeout"
    for text in (", in waits", "RunTimeout: It ran longer", ", in on_error", "LookupError: in on"):
        assert text in caplog.text
        assert (text in str(end.failure.trace)) == debug


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("is_plain", [False, True])
async def test_t1_the_error_of_a_refused_update_names_the_line_of_its_yield(
    debug: bool, is_plain: bool, caplog: pytest.LogCaptureFixture
) -> None:
    errors: list[Exception] = []

    async def wrong(_n: int) -> AsyncIterator[Update]:
        yield OUT
        yield stream_props("out", {"children": object()})

    def wrong_in_thread(_n: int) -> Iterator[Update]:
        yield from wrong_inside()

    def wrong_inside() -> Iterator[Update]:
        yield OUT
        yield stream_props("out", {"children": object()})

    body, yields = (wrong_in_thread, wrong_inside) if is_plain else (wrong, wrong)
    settings = Settings(debug=debug)
    async with running(body, 0, on_error=errors.append, settings=settings) as streamed:
        end = await streamed.to_end()
    line = yields.__code__.co_firstlineno + 2
    place = f'Yielded here:\n  File "{__file__}", line {line}, in {yields.__name__}\n'
    assert place in caplog.text
    assert end.failure is not None
    assert (place in str(end.failure.trace)) == debug
    assert [place in "".join(error.__notes__) for error in errors] == [True]


async def test_t1_only_debug_mode_sends_the_source_of_an_update() -> None:
    async def body(_n: int) -> AsyncIterator[Update]:
        yield OUT
        set_props("out", {"children": 2})

    line = body.__code__.co_firstlineno + 1
    for debug in (False, True):
        async with running(body, 0, settings=Settings(debug=debug)) as streamed:
            await streamed.to_end()
            data = (await streamed.log.read("")).data.decode()
        places = re.findall(r'"at":"(.*?)"', data)
        assert places == ([f"{__file__}:{line}", f"{__file__}:{line + 1}"] if debug else [])
        assert (__file__ in data) == debug


async def test_s12_a_stop_while_on_error_waits_takes_effect() -> None:
    waits = asyncio.Event()

    async def fail(_n: int) -> AsyncIterator[Update]:
        yield OUT
        raise Panic

    async def on_error(_error: Exception) -> None:
        waits.set()
        await asyncio.sleep(60)

    async with running(fail, 0, on_error=on_error) as streamed:
        await waits.wait()
        streamed.run.stop()
        assert (await streamed.to_end()).reason == Reason.CANCELLED


def test_s12_the_end_of_the_event_loop_cancels_its_runs_which_are_lost() -> None:
    """That was not requested, and nothing failed: `on_error` is not called."""
    calls: list[Exception] = []
    closed: list[str] = []

    async def endless(_n: int) -> AsyncIterator[Update]:
        try:
            yield OUT
            await asyncio.sleep(60)
        finally:
            closed.append("body")

    async def main() -> Any:
        context = running(endless, 0, on_error=lambda error: calls.append(error))
        streamed = await context.__aenter__()
        await streamed.next()
        await streamed.next()
        return context, streamed.run

    _, run = asyncio.run(main())
    assert run.output.reason == Reason.LOST
    assert (closed, calls) == (["body"], [])


def test_s12_a_run_whose_event_loop_is_discarded_logs_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR, "flash_events")
    calls: list[Exception] = []

    async def endless(_n: int) -> AsyncIterator[Update]:
        yield OUT
        await asyncio.sleep(60)

    loop = asyncio.new_event_loop()
    context = running(endless, 0, on_error=lambda error: calls.append(error))
    streamed = loop.run_until_complete(context.__aenter__())
    loop.run_until_complete(streamed.next())
    loop.run_until_complete(streamed.next())
    assert streamed.run._task is not None
    coroutine: Any = streamed.run._task.get_coro()
    with suppress(RuntimeError):  # Python's message for an async generator that awaits something
        coroutine.close()  # as the garbage collector does
    assert calls == []
    assert caplog.records == []
    streamed.run._task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


def test_s11_an_exit_in_a_signal_handler_ends_the_process() -> None:
    """The same as in a terminated process of a Celery worker: the body has not raised it."""
    closed: list[str] = []

    def end(_number: int, _frame: FrameType | None) -> None:
        sys.exit(3)

    async def computes(_n: int) -> AsyncIterator[Update]:
        try:
            yield OUT
            signal.raise_signal(signal.SIGUSR1)
        finally:
            closed.append("body")

    async def main() -> None:
        async with running(computes, 0) as streamed:
            await streamed.to_end()

    before = signal.signal(signal.SIGUSR1, end)
    try:
        with pytest.raises(SystemExit, match="3"):
            asyncio.run(main())
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert closed == ["body"]


class TestReturn:
    """S14: the return value of a plain generator is its last update, as in an ordinary callback."""

    async def test_it_is_sent_after_the_yielded_updates(self) -> None:
        def work(_n: int) -> Generator[Update, None, Update]:
            yield stream_props("out", {"children": "working"})
            return stream_props("out", {"children": "done"})

        async with running(work, 0) as streamed:
            end = await streamed.to_end()
        assert [one[0][1]["children"] for one in streamed.sets] == ["working", "done"]
        assert (end.reason, end.number) == (Reason.DONE, 2)

    async def test_a_list_is_a_batch_and_none_is_nothing(self) -> None:
        def work(n: int) -> Generator[Update, None, list[Update] | None]:
            yield OUT
            return [OUT, OUT] if n else None

        for n, count in ((0, 1), (1, 2)):
            async with running(work, n) as streamed:
                assert (await streamed.to_end()).reason == Reason.DONE
            assert len(streamed.sets) == count

    async def test_an_invalid_update_is_an_error(self) -> None:
        def work(_n: int) -> Generator[Update, None, int]:
            yield OUT
            return 7

        async with running(work, 0) as streamed:
            assert (await streamed.to_end()).reason == Reason.ERROR

    async def test_a_run_that_is_stopped_returns_nothing(self) -> None:
        def work(_n: int) -> Generator[Update, None, Update]:
            try:
                while True:
                    yield OUT
            except GeneratorExit:
                return stream_props("out", {"children": "late"})

        async with running(work, 0) as streamed:
            await streamed.next()
            await streamed.next()
            streamed.run.stop()
            assert (await streamed.to_end()).reason == Reason.CANCELLED
        assert "late" not in str(streamed.sets)
