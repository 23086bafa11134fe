"""Updates that a page refuses to apply, and the visibility of its ids."""

import json
import re
from typing import Any

from playwright.sync_api import Request

from tests.apps.faults import POISONED
from tests.support.tab import WITHOUT_WORKER, Tab

POLLUTED = "({}).polluted ?? [].polluted ?? (() => 0).polluted ?? Object.polluted ?? null"


def test_names_of_every_object_are_refused_as_props(tab: Tab) -> None:
    tab.click("poison")
    tab.wait_for("answer", "poisoned")
    assert tab.page.evaluate(POLLUTED) is None
    for name in POISONED:
        assert any(name in warning for warning in tab.warnings), name


def test_names_of_every_object_are_unknown_as_ids(tab: Tab) -> None:
    tab.click("poisoned-ids")
    tab.wait_for("answer", "poisoned")
    assert tab.page.evaluate(POLLUTED) is None
    tab.click("ordinary")
    tab.wait_for("answer", "answer 1")
    for name in POISONED:
        assert any(name in warning for warning in tab.warnings), name


def test_ids_are_128_random_bits_in_bodies_and_never_in_a_url(tab: Tab) -> None:
    tab.page.add_init_script(WITHOUT_WORKER)  # Playwright does not see a worker's requests
    tab.page.reload()
    tab.page.wait_for_selector("button")
    posted: list[Request] = []
    tab.page.on("request", lambda request: posted.append(request))
    tab.click("endless")
    tab.wait_for("out", "endless")
    tab.click("fails-before")
    tab.wait_for("answer", "before failed")
    tab.click("halt")
    tab.wait_for("message", "reset")
    ours = [request for request in posted if "/_dash-flash-events/" in request.url]
    assert {request.url.rpartition("/")[2] for request in ours} == {"start", "stop"}
    ids = [one for request in ours for one in ids_of(json.loads(request.post_data or "{}"))]
    assert len(set(ids)) >= 4  # the page, a connection, two runs
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{22}", one) for one in ids)
    shown = [*(request.url for request in posted), tab.page.url, *map(headers_of, posted)]
    assert [one for one in ids if any(one in text for text in shown)] == []


def ids_of(body: Any) -> list[str]:
    fields = body["flash_events"]
    single = [fields[name] for name in ("run", "page", "connection") if name in fields]
    return [*single, *(one for name in ("runs", "connections") for one in fields.get(name, []))]


def headers_of(request: Request) -> str:
    return json.dumps(request.headers)
