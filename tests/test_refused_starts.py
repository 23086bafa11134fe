"""T3: each refusal of a start, as the page and the app see it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
from dash import MATCH, Dash, Input, State, ctx, html, set_props
from werkzeug.datastructures import Headers

from flash_events import FlashEvents, RunRefused, Settings, Update, bridge, stream_props
from flash_events.brokers import QUEUED, RunRecord
from flash_events.brokers.memory import MemoryBroker
from flash_events.endpoint.backends import Request
from flash_events.endpoint.bodies import Bodies
from flash_events.endpoint.placement import Placements
from flash_events.endpoint.server import Server
from flash_events.errors import BrokerError, Refused, too_many
from flash_events.runs.local import LocalRuns
from flash_events.runs.remote import RemoteRuns
from flash_events.task_queue import Order
from flash_events.wire.events import Ended
from tests.support.broker import RUN, new_connection
from tests.support.harness import LIMITS, Reader, body
from tests.support.page import new_id

MIB = 2**20
OURS = "max_body_bytes (set it in FlashEvents(app, ...) or as FLASH_EVENTS_MAX_BODY_BYTES)"
QUARTS = 'app.server.config["MAX_CONTENT_LENGTH"]'
LAST = {"Flash-Events-Last-Try": "1"}


class Setup:
    """An app whose `on_error` streams the reason of a refusal."""

    def __init__(self, **settings: Any) -> None:
        self.app = Dash("refused", backend="quart")
        self.app.layout = html.Div()
        self.heard: list[RunRefused] = []

        async def on_error(error: Exception) -> Update:
            assert isinstance(error, RunRefused)
            assert ctx.triggered_id is None
            self.heard.append(error)
            set_props("aside", {"children": error.code})
            return stream_props({"type": "out", "index": MATCH}, {"children": str(error)})

        @FlashEvents(self.app, **settings).event_callback(
            Input({"type": "go", "index": MATCH}, "n_clicks"),
            State("other", "value"),
            on_error=on_error,
        )
        async def go(_n: int, _other: str) -> AsyncIterator[Update]:
            yield stream_props("out", {"children": "not to be seen"})

        [entry] = bridge.app_registry(self.app).entries
        self.output = entry["output"]

    @property
    def server(self) -> Server:
        server: Server = self.app._flash_events_wiring.ready()
        return server

    def body(self, **fields: Any) -> dict[str, Any]:
        ids = {"run": new_id(), "page": new_id(), "connection": new_id()}
        return {
            "output": self.output,
            "inputs": [{"id": {"type": "go", "index": 1}, "property": "n_clicks", "value": 1}],
            "state": [{"id": "other", "property": "value", "value": "S"}],
            "changedPropIds": ['{"index":1,"type":"go"}.n_clicks'],
            "flash_events": {"version": 1, **ids, **fields},
        }

    def headers(self, given: dict[str, str]) -> dict[str, str]:
        known = {"Content-Type": "application/json", "Flash-Events-Callback": self.output}
        return {**known, **given}

    async def post(self, body: Any, action: str = "start", **headers: str) -> tuple[int, Any]:
        """Returns the response's status and its JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = await self.app.server.test_client().post(
            f"/_dash-flash-events/{action}",
            data=data,
            headers=self.headers({"Content-Length": str(len(data)), **headers}),
        )
        return answer.status_code, await answer.get_json()


Case = Callable[[Setup, pytest.MonkeyPatch], tuple[Any, dict[str, str]]]
"""Causes a refusal; returns the body to post and further headers."""


def body_with(**fields: Any) -> Case:
    return lambda setup, _: ({**setup.body(), **fields}, {})


def field_with(**fields: Any) -> Case:
    return lambda setup, _: (setup.body(**fields), {})


def headers_with(**headers: str) -> Case:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda setup, _: (setup.body(), given)


def raw(data: bytes) -> Case:
    return lambda *_: (data, {})


def nobody(setup: Setup, _patch: pytest.MonkeyPatch) -> tuple[Any, dict[str, str]]:
    setup.server.settings = Settings(identify=lambda _: None)
    return setup.body(), {}


def broker_away(headers: dict[str, str]) -> Case:
    def case(setup: Setup, patch: pytest.MonkeyPatch) -> tuple[Any, dict[str, str]]:
        def away(_places: Placements) -> None:
            raise BrokerError("It is away.")

        patch.setattr(Placements, "require_broker", away)
        return setup.body(), headers

    return case


def draining(headers: dict[str, str]) -> Case:
    def case(setup: Setup, patch: pytest.MonkeyPatch) -> tuple[Any, dict[str, str]]:
        patch.setattr(setup.server, "_draining", asyncio.get_running_loop().create_future())
        return setup.body(), headers

    return case


def full(setting: str) -> Case:
    def case(setup: Setup, patch: pytest.MonkeyPatch) -> tuple[Any, dict[str, str]]:
        def check(*_: Any) -> None:
            raise too_many("runs", setting)

        patch.setattr(LocalRuns, "check_limits", check)
        return setup.body(), {}

    return case


