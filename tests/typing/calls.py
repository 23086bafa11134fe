"""What type checkers must find: the lines that say so, and no others; see tests/test_typing.py."""

from collections.abc import AsyncIterator, Iterator

from dash import Input, State

from flash_events import ConnectionStatus, RunState, Update, event_callback, stream_props, track


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

    @event_callback(Input("start", "n_clicks"))  # wrong
    async def no_generator(n_clicks: int) -> int:
        return n_clicks


def make() -> None:
    stream_props("out")  # wrong
    stream_props("out", 1)  # wrong
    stream_props("out", {"children": 1}, alone="yes")  # wrong
    RunState(live, id="state")
    RunState(live)  # wrong
    ConnectionStatus(id="connection", labels={"open": "Live"})
    ConnectionStatus(labels={"opened": "Live"})  # wrong
