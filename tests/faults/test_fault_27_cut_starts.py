"""Row 27: a start is cut at each of its awaits, in turn; the page repeats it."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from dash import Dash, Input, html
from redis import Redis

from flash_events import FlashEvents, Update, stream_props
from flash_events.brokers import ConnectionId
from flash_events.brokers.messages import Stop
from flash_events.brokers.redis.keys import key, log_keys
from flash_events.brokers.redis.pipe import Pipe
from flash_events.runs.remote import RemoteRuns
from tests.support.page import new_id
from tests.support.server import until

Send = Callable[[Pipe, list[Any]], Awaitable[list[Any]]]

AWAITS = 3
"""Number of awaits of a start: it looks for the run, opens a log, and claims the run."""

began: Counter[str] = Counter()


class Stall:
    """Stalls the n-th command to Redis from now on until it is released.

    Args:
        send: sends commands.
        is_sent: whether Redis gets it at once, and only its answer comes late.
    """

    def __init__(self, send: Send, at: int, is_sent: bool) -> None:
        self._send = send
        self._left = at
        self._is_sent = is_sent
        self._pipe: Pipe | None = None
        self.released = asyncio.Event()

    async def send(self, pipe: Pipe, commands: list[Any]) -> list[Any]:
        self._pipe = self._pipe or pipe  # the first that asks
        if pipe is self._pipe:
            self._left -= 1
        if pipe is not self._pipe or self._left:
            return await self._send(pipe, commands)
        if not self._is_sent:
            await self.released.wait()
        answers = await self._send(pipe, commands)
        await self.released.wait()
        return answers


class Worker:
    """An app in a worker of its own."""

    def __init__(self, broker: str) -> None:
        self.app = Dash("tests", backend="quart")
        self.app.layout = html.Div(html.Button(id="start"))
        flash = FlashEvents(self.app, broker=broker, linger_seconds=0.05, grace_seconds=0.3)

        @flash.event_callback(Input("start", "n_clicks"))
        async def counted(run: str) -> AsyncIterator[Update]:
            began[run] += 1
            while True:
                yield stream_props("out", {"children": "begun"})
                await asyncio.sleep(0.01)

        self.app._setup_server()
        self.output = next(
            entry["output"] for entry in self.app._callback_list if "flash_events" in entry
        )

    def body(self, run: str, connection: str) -> dict[str, Any]:
        fields = {"run": run, "page": new_id(), "connection": connection, "connections": []}
        return {
            "output": self.output,
            "inputs": [{"id": "start", "property": "n_clicks", "value": run}],
            "state": [],
            "changedPropIds": ["start.n_clicks"],
            "flash_events": {"version": 1, **fields},
        }

    async def post(self, action: str, body: object) -> tuple[int, str]:
        """Returns status and text; reads a stream until a run streams or it closes."""
        headers = {"Content-Type": "application/json", "Sec-Fetch-Site": "same-origin"}
        client = self.app.server.test_client()
        path, text = f"/_dash-flash-events/{action}", ""
        async with (
            asyncio.timeout(5),
            client.request(path, method="POST", headers=headers) as answer,
        ):
            await answer.send(json.dumps(body).encode())
            await answer.send_complete()
            while not any(word in text for word in ("error", "event: update", "event: close")):
                part = await answer.receive()
                if not part:
                    break  # the body has ended
                text += part.decode()
            await answer.disconnect()
        assert answer.status_code is not None
        return answer.status_code, text

    async def stop(self, body: dict[str, Any]) -> None:
        fields = body["flash_events"]
        stop = {"version": 1, "page": fields["page"], "runs": [fields["run"]]}
        answer = await self.app.server.test_client().post(
            "/_dash-flash-events/stop", json={"flash_events": stop}
        )
        assert answer.status_code == 202


Cut = Callable[[Worker, dict[str, Any], int, bool], Awaitable[asyncio.Event]]


@pytest.fixture
def stall(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, bool], Stall]:
    send = Pipe._send

    def begin(at: int, is_sent: bool) -> Stall:
        stall = Stall(send, at, is_sent)

        async def stalled(pipe: Pipe, commands: list[Any]) -> list[Any]:
            return await stall.send(pipe, commands)

        monkeypatch.setattr(Pipe, "_send", stalled)
        return stall

    return begin


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch, stall: Callable[[int, bool], Stall]) -> Cut:
    """Cuts the start of a run at one of its awaits; returns the cut, which can end the stall."""

    async def start(worker: Worker, body: dict[str, Any], at: int, is_sent: bool) -> asyncio.Event:
        stalled = stall(at, is_sent)
        monkeypatch.setattr("flash_events.endpoint.server.BROKER_SECONDS", 0.3)
        status, text = await worker.post("start", body)
        assert (status, json.loads(text)["error"]) == (503, "broker")
        monkeypatch.setattr("flash_events.endpoint.server.BROKER_SECONDS", 5.0)
        return stalled.released

    return start


@pytest.fixture
async def two(redis_url: str) -> AsyncIterator[list[Worker]]:
    workers = [Worker(redis_url) for _ in range(2)]
    async with workers[0].app.server.test_app(), workers[1].app.server.test_app():
        first = workers[0].body(new_id(), new_id())  # Redis knows the scripts afterwards
        await workers[0].post("start", first)
        await workers[0].stop(first)
        yield workers


def is_gone(client: Redis, run: str, connection: str) -> bool:
    """Returns whether nothing is left in Redis but the record of an ended run."""
    record: Any = client.get(key(run, "run"))
    is_known = record is not None and not json.loads(record)["is_ended"]
    return not is_known and not client.exists(*log_keys(ConnectionId(connection)))


@pytest.mark.parametrize("is_sent", [False, True])
@pytest.mark.parametrize("at", range(1, AWAITS + 1))
async def test_fault_27_s6_the_repeat_of_a_cut_start_is_one_run(
    two: list[Worker], redis_url: str, cut: Cut, at: int, is_sent: bool
) -> None:
    run, connection = new_id(), new_id()
    body = two[0].body(run, connection)
    released = await cut(two[0], body, at, is_sent)
    assert not began[run]
    released.set()
    status, text = await two[0].post("start", body)
    assert status == 200
    assert "event: update" in text
    assert began[run] == 1
    await two[0].stop(body)
    client = Redis.from_url(redis_url)
    await until(lambda: is_gone(client, run, connection))


@pytest.mark.parametrize("is_sent", [False, True])
@pytest.mark.parametrize("at", range(1, AWAITS + 1))
async def test_fault_27_s6_a_cut_start_that_is_repeated_elsewhere_is_one_run_or_refused(
    two: list[Worker], redis_url: str, cut: Cut, at: int, is_sent: bool
) -> None:
    """The first worker still waits, so it cannot have released its claim."""
    run, connection = new_id(), new_id()
    body = two[0].body(run, connection)
    released = await cut(two[0], body, at, is_sent)
    asyncio.get_running_loop().call_later(0.1, released.set)
    status, text = await two[1].post("start", body)
    if status == 200 and "event: update" not in text:  # the first has taken the connection
        resume = {"version": 1, "connection": connection, "lastEventId": ""}
        status, text = await two[1].post("resume", {"flash_events": resume})
    has_begun = "event: update" in text
    assert has_begun or "event: close" in text or status in (404, 410)
    assert began[run] == has_begun
    await two[1].stop(body)
    client = Redis.from_url(redis_url)
    await until(lambda: is_gone(client, run, connection))


@pytest.mark.parametrize("at", range(1, AWAITS + 1))
async def test_fault_27_s6_a_cut_start_without_a_repeat_leaves_nothing(
    two: list[Worker], redis_url: str, cut: Cut, at: int
) -> None:
    run, connection = new_id(), new_id()
    released = await cut(two[0], two[0].body(run, connection), at, True)
    released.set()
    client = Redis.from_url(redis_url)
    await until(lambda: is_gone(client, run, connection))
    assert not began[run]


async def test_fault_27_s6_a_run_that_is_stopped_during_its_start_does_not_continue(
    two: list[Worker],
    redis_url: str,
    stall: Callable[[int, bool], Stall],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its claim exists, and its worker does not know it yet."""
    monkeypatch.setattr("flash_events.endpoint.server.BROKER_SECONDS", 5.0)
    monkeypatch.setattr("flash_events.brokers.redis.pipe.SILENT_SECONDS", 5.0)
    heard: list[Stop] = []

    async def note(_runs: RemoteRuns, stop: Stop) -> None:
        heard.append(stop)

    monkeypatch.setattr(RemoteRuns, "stop", note)
    run, connection = new_id(), new_id()
    body = two[0].body(run, connection)
    stalled = stall(AWAITS, True)
    starting = asyncio.create_task(two[0].post("start", body))
    client = Redis.from_url(redis_url)
    await until(lambda: client.exists(key(run, "run")) > 0)
    await two[1].stop(body)
    await until(lambda: bool(heard))
    stalled.released.set()
    await starting
    await until(lambda: is_gone(client, run, connection))
