"""Validation of requests: headers and bodies that are refused, each with its status."""

from typing import Any

import pytest

from flash_events import Settings
from flash_events.errors import Refused
from flash_events.wire import requests

ID = "A" * 22
HEADERS = {
    "content-type": "application/json",
    "content-length": "2",
    "host": "app.example",
    "sec-fetch-site": "same-origin",
}
START: dict[str, Any] = {
    "output": "callback",
    "inputs": [],
    "state": [],
    "changedPropIds": [],
    "flash_events": {"version": 1, "run": ID, "page": ID, "connection": ID},
}


def with_headers(**changed: str | None) -> dict[str, str]:
    merged = {**HEADERS, **{name.replace("_", "-"): value for name, value in changed.items()}}
    return {name: value for name, value in merged.items() if value is not None}


@pytest.mark.parametrize(
    "headers",
    [
        with_headers(),
        with_headers(content_type="application/json; charset=utf-8"),
        with_headers(sec_fetch_site=None),  # curl
        with_headers(sec_fetch_site=None, origin="https://app.example"),
        with_headers(sec_fetch_site="cross-site", origin="https://portal.example"),
    ],
)
def test_a_request_of_the_apps_own_or_an_allowed_origin_is_accepted(
    headers: dict[str, str],
) -> None:
    requests.check_headers(headers, Settings(allowed_origins=("https://portal.example",)))


def test_the_forwarded_host_counts_only_if_it_is_trusted() -> None:
    headers = with_headers(sec_fetch_site="same-site", origin="https://public.example") | {
        "x-forwarded-host": "public.example"
    }
    requests.check_headers(headers, Settings(trust_forwarded_host=True))
    with pytest.raises(Refused, match="trust_forwarded_host"):
        requests.check_headers(headers, Settings())


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (with_headers(sec_fetch_site="cross-site", origin="https://evil.example"), 403),
        (with_headers(sec_fetch_site="same-site", origin="https://evil.app.example"), 403),
        (with_headers(sec_fetch_site="cross-site", origin="null"), 403),
        (with_headers(sec_fetch_site="none"), 403),
        (with_headers(sec_fetch_site=None, origin="https://evil.example"), 403),
        (with_headers(sec_fetch_site=None, origin="http://["), 403),
        (with_headers(sec_fetch_site=None, origin="http://[", host=None), 403),  # S19
        (with_headers(sec_fetch_site=None, origin="null", host=None), 403),
        (with_headers(sec_fetch_site=None, origin="null", host=""), 403),
        (with_headers(sec_fetch_site="cross-site", origin="null", host=""), 403),
        (with_headers(content_type="text/plain"), 415),
        (with_headers(content_type=None), 415),
    ],
)
def test_a_wrong_header_is_refused(headers: dict[str, str], status: int) -> None:
    with pytest.raises(Refused) as raised:
        requests.check_headers(headers, Settings())
    assert raised.value.status == status


def without(name: str) -> dict[str, Any]:
    fields = {key: value for key, value in START["flash_events"].items() if key != name}
    return {**START, "flash_events": fields}


def with_field(name: str, value: object) -> dict[str, Any]:
    return {**START, "flash_events": {**START["flash_events"], name: value}}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ([], 400),
        ({}, 400),
        ({**START, "inputs": "x"}, 400),
        ({**START, "output": None}, 400),
        (without("run"), 400),
        (without("connection"), 400),
        (with_field("run", "short"), 400),
        (with_field("run", "A" * 21 + "\n"), 400),
        (with_field("run", "A" * 21 + "/"), 400),
        (with_field("connections", ["x"]), 400),
        (with_field("connections", {}), 400),
        (with_field("replaces", [ID] * 513), 400),
        (without("version"), 409),
        (with_field("version", 2), 409),
    ],
)
def test_a_wrong_start_is_refused(body: Any, status: int) -> None:
    with pytest.raises(Refused) as raised:
        requests.parse_start(body)
    assert raised.value.status == status


def test_a_start_is_parsed() -> None:
    request = requests.parse_start(with_field("connections", [ID]))
    assert (request.run, request.connections, request.replaces) == (ID, (ID,), ())


def test_another_version_requests_a_reload() -> None:
    with pytest.raises(Refused, match="Reload the page"):
        requests.parse_resume(with_field("version", 99))


@pytest.mark.parametrize("last", [7, "x" * 65])
def test_a_wrong_event_id_is_refused(last: object) -> None:
    with pytest.raises(Refused, match="lastEventId"):
        requests.parse_resume(with_field("lastEventId", last))


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[" * 100_000])
def test_a_body_other_than_json_is_refused(text: bytes) -> None:
    with pytest.raises(Refused, match="Expected a JSON body"):
        requests.parse_json(text)
