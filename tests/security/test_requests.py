"""Requests that the endpoint refuses, and that a refusal reveals nothing."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from flash_events.plugin import ACTIONS
from tests.apps.backend import BACKEND
from tests.support.page import Page, new_id, opened
from tests.support.server import Served, serving, wait_until
from tests.support.socket_client import Stream, behind, read_until

MIB = 1024 * 1024


@pytest.fixture
def page(faulty: Served) -> Iterator[Page]:
    with opened(faulty) as page:
        yield page


def refused(response: httpx.Response, status: int, code: str) -> None:
    assert (response.status_code, response.json()["error"]) == (status, code)
    assert response.headers["content-type"] == "application/json"
    limit = {"limit"} if code == "too_many" else set()
    assert set(response.json()) == {"error", "message"} | limit


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"],
)
def test_only_json_is_accepted_which_a_form_of_another_site_cannot_send(
    page: Page, action: str, content_type: str
) -> None:
    body = json.dumps(page.body("count", 1))
    headers = {"Content-Type": content_type} if content_type else {}
    response = page.client.post(page.url(action), content=body, headers=headers)
    refused(response, 415, "content_type")


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://[evil"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example", "X-Forwarded-Host": "evil.example"},
    ],
)
def test_a_foreign_origin_is_refused(page: Page, action: str, headers: dict[str, str]) -> None:
    began = len(page.served.marks("count began"))
    refused(page.post(action, page.body("count", 1), **headers), 403, "origin")
    assert len(page.served.marks("count began")) == began


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("times", [1, 3])
def test_a_body_over_the_limit_is_refused_with_and_without_its_length(
    page: Page, action: str, times: int
) -> None:
    """Only starts have large bodies."""
    most = 16 * MIB if action == "start" else MIB
    content = json.dumps({"x": "x" * most * times}).encode()
    headers = {"Content-Type": "application/json"}
    response = page.client.post(page.url(action), content=content, headers=headers)
    refused(response, 413, "too_large")
    if BACKEND == "quart":  # on FastAPI, Dash has read it before
        assert response.headers["connection"] == "close"
    chunks = (content[at : at + 65536] for at in range(0, len(content), 65536))
    refused(page.client.post(page.url(action), content=chunks, headers=headers), 413, "too_large")


def test_an_unknown_and_a_foreign_callback_get_the_same_response(page: Page) -> None:
    ordinary = next(entry["output"] for entry in page.entries if "flash_events" not in entry)
    wanted = ("0" * 32, ordinary, "", "__proto__", page.callback("count")["output"] + "\0")
    answers = []
    for output in wanted:
        answer = page.post("start", {**page.body("count", 1), "output": output})
        refused(answer, 404, "unknown_callback")
        answers.append(answer.content)
    assert len(set(answers)) == 1


def test_a_callback_of_another_app_on_the_same_server_is_as_unknown(tmp_path: Path) -> None:
    with (
        serving("tests.apps.embedded:server", tmp_path, path="/one/") as one,
        opened(one) as page,
    ):
        other = Page(behind(one, one.url.replace("/one/", "/two/")))
        foreign = {**page.body("start"), "output": other.callback("only-here")["output"]}
        unknown = {**page.body("start"), "output": "0" * 32}
        other.client.close()
        answers = [page.post("start", body) for body in (foreign, unknown)]
        for answer in answers:
            refused(answer, 404, "unknown_callback")
        assert answers[0].content == answers[1].content


@pytest.mark.parametrize("name", ["run", "page", "connection"])
@pytest.mark.parametrize(
    "value",
    [
        "",
        "short",
        "A" * 21,
        "A" * 23,
        "A" * 21 + "\n",
        "A" * 22 + "\n",
        "A" * 21 + "\r",
        "A" * 21 + "\0",
        "A" * 21 + "/",
        "\ud800" * 22,
        "\uff21" * 22,
        "../../../../etc/passwd",
        "__proto__",
        None,
        7,
        ["A" * 22],
        {"$gt": ""},
    ],
)
def test_an_id_that_is_not_128_random_bits_is_refused(page: Page, name: str, value: Any) -> None:
    body = page.body("count", 1, **{name: value})
    refused(page.client.post(page.url("start"), **as_json(body)), 400, "bad_request")


@pytest.mark.parametrize("name", ["connections", "replaces"])
@pytest.mark.parametrize("value", [["A" * 21 + "\n"], [None], "A" * 22, {}, ["A" * 22] * 513])
def test_lists_of_ids_are_checked_too(page: Page, name: str, value: Any) -> None:
    refused(page.post("start", page.body("count", 1, **{name: value})), 400, "bad_request")


@pytest.mark.parametrize(
    "last",
    ["x-1\r\nid: y", "x-1\n", "x\0-1", "\ud800-1", "x" * 65, "x-1 ", "x-\u0661", 1, None, ["x-1"]],
)
def test_an_event_id_with_line_ends_or_nul_is_refused(page: Page, last: Any) -> None:
    body = page.body("waits", 60)
    stream = Stream(page.url("start"), body)
    read_until(stream, "update")
    resume = page.resume(body["flash_events"]["connection"], last)
    refused(page.client.post(page.url("resume"), **as_json(resume)), 400, "bad_request")
    page.stop(body["flash_events"]["run"])
    stream.close()


def as_json(body: Any) -> dict[str, Any]:
    """Formats as JSON, including lone surrogates, which httpx would not write."""
    return {
        "content": json.dumps(body).encode(),
        "headers": {"Content-Type": "application/json"},
    }


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b'"x"'])
@pytest.mark.parametrize("action", ACTIONS)
def test_an_invalid_request_is_refused_without_side_effects(
    page: Page, action: str, body: bytes
) -> None:
    headers = {"Content-Type": "application/json"}
    refused(page.client.post(page.url(action), content=body, headers=headers), 400, "bad_request")


def test_an_unknown_and_a_malformed_connection_reveal_nothing(page: Page) -> None:
    answers = [page.post("resume", page.resume(new_id(), last)) for last in ("", "x-1")]
    for answer in answers:
        refused(answer, 404, "lost")
    assert answers[0].content == answers[1].content


@pytest.mark.parametrize(
    ("setting", "component"),
    [
        ("MAX_RUNS", "waits"),
        ("MAX_RUNS_PER_PAGE", "waits"),
        ("MAX_RUNS_PER_CONNECTION", "waits"),
        ("MAX_THREADS", "plain"),
    ],
)
def test_more_runs_than_allowed_are_refused_until_slots_come_back(
    tmp_path: Path, setting: str, component: str
) -> None:
    limit: Any = {f"FLASH_EVENTS_{setting}": "2"}
    with serving("tests.apps.faults:server", tmp_path, **limit) as served, opened(served) as page:
        first = page.body(component, 60)
        connection = first["flash_events"]["connection"]
        stream = Stream(page.url("start"), first)
        read_until(stream, "open")
        second, third = (page.body(component, 60, connections=[connection]) for _ in range(2))
        assert page.post("start", second).status_code == 202
        for _ in range(3):
            too_many(page.post("start", third), setting)
        assert page.post("start", second).status_code == 202  # repeated, it is no further one
        page.stop(first["flash_events"]["run"])
        wait_until(lambda: page.post("start", third).status_code == 202, 2, "a free slot")
        page.stop(*(body["flash_events"]["run"] for body in (second, third)))
        assert [event.name for event in stream.events()][-1] == "close"


@pytest.mark.parametrize("setting", ["MAX_CONNECTIONS", "MAX_CONNECTIONS_PER_PAGE"])
def test_more_connections_than_allowed_are_refused_until_slots_come_back(
    tmp_path: Path, setting: str
) -> None:
    limits: Any = {f"FLASH_EVENTS_{setting}": "2", "FLASH_EVENTS_GRACE_SECONDS": "0.3"}
    with serving("tests.apps.faults:server", tmp_path, **limits) as served, opened(served) as page:
        streams = [Stream(page.url("start"), page.body("waits", 60)) for _ in range(2)]
        for stream in streams:
            read_until(stream, "update")
        for _ in range(3):
            too_many(page.post("start", page.body("waits", 60)), setting)
        with opened(served) as other:
            wanted = other.body("count", 1)
            if setting == "MAX_CONNECTIONS":
                too_many(other.post("start", wanted), setting)
            else:
                assert other.post("start", wanted).status_code == 200
        streams[0].reset()  # its slot is free after the grace
        wait_until(
            lambda: page.post("start", page.body("count", 1)).status_code == 200, 2, "a slot"
        )
        streams[1].close()


def too_many(answer: httpx.Response, setting: str) -> None:
    """Asserts a temporary refusal (429) by this limit."""
    refused(answer, 429, "too_many")
    assert answer.json()["message"].endswith(f"the limit is the setting {setting.lower()}.")
    assert answer.json()["limit"] == setting.lower()
    assert int(answer.headers["retry-after"]) > 0
