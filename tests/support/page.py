"""A page's client of the endpoint, with an independent HTTP client."""

import json
import secrets
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import httpx
from httpx_sse import EventSource, ServerSentEvent

from tests.support.server import Served


def new_id() -> str:
    return secrets.token_urlsafe(16)


class Page:
    """Sends requests like a page; with cookies if the app needs a login."""

    def __init__(self, served: Served, cookies: httpx.Cookies | None = None) -> None:
        self.served = served
        self.client = httpx.Client(timeout=15, cookies=cookies)
        self.page = new_id()
        self.entries = self.client.get(f"{served.url}_dash-dependencies").json()

    def callback(self, component_id: str) -> Any:
        """Returns the entry of the event callback that listens to a component."""
        return next(
            entry
            for entry in self.entries
            if "flash_events" in entry and entry["inputs"][0]["id"] == component_id
        )

    def body(self, component_id: str, value: object = 1, **fields: Any) -> dict[str, Any]:
        entry = self.callback(component_id)
        return {
            "output": entry["output"],
            "inputs": [{**entry["inputs"][0], "value": value}],
            "state": [{**state, "value": "S"} for state in entry["state"]],
            "changedPropIds": [f"{component_id}.n_clicks"],
            "flash_events": {
                "version": 1,
                "run": new_id(),
                "page": self.page,
                "connection": new_id(),
                "connections": [],
                **fields,
            },
        }

    def post(self, action: str, body: object, **headers: str) -> httpx.Response:
        return self.client.post(f"{self.url(action)}", json=body, headers=headers)

    @contextmanager
    def stream(self, action: str, body: object) -> Iterator[Iterator[ServerSentEvent]]:
        with self.client.stream("POST", self.url(action), json=body) as response:
            assert response.status_code == 200, response.read()
            yield EventSource(response).iter_sse()

    def resume(self, connection: str, last: str = "") -> dict[str, Any]:
        return {"flash_events": {"version": 1, "connection": connection, "lastEventId": last}}

    def stop(self, *runs: str) -> httpx.Response:
        fields = {"version": 1, "page": self.page, "runs": runs}
        return self.post("stop", {"flash_events": fields})

    def url(self, action: str) -> str:
        return f"{self.served.url}_dash-flash-events/{action}"


@contextmanager
def opened(served: Served, cookies: httpx.Cookies | None = None) -> Iterator[Page]:
    """A page with TCP connections of its own."""
    page = Page(served, cookies)
    with closing(page.client):
        yield page


def data(event: ServerSentEvent) -> Any:
    return json.loads(event.data)


def time_of(response: httpx.Response) -> float:
    """Returns the time of the server's response, or a little later."""

    assert response.status_code == 202
    return time.time() - response.elapsed.total_seconds()


def sets(
    events: Iterator[ServerSentEvent] | list[ServerSentEvent],
    component_id: str,
    prop: str = "children",
) -> list[Any]:
    """Returns the values that a component's prop was set to."""
    return [
        props[prop]
        for event in events
        if event.event in ("update", "end")
        for target, props in data(event).get("set", ())
        if target == component_id
    ]


def all_of(page: Page, name: str) -> list[ServerSentEvent]:
    """Starts a run and reads it to its end."""
    with page.stream("start", page.body(name)) as events:
        return list(events)


def end_of(events: list[ServerSentEvent]) -> Any:
    [end] = [data(event) for event in events if event.event == "end"]
    return end


def read_until(events: Iterator[ServerSentEvent], text: str) -> None:
    """Reads until the text of `out` starts with a prefix."""
    for event in events:
        if any(str(shown).startswith(text) for shown in sets([event], "out")):
            return
    raise AssertionError(f"{text!r} did not come")


def reasons(events: Any) -> list[str]:
    """Returns the reasons of ended runs."""
    return [data(event)["reason"] for event in events if event.event == "end"]