def unknown(setup: Setup, _patch: pytest.MonkeyPatch) -> tuple[Any, dict[str, str]]:
    output = "0" * 32
    return {**setup.body(), "output": output}, {"Flash-Events-Callback": output}


HEARS = [
    ("bad_request", 400, raw(b"{")),
    ("bad_request", 400, raw(b"[]")),
    ("bad_request", 400, body_with(inputs="x")),
    ("bad_request", 400, body_with(output=None)),
    ("bad_request", 400, field_with(run="short")),
    ("bad_request", 400, field_with(replaces=[1])),
    ("bad_inputs", 400, body_with(inputs=[])),
    ("bad_inputs", 400, body_with(inputs=["x"])),
    ("bad_inputs", 400, body_with(inputs=[[{"id": {"type": "go"}}]])),
    ("version", 409, field_with(version=2)),
    ("too_large", 413, body_with(state=["x" * 16 * MIB])),
    ("broker", 503, broker_away(LAST)),
    ("draining", 503, draining(LAST)),
]

HEARS_NOTHING = [
    ("origin", 403, headers_with(Origin="https://evil.example")),
    ("origin", 403, headers_with(Sec_Fetch_Site="cross-site")),
    ("content_type", 415, headers_with(Content_Type="text/plain")),
    ("identity", 403, nobody),
    ("unknown_callback", 404, unknown),
    ("too_many", 429, full("max_runs")),
    ("broker", 503, broker_away({})),
    ("draining", 503, draining({})),
]
"""Refusals that run no user code, or that the page retries."""


