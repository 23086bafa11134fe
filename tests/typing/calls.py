"""Wrong calls that type checkers must report, and correct ones; see tests/test_typing.py."""

from collections.abc import AsyncIterator, Iterator

from celery import Celery
from dash import Dash, Input, Output, State

from flash_events import (
    ConnectionStatus,
    FlashEvents,
    RunState,
    Subscription,
    Update,
    event_callback,
    stream_props,
    topic,
    track,
)


@event_callback(Input("start", "n_clicks"), State("ticker", "value"), overlap="skip", timeout=10)
async def live(n_clicks: int, ticker: str) -> AsyncIterator[Update]:
    yield stream_props("out", {"children": f"{ticker} {n_clicks}"})


@event_callback(Input("load", "n_clicks"))
def load(n_clicks: int) -> Iterator[Update | None]:
    for row in track([1, 2, 3], "bar"):
        yield stream_props([("out", {"children": row + n_clicks}), ({"row": 1}, {"data": row})])
        row.upper()  # wrong
    yield None


async def call() -> None:
    async for update in live(1, "A"):
        print(update.targets, update.alone)
    async for update in live(1, ticker="A"):
        print(update.unheard_of)  # wrong
    live(1)  # wrong
    live(1, 2)  # wrong
    live(1, "A", "B")  # wrong
    load("1")  # wrong


def decorate() -> None:
    event_callback(Input("start", "n_clicks"), overlap="often")  # wrong
    event_callback(Input("start", "n_clicks"), overlapp="skip")  # wrong
    event_callback(Input("start", "n_clicks"), timeout="10")  # wrong
    event_callback(Input("start", "n_clicks"), cancel=5)  # wrong
    event_callback(Input("start", "n_clicks"), cancel=[Input("stop", "n_clicks")])
    event_callback(Input("start", "n_clicks"), cancel=(Input("tabs", "value"), "main"))
    event_callback(Input("start", "n_clicks"), cancel=["stop"])  # wrong
    event_callback(Input("start", "n_clicks"), worker=7)  # wrong
    event_callback(Input("start", "n_clicks"), worker=Celery("tasks"))
    event_callback(Input("start", "n_clicks"), running=(Output("start", "disabled"), True, False))
    event_callback(Input("start", "n_clicks"), running=[("start", True, False)])  # wrong
    event_callback(Input("start", "n_clicks"), reset_props=("out", {"children": ""}))
    event_callback(
        Input("start", "n_clicks"), reset_props={"out": {"children": ""}, "grid": {"rowData": []}}
    )
    event_callback(Input("start", "n_clicks"), reset_props=[("out", "")])  # wrong
    event_callback(inputs={"n": Input("start", "n_clicks"), "more": [State("a", "b")]})
    event_callback(Input("start", "n_clicks"), on_error="stop")  # wrong
    event_callback(Input("start", "n_clicks"), on_error=lambda _: 5)  # wrong
    event_callback(Input("start", "n_clicks"), on_error=answer, state=State("a", "b"))
    event_callback(Input("start", "n_clicks"), on_error=lambda _: [stream_props("a", {})])
    event_callback(Input("start", "n_clicks"), concat=True)  # wrong

    @event_callback(Input("start", "n_clicks"))  # wrong
    async def no_generator(n_clicks: int) -> int:
        return n_clicks


async def answer(error: Exception) -> Update:
    return stream_props("out", {"children": str(error)})


def bind(app: Dash) -> None:
    flash = FlashEvents(app, heartbeat_seconds=5, allowed_origins="https://example.com")
    FlashEvents(app, heartbeat=5)  # wrong
    FlashEvents(app, metrics="yes")  # wrong
    FlashEvents("app")  # wrong

    @flash.event_callback(Input("start", "n_clicks"), overlap="skip")
    async def bound(n_clicks: int) -> AsyncIterator[Update]:
        yield stream_props("out", {"children": n_clicks})

    bound("1")  # wrong
    flash.event_callback(Input("start", "n_clicks"), overlap="often")  # wrong
    flash.event_callback(Input("start", "n_clicks"), timeout="10")  # wrong
    flash.event_callback(Input("start", "n_clicks"), timeot=10)  # wrong


def make() -> None:
    stream_props("out")  # wrong
    stream_props("out", 1)  # wrong
    stream_props("out", {"children": 1}, alone="yes")  # wrong
    RunState(live, id="state")
    RunState(live)  # wrong
    RunState(answer, id="state")  # wrong
    track(5, "bar")  # wrong
    ConnectionStatus(id="connection", labels={"open": "Live"})
    ConnectionStatus(labels={"opened": "Live"})  # wrong
    Subscription(topic("prices"), id="prices", last=1, overflow="latest")
    Subscription("prices", id="prices")  # wrong
    Subscription(topic("prices"), id="prices", overflow="error")  # wrong
