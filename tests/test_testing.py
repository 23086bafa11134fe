"""`flash_events.testing`: event callbacks driven without a browser or a server."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from dash import MATCH, Input, Output, State, ctx, html, set_props

from flash_events import Update, event_callback, stream_props
from flash_events.testing import End, Stream, fake_clock, record, run

pytest_plugins = ["flash_events.testing.fixtures"]

stopped: list[str] = []


@event_callback(
    Input("start", "n_clicks"),
    State("ticker", "value"),
    cancel=Input("stop", "n_clicks"),
    reset_props={"out": {"children": "nothing yet"}},
    running=(Output("start", "disabled"), True, False),
)
async def live(n_clicks: int, ticker: str) -> AsyncIterator[Update]:
    n = 0
    try:
        while True:
            n += 1
            yield stream_props("out", {"children": f"{ticker} {n}"})
            await asyncio.sleep(1)
    finally:
        stopped.append(ticker)


@event_callback(Input("count", "n_clicks"))
async def count(n: int) -> AsyncIterator[Update]:
    for i in range(n):
        yield stream_props("out", {"children": i})


@event_callback(Input("plain", "n_clicks"))
def plain(n: int) -> Iterator[Update]:
    for i in range(n):
        yield stream_props("out", {"children": i})


def sorry(error: Exception) -> Update:
    return stream_props("message", {"children": f"sorry: {error}"})


@event_callback(
    Input("fail", "n_clicks"), on_error=sorry, reset_props=[("out", {"children": "reset"})]
)
async def fail(_: int) -> AsyncIterator[Update]:
    yield stream_props("out", {"children": 1})
    raise ValueError("no luck")


@event_callback(Input({"type": "go", "index": MATCH}, "n_clicks"))
async def cards(_: int) -> AsyncIterator[Update]:
    yield stream_props({"type": "card", "index": MATCH}, {"children": html.B("bold")})


@event_callback(Input("aside", "n_clicks"))
async def aside(_: int) -> AsyncIterator[Update]:
    set_props("first", {"children": ctx.triggered_id})
    await asyncio.sleep(0.01)
    yield stream_props([("second", {"data": [1]}), ("third", {"data": None})])


async def test_an_endless_stream_is_read_until_it_is_stopped() -> None:
    stopped.clear()
    with fake_clock() as clock:
        began = time.monotonic()
        async with run(live, n_clicks=1, ticker="A") as stream:
            assert await stream.next() == stream_props("out", {"children": "A 1"})
            assert stream.props == {"start": {"disabled": True}, "out": {"children": "A 1"}}
            await stream.take(3_600)
            end = await stream.stop()
        assert clock.seconds == pytest.approx(3_600)
        assert time.monotonic() - began < 60  # of an hour
    assert end == End("cancelled", end.updates)
    assert stream.values("out", "children")[-1] == "A 3601"
    assert stream.props == {"start": {"disabled": False}, "out": {"children": "nothing yet"}}
    assert stopped == ["A"]


async def test_leaving_the_block_stops_the_run() -> None:
    stopped.clear()
    async with run(live, 1, "B") as stream:
        await stream.next()
    assert stopped == ["B"]


async def test_a_stream_is_iterated_until_it_ends() -> None:
    async with run(count, 3) as stream:
        assert [update async for update in stream] == stream.updates
    assert stream.values("out", "children") == [0, 1, 2]
    assert stream.end == End("done", 3)


async def test_a_failure_has_its_error_its_resets_and_the_updates_of_on_error() -> None:
    async with run(fail, 1) as stream:
        end = await stream.ended()
    answer = stream_props("message", {"children": "sorry: no luck"})
    assert end == End("error", 1, "ValueError: no luck", answer)
    assert stream.props == {
        "out": {"children": "reset"},
        "message": {"children": "sorry: no luck"},
    }


async def test_a_stream_that_ends_early_fails_the_test_with_its_end() -> None:
    async with run(count, 1) as stream:
        with pytest.raises(AssertionError, match=r"ends after 1 updates: End\(reason='done'"):
            await stream.take(2)


async def test_a_silent_stream_fails_the_test_after_a_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("flash_events.testing.streams.LIMIT_SECONDS", 0.05)
    async with run(live, 1, "C") as stream:
        await stream.next()
        with pytest.raises(AssertionError, match=r"Timeout of .* after 1 updates"):
            await stream.next()
        with pytest.raises(AssertionError, match=r"Timeout of .* after 1 updates"):
            [update async for update in stream]


async def test_set_props_is_a_separate_update() -> None:
    async with run(aside, 1, triggered="aside.n_clicks") as stream:
        await stream.ended()
    assert stream.updates == [
        stream_props("first", {"children": "aside"}),
        stream_props([("second", {"data": [1]}), ("third", {"data": None})]),
    ]


async def test_values_are_those_that_the_page_gets() -> None:
    async with run(cards, 1) as stream:
        [update] = [update async for update in stream]
    [(component_id, props)] = update.targets
    assert component_id == {"type": "card", "index": MATCH}
    assert props["children"]["type"] == "B"
    assert stream.values({"type": "card", "index": MATCH}, "children") == [props["children"]]


def test_a_plain_test_records_a_stream() -> None:
    assert record(count, 3).values("out", "children") == [0, 1, 2]
    assert record(plain, 3).values("out", "children") == [0, 1, 2]


def test_a_recording_of_an_endless_stream_is_cut() -> None:
    began = time.monotonic()
    stream = record(live, n_clicks=1, ticker="A", at_most=100)
    assert len(stream.updates) == 100
    assert stream.end is not None
    assert stream.end.reason == "cancelled"
    assert time.monotonic() - began < 60


async def test_a_fake_clock_does_not_drive_threads() -> None:
    with fake_clock(), pytest.raises(TypeError, match=r"plain is a plain generator.*fake_clock"):
        async with run(plain, 1):
            pass


async def test_real_time_returns_after_a_fake_clock() -> None:
    with fake_clock() as clock:
        await asyncio.sleep(10)
    began = time.monotonic()
    await asyncio.sleep(0.05)
    assert time.monotonic() - began >= 0.05
    assert clock.seconds == pytest.approx(10)


async def test_timeouts_fire_in_the_order_of_the_fake_clock() -> None:
    with fake_clock() as clock, pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await asyncio.sleep(10)
    assert clock.seconds == pytest.approx(5)


@event_callback(Input("threaded", "n_clicks"), timeout=30)
async def threaded(_: int) -> AsyncIterator[Update]:
    await asyncio.to_thread(time.sleep, 0.05)
    try:
        yield stream_props("out", {"children": "a\u2028b"})
    finally:
        await asyncio.to_thread(stopped.append, "threaded")


def test_the_fake_clock_waits_while_a_thread_works() -> None:
    stopped.clear()
    stream = record(threaded, 1)
    assert stream.values("out", "children") == ["a\u2028b"]
    assert stream.end == End("done", 1)
    assert record(threaded, 1, at_most=1).values("out", "children") == ["a\u2028b"]
    assert stopped == ["threaded", "threaded"]


def test_a_recording_of_an_endless_stream_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flash_events.testing.streams.LIMIT_SECONDS", 0.2)
    with pytest.raises(AssertionError, match="endless"):
        record(live, n_clicks=1, ticker="A")


async def test_a_wait_for_a_missing_update_fails_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flash_events.testing.clock.LIMIT_SECONDS", 0.05)

    async def wait() -> None:
        with fake_clock():
            await asyncio.Event().wait()

    with pytest.raises(AssertionError, match="All tasks wait for something that does not happen"):
        await asyncio.to_thread(asyncio.run, wait())


async def test_a_fake_clock_within_another_is_the_same() -> None:
    with fake_clock() as outer:
        with fake_clock() as inner:
            await asyncio.sleep(5)
        await asyncio.sleep(5)
    assert inner is outer
    assert outer.seconds == pytest.approx(10)


async def test_updates_before_the_end_of_a_run_are_not_dropped() -> None:
    async with run(count, 3) as stream:
        await stream.next()
        end = await stream.stop()
    assert end == End("done", 3)
    assert stream.values("out", "children") == [0, 1, 2]


def test_a_method_is_run_too() -> None:
    class Source:
        async def stream(self, n: int) -> AsyncIterator[Update]:
            yield stream_props("out", {"children": n})

    source = Source()
    event_callback(Input("method", "n_clicks"))(source.stream)
    assert record(source.stream, 7).values("out", "children") == [7]


def not_decorated(n: int) -> Iterator[Update]:
    yield stream_props("out", {"children": n})


def test_only_event_callbacks_are_run() -> None:
    with pytest.raises(TypeError, match="Expected a function with @event_callback"):
        record(not_decorated, 1)


@pytest.mark.parametrize("word", ["one", "two"])
def test_with_the_fixture_each_test_may_declare_the_same_callback(
    record_stream: Callable[..., Stream], word: str
) -> None:
    @event_callback(Input("same", "n_clicks"))
    async def same(_: int) -> AsyncIterator[Update]:
        yield stream_props("out", {"children": word})

    assert record_stream(same, 1).values("out", "children") == [word]