@pytest.mark.parametrize(("code", "status", "case"), HEARS)
async def test_t3_on_error_is_called_for_a_refusal_and_its_updates_are_in_the_response(
    code: str, status: int, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = Setup()
    request, headers = case(setup, monkeypatch)
    answered, answer = await setup.post(request, **headers)
    assert (answered, answer["error"]) == (status, code)
    [error] = setup.heard
    assert (error.code, error.message) == (code, answer["message"])
    assert str(error) == error.message
    assert answer["set"] == [
        ["aside", {"children": code}],
        ['{"index":["MATCH"],"type":"out"}', {"children": error.message}],
    ]


@pytest.mark.parametrize(("code", "status", "case"), HEARS_NOTHING)
async def test_t3_on_error_is_not_called_for_unauthorized_or_retried_starts(
    code: str, status: int, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = Setup()
    request, headers = case(setup, monkeypatch)
    answered, answer = await setup.post(request, **headers)
    assert (answered, answer["error"]) == (status, code)
    assert "set" not in answer
    assert not setup.heard


async def test_t3_a_run_that_was_stopped_before_its_start_arrived_is_lost() -> None:
    setup = Setup()
    request = setup.body()
    fields = request["flash_events"]
    stop = {"version": 1, "page": fields["page"], "runs": [fields["run"]]}
    assert (await setup.post({"flash_events": stop}, "stop"))[0] == 202
    status, answer = await setup.post(request)
    assert (status, answer["error"]) == (410, "lost")
    assert not setup.heard


async def test_t3_without_on_error_the_apps_own_is_called() -> None:
    heard: list[Exception] = []
    app = Dash("refused", backend="quart", on_error=heard.append)
    app.layout = html.Div()

    @FlashEvents(app).event_callback(Input("go", "n_clicks"))
    async def go(_n: int) -> AsyncIterator[Update]:
        yield stream_props("out", {"children": "not to be seen"})

    [entry] = bridge.app_registry(app).entries
    headers = {"Flash-Events-Callback": entry["output"], "Content-Type": "application/json"}
    client = app.server.test_client()
    answer = await client.post("/_dash-flash-events/start", data=b"{", headers=headers)
    assert answer.status_code == 400
    [error] = heard
    assert isinstance(error, RunRefused)


class TestTheSizeOfABody:
    @pytest.mark.parametrize(
        ("ours", "quarts", "size", "named"),
        [
            (None, None, 16 * MIB + 1, {OURS: 16 * MIB}),
            (None, 16 * MIB, 16 * MIB + 1, {OURS: 16 * MIB, QUARTS: 16 * MIB}),
            (None, MIB, MIB + 1, {QUARTS: MIB}),
            (MIB, 16 * MIB, MIB + 1, {OURS: MIB}),
            (32 * MIB, 16 * MIB, 20 * MIB, {QUARTS: 16 * MIB}),
        ],
    )
    @pytest.mark.parametrize("action", ["start", "ask"])
    async def test_t3_a_413_names_the_limit(
        self, action: str, ours: int | None, quarts: int | None, size: int, named: dict[str, int]
    ) -> None:
        setup = Setup(**({} if ours is None else {"max_body_bytes": ours}))
        setup.app.server.config["MAX_CONTENT_LENGTH"] = quarts
        headers = {}
        if action == "start":
            headers = {"Content-Length": str(size)}  # the header is enough
        status, answer = await setup.post(setup.body(size=size), action, **headers)
        assert (status, answer["error"]) == (413, "too_large")
        assert f"{size:,} bytes" in answer["message"]
        for name in (OURS, QUARTS):
            assert (name in answer["message"]) == (name in named)
        for name, most in named.items():
            assert f"{most:,} by {name}" in answer["message"]
        assert len(setup.heard) == 1

    async def test_t3_quarts_own_limit_is_named_without_a_length_header(self) -> None:
        setup = Setup()
        setup.app.server.config["MAX_CONTENT_LENGTH"] = 1000
        request = setup.app.server.test_client().request(
            "/_dash-flash-events/start", method="POST", headers=Headers(setup.headers({}))
        )
        async with request as connection:
            await connection.send(b"x" * 1001)
        answer = await (await connection.as_response()).get_json()
        assert answer["error"] == "too_large"
        assert f"1,000 by {QUARTS}" in answer["message"]
        assert len(setup.heard) == 1

    async def test_t3_a_body_that_does_not_arrive_in_time_is_refused(self) -> None:
        setup = Setup()
        setup.app.server.config["BODY_TIMEOUT"] = 0.01
        request = setup.app.server.test_client().request(
            "/_dash-flash-events/start", method="POST", headers=Headers(setup.headers({}))
        )
        async with request as connection:
            await connection.send(b"x")
        answer = await (await connection.as_response()).get_json()
        assert answer["error"] == setup.heard[0].code == "too_slow"
        assert 'app.server.config["BODY_TIMEOUT"]' in answer["message"]

    async def test_t3_an_ask_for_an_allowed_upload_is_accepted(self) -> None:
        setup = Setup()
        assert await setup.post(setup.body(size=16 * MIB), "ask") == (202, {})

    @pytest.mark.parametrize("size", [None, -1, "1", True])
    async def test_an_ask_without_a_size_is_refused(self, size: object) -> None:
        status, answer = await (setup := Setup()).post(setup.body(size=size), "ask")
        assert (status, answer["error"]) == (400, "bad_request")

    @pytest.mark.parametrize("refusal", ["origin", "identity"])
    async def test_t3_no_body_is_read_for_unauthorized_starts(
        self, refusal: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        setup = Setup(**({"identify": lambda _: None} if refusal == "identity" else {}))
        read: list[bytes] = []

        async def get_data(_request: Any) -> bytes:
            read.append(b"")
            return b"{}"

        monkeypatch.setattr(setup.app.server.request_class, "get_data", get_data)
        origin = {"Origin": "https://evil.example"} if refusal == "origin" else {}
        status, answer = await setup.post(setup.body(), **origin)
        assert (status, answer["error"]) == (403, refusal)
        assert not read
        await setup.post(setup.body(), "alive") if refusal == "origin" else None
        assert bool(read) == (refusal == "origin")  # as it would be

    async def test_t3_simultaneous_uploads_share_a_limit(self) -> None:
        """Starts up to 1 MiB do not count; nor does a single one of any size."""
        settings = Settings(max_body_bytes=8 * MIB, max_uploading_bytes=6 * MIB)
        bodies = Bodies(settings)

        def reading(size: int) -> Any:
            async def read() -> bytes:
                return b""

            return bodies.read(Request({"content-length": str(size)}, {}, read, None), True)

        async with reading(4 * MIB), reading(MIB), reading(2 * MIB):
            with pytest.raises(Refused) as refused:
                async with reading(MIB + 1):
                    pass
            async with reading(MIB):
                pass
        error = refused.value
        assert (error.status, error.limit) == (429, "max_uploading_bytes")
        async with reading(8 * MIB):
            pass


async def test_t3_a_failed_submission_to_the_task_queue_is_a_refusal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The start was accepted before: its run ends as `error`, and `set_props` works."""
    setup = Setup()
    cause = ConnectionError("amqp://queue refuses")

    class Unreachable:
        async def send(self, _order: Order) -> None:
            raise cause

    [callback] = bridge.app_registry(setup.app)
    broker = MemoryBroker(LIMITS)
    connection = new_connection()
    log = await broker.logs.open(connection, "", RUN, QUEUED)
    assert log is not None
    queued = RemoteRuns(setup.app, Settings(), broker)
    record = RunRecord(RUN, QUEUED, connection, "")
    queue: Any = Unreachable()

    async def before() -> None:
        pass

    queued.start(record, replace(callback, queue=queue), bridge.empty_call(), before)
    await queued.finish()
    [event] = await Reader(log).available()
    assert isinstance(event, Ended)
    assert (event.reason, event.failure and event.failure.code) == ("error", "queue")
    [error] = setup.heard
    assert (error.code, error.__cause__) == ("queue", cause)
    assert "broker_url" in error.message
    assert "aside" in [target for target, _ in body(event.body or b"")]
