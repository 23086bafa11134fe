"""With `identify`, another user's resources look like missing ones."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx_sse import ServerSentEvent

from tests.apps.users import SECRET
from tests.support.page import Page, data, new_id, opened
from tests.support.redis_server import dump, redis_server
from tests.support.server import Served, serving

ALICE = "alice.arlington@example.org"
MALLORY = "mallory.malone@example.org"


@pytest.fixture(scope="module", params=["memory", "redis"])
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    is_memory = request.param == "memory"
    broker = "memory://" if is_memory else request.getfixturevalue("redis_url")
    with serving_users(tmp_path_factory.mktemp("users"), FLASH_EVENTS_BROKER=broker) as served:
        yield served


@contextmanager
def serving_users(directory: Path, **environment: Any) -> Iterator[Served]:
    with serving(
        "tests.apps.users:server",
        directory,
        FLASH_EVENTS_LINGER_SECONDS="0.1",  # many tests read until a connection is closed
        **environment,
    ) as served:
        yield served


@contextmanager
def page_of(served: Served, user: str) -> Iterator[Page]:
    with opened(served) as page:
        page.client.cookies.set("user", user)
        page.client.headers["X-User"] = user
        yield page


@pytest.fixture
def alice(served: Served) -> Iterator[Page]:
    with page_of(served, ALICE) as page:
        yield page


@pytest.fixture
def mallory(served: Served) -> Iterator[Page]:
    with page_of(served, MALLORY) as page:
        yield page


def attach(page: Page, run: str, **fields: Any) -> dict[str, Any]:
    runs = [{"run": run, "seen": 0}]
    ids = {"page": page.page, "connection": new_id(), "connections": []}
    return {"flash_events": {"version": 1, "runs": runs, **ids, **fields}}


def answered(response: httpx.Response, *names: str) -> tuple[int, dict[str, str], bytes]:
    """Returns a response without its date and its request."""
    headers = {name: value for name, value in response.headers.items() if name != "date"}
    content = response.content
    for n, name in enumerate(names):
        content = content.replace(name.encode(), b"<%d>" % n)
    lines = content.split(b"\n")
    epochs = dict.fromkeys(line.rpartition(b"-")[0] for line in lines if line.startswith(b"id: "))
    for epoch in epochs:
        content = content.replace(epoch, b"id: epoch")
    return response.status_code, headers, content


def watched(events: Iterator[ServerSentEvent]) -> str:
    """Reads up to an update from now on; returns its id."""
    now = time.time()
    for event in events:
        assert event.event != "end"
        if event.event == "update" and data(event)["set"][0][1]["children"] > now + 0.2:
            return event.id
    raise AssertionError("the stream has ended")


def ids(body: dict[str, Any]) -> tuple[str, str]:
    fields = body["flash_events"]
    return fields["run"], fields["connection"]


@pytest.mark.parametrize("component", ["watch", "keep"])
def test_a_run_of_another_user_cannot_be_stopped_and_the_response_does_not_reveal_it(
    alice: Page, mallory: Page, component: str
) -> None:
    body = alice.body(component)
    run, _ = ids(body)
    with alice.stream("start", body) as events:
        watched(events)
        for page in (alice.page, mallory.page):  # nor by a user who has learnt the page's id
            fields = {"version": 1, "page": page}
            callbacks = [body["output"]]
            foreign, unknown = (
                mallory.post("stop", {"flash_events": {**fields, "runs": [one]}})
                for one in (run, new_id())
            )
            assert answered(foreign) == answered(unknown)
            mallory.post("stop", {"flash_events": {**fields, "callbacks": callbacks}})
        watched(events)
        alice.stop(run)
        ended = next(event for event in events if event.event == "end")
        assert data(ended)["reason"] == "cancelled"


def test_a_run_of_another_user_is_not_replaced(alice: Page, mallory: Page) -> None:
    body = alice.body("watch")
    run, _ = ids(body)
    with alice.stream("start", body) as events:
        watched(events)
        mallory.post("start", mallory.body("brief", replaces=[run]))
        watched(events)
        alice.stop(run)


def test_a_connection_of_another_user_cannot_be_resumed(alice: Page, mallory: Page) -> None:
    body = alice.body("watch")
    run, connection = ids(body)
    with alice.stream("start", body) as events:
        last = watched(events)
        answers = [
            answered(mallory.post("resume", mallory.resume(one, after)))
            for one in (connection, new_id())
            for after in ("", last, "x-1")
        ]
        assert answers[0][0] == 404
        assert answers == [answers[0]] * 6
        watched(events)  # and its own reader is not disturbed
        alice.stop(run)


def test_a_connection_of_another_user_cannot_be_joined(alice: Page, mallory: Page) -> None:
    body = alice.body("watch")
    run, connection = ids(body)
    with alice.stream("start", body) as events:
        watched(events)
        answers = []
        for one in (connection, new_id()):
            asked = mallory.body("brief", connections=[one])
            answers.append(answered(mallory.post("start", asked), *ids(asked)))
        assert answers[0][0] == 200
        assert b"two" in answers[0][2]
        assert answers[0] == answers[1]
        alice.stop(run)
        assert {data(event).get("run", run) for event in events} == {run}


def test_a_start_cannot_use_the_ids_of_another_user(
    alice: Page, mallory: Page, served: Served
) -> None:
    body = alice.body("watch")
    run, connection = ids(body)
    with alice.stream("start", body) as events:
        watched(events)
        began = len(served.marks("brief began"))
        unknown = answered(mallory.post("resume", mallory.resume(new_id())))
        for fields in (
            {"connection": connection},
            {"run": run},
            {"run": run, "connections": [connection]},
        ):
            assert answered(mallory.post("start", mallory.body("brief", **fields))) == unknown
        assert len(served.marks("brief began")) == began
        watched(events)
        alice.stop(run)


def test_a_stop_of_another_user_does_not_affect_an_own_start(alice: Page, mallory: Page) -> None:
    asked = mallory.body("brief")
    alice.stop(ids(asked)[0])
    assert mallory.post("start", asked).status_code == 200  # for her it is an unknown one
    asked = mallory.body("brief")
    mallory.stop(ids(asked)[0])
    assert mallory.post("start", asked).status_code == 410


@pytest.mark.parametrize("component", ["watch", "keep"])
def test_a_run_of_another_user_cannot_be_attached_to(
    alice: Page, mallory: Page, component: str
) -> None:
    body = alice.body(component)
    run, connection = ids(body)
    with alice.stream("start", body) as events:
        watched(events)
        answers = []
        for one in (run, new_id()):
            asked = attach(mallory, one)
            opens = asked["flash_events"]["connection"]
            answers.append(answered(mallory.post("attach", asked), one, opens))
        assert answers[0][0] == 200
        assert b'"reason":"lost"' in answers[0][2]
        assert b"children" not in answers[0][2]
        assert answers[0] == answers[1]
        foreign, unknown = (
            mallory.post("attach", attach(mallory, new_id(), connection=one))
            for one in (connection, connection[::-1])
        )
        assert (foreign.status_code, unknown.status_code) == (404, 200)
        watched(events)
        alice.stop(run)


def test_a_kept_run_can_be_attached_to_from_another_page_of_the_same_user(
    alice: Page, served: Served
) -> None:
    body = alice.body("keep")
    run, _ = ids(body)
    with alice.stream("start", body) as events:
        watched(events)
    with (
        page_of(served, ALICE) as again,
        again.stream("attach", attach(again, run)) as events,
    ):
        watched(events)
        fields = {"version": 1, "page": again.page, "callbacks": [body["output"]]}
        again.post("stop", {"flash_events": fields})
        ended = next(event for event in events if event.event == "end")
        assert data(ended)["reason"] == "cancelled"


def test_the_user_is_identified_again_at_every_resume(alice: Page) -> None:
    body = alice.body("watch")
    run, connection = ids(body)
    with alice.stream("start", body) as events:
        last = watched(events)
    asked = alice.resume(connection, last)
    alice.client.cookies.set("user", MALLORY)
    unknown = answered(alice.post("resume", alice.resume(new_id(), last)))
    assert answered(alice.post("resume", asked)) == unknown
    assert unknown[0] == 404
    alice.client.cookies.clear()
    assert alice.post("resume", asked).status_code == 403
    alice.client.cookies.set("user", ALICE)
    with alice.stream("resume", asked) as events:
        watched(events)
        alice.stop(run)


ASKED = ("start", "resume", "attach", "stop")


@pytest.mark.parametrize("action", ASKED)
def test_an_unidentified_user_is_refused(served: Served, action: str) -> None:
    with opened(served) as page:
        answer = page.post(action, page.body("brief"))
        assert (answer.status_code, answer.json()["error"]) == (403, "identity")
        page.client.cookies.set("user", "")
        assert page.post(action, page.body("brief")).content == answer.content


@pytest.mark.parametrize(("way", "logged"), [("failing", SECRET), ("wrong", "got dict")])
def test_a_failed_identify_refuses_the_request_and_is_only_logged(
    tmp_path: Path, way: str, logged: str
) -> None:
    with serving_users(tmp_path, IDENTIFY=way) as served, page_of(served, ALICE) as page:
        for action in ASKED:
            answer = page.post(action, page.body("brief"))
            assert (answer.status_code, answer.json()["error"]) == (403, "identity")
            for word in (SECRET, "LookupError", "TypeError", "Traceback", "dict"):
                assert word not in answer.text
                assert word not in str(answer.headers)
        assert logged in served.log()
        assert served.log().count("Traceback") == len(ASKED)
        assert (SECRET in served.log()) is (way == "failing")  # what it returned may be a name
        assert served.marks("brief began") == []


def test_identify_may_be_async_and_holds_across_machines_without_leaving_a_name_anywhere(
    tmp_path: Path,
) -> None:
    homes = [tmp_path / name for name in ("redis", "one", "two")]
    for home in homes:
        home.mkdir()
    settings: Any = {"IDENTIFY": "header"}
    with (
        redis_server(homes[0]) as redis,
        serving_users(homes[1], FLASH_EVENTS_BROKER=redis.url, **settings) as one,
        serving_users(homes[2], FLASH_EVENTS_BROKER=redis.url, **settings) as two,
        page_of(one, ALICE) as here,
        page_of(two, ALICE) as there,
        page_of(two, MALLORY) as mallory,
    ):
        body, kept = here.body("watch"), here.body("keep")
        run, connection = ids(body)
        with here.stream("start", body) as events:
            watched(events)
            kept["flash_events"]["connections"] = [connection]
            assert here.post("start", kept).status_code == 202
            unknown = answered(mallory.post("resume", mallory.resume(new_id())))
            assert answered(mallory.post("resume", mallory.resume(connection))) == unknown
            foreign = attach(mallory, ids(kept)[0])
            assert b'"reason":"lost"' in mallory.post("attach", foreign).content
            mallory.stop(run, ids(kept)[0])
            last = watched(events)
            seen = dump(redis.client)
        with there.stream("resume", there.resume(connection, last)) as events:
            watched(events)
            seen += dump(redis.client)
            there.stop(run, ids(kept)[0])
        one.wait_for_mark("watch finally")
        one.wait_for_mark("keep finally")
        seen += dump(redis.client)
        kinds = {entry.kind for entry in seen}
        assert {"run", "kept", "meta", "runs", "log", "lease", "inbox"} <= kinds
        said = one.log() + two.log() + " ".join(f"{entry.key} {entry.text}" for entry in seen)
        for user in (ALICE, MALLORY):
            for part in (user, user.partition("@")[0], user.split(".")[0]):
                assert part not in said.lower()
