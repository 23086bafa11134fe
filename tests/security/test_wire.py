"""Streamed values cannot break out of their event, and reveal nothing to the browser."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from httpx_sse import EventSource
from hypothesis import given
from hypothesis import strategies as st

from flash_events import UpdateError, sse, stream_props
from flash_events.wire import events
from tests.apps.faults import FAILURES, SECRET
from tests.support.page import Page, opened
from tests.support.server import Served, serving
from tests.support.socket_client import Refusal, Stream, read_until
from tests.support.wire import parse

RUN = "A" * 22
MIB = 1024 * 1024
NAMES = {"open", "start", "update", "end", "drain", "close"}

hostile = st.sampled_from(
    [
        *("\r", "\n", "\r\n", "\0", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\ufeff"),
        *("\ud800", "\udfff", "</script>", "<!--", "\n\nevent: end\ndata: {}\n\n", "\rid: 7\r"),
        *("data: x", ": heartbeat\n\n", '"', "\\", "\U0001f600"),
    ]
)
texts = st.lists(st.one_of(hostile, st.text(max_size=3)), max_size=8).map("".join)
values = st.recursive(
    texts,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)


@pytest.fixture
def page(faulty: Served) -> Iterator[Page]:
    with opened(faulty) as page:
        yield page


@given(st.lists(st.tuples(texts, values), min_size=1, max_size=5))
def test_n_updates_are_n_events_whatever_their_values(sent: list[tuple[str, Any]]) -> None:
    written = [
        events.encode(events.Updated(RUN, n, encoded(prop, value)))
        for n, (prop, value) in enumerate(sent, 1)
    ]
    wire = sse.with_ids("e", 1, written)
    got = [json.loads(event.data)["set"][0][1] for event in parse(wire)]
    assert got == as_json([{prop: value} for prop, value in sent])
    assert [event.event for event in parse(wire)] == ["update"] * len(sent)
    assert [event.id for event in parse(wire)] == [f"e-{n}" for n in range(1, len(sent) + 1)]


@given(st.lists(values, min_size=1, max_size=5))
def test_n_updates_are_n_events_for_an_independent_client(sent: list[Any]) -> None:
    wire = b"".join(
        events.encode(events.Updated(RUN, n, encoded("children", value)))
        for n, value in enumerate(sent)
    )
    answer = httpx.Response(200, headers={"Content-Type": "text/event-stream"}, content=wire)
    got = [json.loads(event.data) for event in EventSource(answer).iter_sse()]
    assert [one["set"][0][1]["children"] for one in got] == as_json(sent)


@given(values)
def test_an_event_is_one_line_of_data_so_that_a_value_cannot_end_it(
    value: Any,
) -> None:
    wire = events.encode(events.Updated(RUN, 1, encoded("children", value)))
    assert re.fullmatch(rb"event: update\ndata: [^\r\n]*\n\n", wire)
    assert b"\0" not in wire


def as_json(value: Any) -> Any:
    """Returns a value as JSON has it: two halves of a surrogate pair are one character."""
    return json.loads(json.dumps(value))


def encoded(prop: str, value: Any) -> bytes:
    return events.encode_update(stream_props("out", {prop: value}), MIB)


@pytest.mark.parametrize("character", ["\r", "\n", "\r\n", "\0"])
@pytest.mark.parametrize("form", ["{}", "a{}", "a{}b", "{}b"])
def test_line_ends_and_nul_in_component_ids_are_refused(character: str, form: str) -> None:
    text = form.format(character)
    for component_id in (text, {"type": text, "index": 1}, {text: "x"}):
        with pytest.raises(UpdateError, match="without CR, LF and NUL, got"):
            stream_props(component_id, {"children": 1})
        with pytest.raises(UpdateError, match="without CR, LF and NUL, got"):
            stream_props([("fine", {"children": 1}), (component_id, {"children": 1})])


@pytest.mark.parametrize("component_id", ["häuser", "日本", "a b", "a\tb", "\U0001f600", "a\u2028"])
def test_other_characters_in_component_ids_are_accepted(component_id: str) -> None:
    assert stream_props(component_id, {"children": 1}).targets[0][0] == component_id


def test_an_event_has_one_of_six_names_which_no_value_can_change(page: Page) -> None:
    seen = set()
    for component in ("count", "fails-middle", "unsendable"):
        stream = Stream(page.url("start"), page.body(component, 3))
        seen |= {event.name for event in stream.events()}
    assert seen <= NAMES


def test_a_component_id_with_line_ends_ends_the_run_and_nothing_else(page: Page) -> None:
    body = page.body("ids", "out\n\nevent: end\ndata: {}")
    events = list(Stream(page.url("start"), body).events())
    assert [event.name for event in events] == ["open", "start", "end", "close"]
    assert events[2].data["run"] == body["flash_events"]["run"]
    assert events[2].data["error"]["code"] == "callback_error"
    assert "without CR, LF and NUL" in page.served.log()


def test_an_event_over_its_limit_is_an_error_of_its_run_and_the_connection_lives(
    page: Page,
) -> None:
    first = page.body("waits", 60)
    connection = first["flash_events"]["connection"]
    stream = Stream(page.url("start"), first)
    read_until(stream, "update")
    too_big = page.body("big", MIB, connections=[connection])
    assert page.post("start", too_big).status_code == 202
    end = read_until(stream, "end")[-1].data
    assert (end["run"], end["reason"]) == (too_big["flash_events"]["run"], "error")
    assert "max_event_bytes=1,048,576" in page.served.log()
    fits = page.body("big", MIB - 100, connections=[connection])
    assert page.post("start", fits).status_code == 202
    end = read_until(stream, "end")[-1].data
    assert (end["run"], end["reason"]) == (fits["flash_events"]["run"], "done")
    page.stop(first["flash_events"]["run"])
    assert read_until(stream, "end")[-1].data["reason"] == "cancelled"
    stream.close()


@pytest.mark.parametrize("where", FAILURES)
def test_an_exception_reaches_the_browser_as_a_code_and_a_reference_only(
    page: Page, where: str
) -> None:
    with page.client.stream("POST", page.url("start"), json=page.body(f"fails-{where}")) as got:
        said = got.read().decode()
    assert SECRET not in said
    assert "ValueError" not in said
    assert "Traceback" not in said
    assert ".py" not in said
    assert "fails" not in said
    assert '"at":' not in said
    [ref] = re.findall(r'"error":\{"code":"callback_error","ref":"([0-9a-f]{8})"\}', said)
    assert ref in page.served.log()


def test_every_stream_has_headers_against_storing_changing_and_buffering(page: Page) -> None:
    body = page.body("waits", 60)
    started = Stream(page.url("start"), body)
    read_until(started, "update")
    resume = page.resume(body["flash_events"]["connection"])
    resumed = Stream(page.url("resume"), resume)
    for stream in (started, resumed):
        assert stream.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert stream.headers["Cache-Control"] == "no-store, no-transform"
        assert stream.headers["X-Accel-Buffering"] == "no"
        assert stream.headers["Access-Control-Allow-Origin"] is None
    page.stop(body["flash_events"]["run"])
    resumed.close()
    started.close()


def test_ids_are_never_in_a_log_not_even_of_a_chatty_server(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with (
        serving("tests.apps.chatty", tmp_path_factory.mktemp("chatty")) as served,
        opened(served) as page,
    ):
        bodies = [page.body(name, 1) for name in ("count", "fails-middle", "stubborn", "idle")]
        last = bodies[-1]["flash_events"]
        for body in bodies[:-1]:
            read_until(Stream(page.url("start"), body), "end")
        stream = Stream(page.url("start"), bodies[-1])
        events = read_until(stream, "update")
        stream.reset()
        read_until(
            Stream(page.url("resume"), page.resume(last["connection"], events[-1].id)), "open"
        )
        for refused in (page.resume(RUN), page.resume(last["connection"], "x-1")):
            with pytest.raises(Refusal):
                Stream(page.url("resume"), refused)
        page.stop(last["run"], RUN)
        served.wait_for_mark("idle finally")
        log = served.log()
        assert "DEBUG" in log
        assert "POST /_dash-flash-events/start" in log  # the access log, too
        assert "tests.apps.faults.failing.<locals>.fails failed" in log
        ids = {body["flash_events"][name] for body in bodies for name in ("run", "connection")}
        ids |= {page.page, RUN, *(event.id for event in events if event.id)}
        assert [one for one in ids if one in log] == []
