"""The endpoint under a real hypercorn, with independent HTTP clients."""

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.apps.backend import BACKEND
from tests.support.page import Page, data, new_id, opened, time_of
from tests.support.server import Served, serving, wait_until


@pytest.fixture
def page(kitchen: Served) -> Iterator[Page]:
    with opened(kitchen) as page:
        yield page


def test_the_response_to_a_start_is_the_stream(page: Page) -> None:
    body = page.body("fail")
    with page.stream("start", body) as events:
        seen = list(events)
    assert [event.event for event in seen] == ["open", "start", "update", "end", "close"]
    assert data(seen[0])["connection"] == body["flash_events"]["connection"]
    assert data(seen[2]) == {
        "run": body["flash_events"]["run"],
        "n": 1,
        "set": [["message", {"children": "streaming"}]],
    }
    end = data(seen[3])
    assert (end["reason"], end["error"]["code"]) == ("error", "callback_error")
    assert "message" not in end["error"]
    assert end["set"] == [["message", {"children": "sorry: no luck"}]]


def test_a_burst_arrives_complete_and_in_order(page: Page) -> None:
    with page.stream("start", page.body("burst")) as events:
        updates = [data(event) for event in events if event.event == "update"]
    assert [update["n"] for update in updates] == list(range(1, 20_001))
    assert updates[-1]["set"] == [["out", {"children": "burst 20000"}]]


def test_headers_tell_proxies_not_to_buffer(page: Page) -> None:
    with page.client.stream("POST", page.url("start"), json=page.body("fail")) as response:
        response.read()
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-store, no-transform"
    assert response.headers["x-accel-buffering"] == "no"


def test_the_stream_is_readable_in_curl(page: Page) -> None:
    command = ["curl", "-sN", "-H", "Content-Type: application/json", "-d", "@-", page.url("start")]
    shown = subprocess.run(
        command, input=json.dumps(page.body("fail")).encode(), capture_output=True, check=True
    ).stdout.decode()
    assert shown.startswith('event: open\ndata: {"version":1,')
    assert shown.endswith("event: close\ndata: {}\n\n")


def test_a_second_run_uses_the_open_connection(page: Page) -> None:
    first = page.body("endless0")
    connection = first["flash_events"]["connection"]
    with page.stream("start", first) as events:
        assert next(events).event == "open"
        second = page.body("fail", connections=[connection])
        answer = page.post("start", second)
        assert (answer.status_code, answer.json()) == (202, {"connection": connection})
        run = second["flash_events"]["run"]
        end = next(event for event in events if event.event == "end")
        assert data(end)["run"] == run
        page.stop(first["flash_events"]["run"])


def test_an_unknown_connection_is_replaced_by_a_new_stream(page: Page) -> None:
    body = page.body("fail", connections=[new_id()])
    with page.stream("start", body) as events:
        assert data(next(events))["connection"] == body["flash_events"]["connection"]


def test_a_repeated_start_starts_no_second_run(page: Page, kitchen: Served) -> None:
    before = len(kitchen.marks("ticks began"))
    body = page.body("start")
    with page.stream("start", body) as events:
        first = [next(events).event for _ in range(3)]
    with page.stream("start", body) as events:  # its response was lost
        again = [next(events).event for _ in range(3)]
    assert first == again == ["open", "start", "update"]
    assert len(kitchen.marks("ticks began")) == before + 1
    page.stop(body["flash_events"]["run"])


@pytest.mark.deadline
def test_a_stop_runs_finally_within_a_second(page: Page, kitchen: Served) -> None:
    before = len(kitchen.marks("ticks finally"))
    body = page.body("start")
    with page.stream("start", body) as events:
        while next(events).event != "update":
            pass
        asked = time_of(page.stop(body["flash_events"]["run"]))
        end = next(event for event in events if event.event == "end")
    assert data(end)["reason"] == "cancelled"
    done = kitchen.wait_for_mark("ticks finally", before + 1)
    assert done["time"] - asked < 1


def test_stopping_an_unknown_run_does_nothing(page: Page) -> None:
    assert page.stop(new_id()).status_code == 202


def test_a_cut_stream_is_resumed_after_the_last_event(page: Page) -> None:
    body = page.body("start")
    connection = body["flash_events"]["connection"]
    numbers: list[int] = []
    last = ""
    action, request = "start", body
    for _ in range(5):
        with page.stream(action, request) as events:
            for event in events:
                last = event.id or last
                if event.event == "update":
                    numbers.append(data(event)["n"])
                    if len(numbers) % 7 == 0:
                        break
        action, request = "resume", page.resume(connection, last)
    assert numbers == list(range(1, 36))
    page.stop(body["flash_events"]["run"])


def test_the_end_can_be_read_again(page: Page) -> None:
    body = page.body("fail")
    with page.stream("start", body) as events:
        seen = [event.id for event in events]
    with page.stream("resume", page.resume(body["flash_events"]["connection"], seen[2])) as events:
        assert [event.event for event in events] == ["open", "end", "close"]


class TestRefusals:
    """Every refusal is a status with a JSON error, before a stream begins."""

    def refused(self, response: httpx.Response, status: int) -> str:
        assert response.status_code == status
        assert response.headers["content-type"] == "application/json"
        assert set(response.json()) == {"error", "message"}
        return str(response.json()["error"])

    def test_an_unknown_callback(self, page: Page) -> None:
        body = {**page.body("fail"), "output": "unknown"}
        assert self.refused(page.post("start", body), 404) == "unknown_callback"

    def test_an_ordinary_callback_is_as_unknown(self, page: Page) -> None:
        ordinary = next(entry for entry in page.entries if "flash_events" not in entry)
        body = {**page.body("fail"), "output": ordinary["output"]}
        assert self.refused(page.post("start", body), 404) == "unknown_callback"

    def test_an_unknown_connection(self, page: Page) -> None:
        assert self.refused(page.post("resume", page.resume(new_id())), 404) == "lost"

    def test_an_event_that_is_not_kept(self, page: Page) -> None:
        body = page.body("fail")
        with page.stream("start", body) as events:
            list(events)
        connection = body["flash_events"]["connection"]
        assert self.refused(page.post("resume", page.resume(connection, "x-1")), 410) == "lost"

    def test_a_foreign_origin(self, page: Page) -> None:
        response = page.post("start", page.body("fail"), Origin="https://evil.example")
        assert self.refused(response, 403) == "origin"

    def test_a_wrong_content_type(self, page: Page) -> None:
        response = page.client.post(page.url("start"), content=b"{}")
        assert self.refused(response, 415) == "content_type"

    def test_a_body_over_the_limit(self, page: Page) -> None:
        assert self.refused(page.post("start", {"x": "x" * 2**24}), 413) == "too_large"

    def test_mismatched_inputs(self, page: Page) -> None:
        body = {**page.body("fail"), "inputs": []}
        assert self.refused(page.post("start", body), 400) == "bad_inputs"

    def test_another_version(self, page: Page) -> None:
        body = page.body("fail", version=2)
        assert self.refused(page.post("start", body), 409) == "version"


def test_more_runs_than_a_page_may_have_are_refused_and_slots_come_back(tmp_path: Path) -> None:
    with (
        serving(
            "tests.apps.kitchen:server", tmp_path, FLASH_EVENTS_MAX_RUNS_PER_PAGE="2"
        ) as served,
        opened(served) as page,
    ):
        first = page.body("endless0")
        connection = first["flash_events"]["connection"]
        with page.stream("start", first) as events:
            next(events)
            page.post("start", page.body("endless1", connections=[connection]))
            refused = page.post("start", page.body("endless2", connections=[connection]))
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
            page.stop(first["flash_events"]["run"])
            next(event for event in events if event.event == "end")
            again = page.body("endless2", connections=[connection])
            wait_until(lambda: page.post("start", again).status_code == 202, 1, "a free slot")


def test_a_replaced_run_does_not_count_towards_the_limit(tmp_path: Path) -> None:
    with (
        serving(
            "tests.apps.kitchen:server", tmp_path, FLASH_EVENTS_MAX_RUNS_PER_PAGE="1"
        ) as served,
        opened(served) as page,
    ):
        first = page.body("endless0")
        fields = {"connections": [first["flash_events"]["connection"]]}
        with page.stream("start", first) as events:
            next(events)
            assert page.post("start", page.body("endless0", **fields)).status_code == 429
            replacing = page.body("endless0", replaces=[first["flash_events"]["run"]], **fields)
            assert page.post("start", replacing).status_code == 202
            page.stop(replacing["flash_events"]["run"])


def test_a_start_that_arrives_after_its_page_has_left_starts_nothing(
    page: Page, kitchen: Served
) -> None:
    before = len(kitchen.marks("ticks began"))
    body = page.body("start")
    page.stop(body["flash_events"]["run"])
    assert page.post("start", body).status_code == 410
    assert len(kitchen.marks("ticks began")) == before


def test_workers_that_cannot_reach_each_other_log_it_and_serve(tmp_path: Path) -> None:
    too_long = tmp_path / ("x" * 100)  # too long for the path of a Unix socket
    too_long.mkdir()
    with (
        serving("tests.apps.kitchen:server", tmp_path, workers=2, TMPDIR=str(too_long)) as served,
        opened(served) as page,
    ):
        with page.stream("start", page.body("fail")) as events:
            assert [event.event for event in events][-1] == "close"
        assert "This worker cannot reach its siblings" in served.log()


def test_another_callback_on_the_same_worker_responds_during_a_flood(page: Page) -> None:
    body = page.body("plain")
    with page.stream("start", page.body("burst")) as events:
        next(events)
        answer = page.client.get(f"{page.served.url}_dash-layout")
        assert answer.status_code == 200
    assert body


def test_a_lost_client_is_detected_after_the_grace_period(tmp_path: Path) -> None:
    with (
        serving(
            "tests.apps.kitchen:server",
            tmp_path,
            FLASH_EVENTS_HEARTBEAT_SECONDS="0.2",
            FLASH_EVENTS_GRACE_SECONDS="0.3",
        ) as served,
        opened(served) as page,
    ):
        with page.stream("start", page.body("start")) as events:
            while next(events).event != "update":
                pass
        served.wait_for_mark("ticks finally", seconds=0.3 + 1)


STOPPED = [
    ("tests.apps.kitchen:server", "asyncio", "start", "ticks finally"),
    ("tests.apps.kitchen:server", "uvloop", "start", "ticks finally"),
]
if BACKEND == "quart":  # on FastAPI, app.run starts a server of its own, and does not stop it
    STOPPED.append(("tests.apps.debug", "asyncio", "endless", "endless finally"))


@pytest.mark.parametrize(("app", "loop", "component", "mark"), STOPPED)
def test_a_worker_that_is_stopped_runs_finally(
    tmp_path: Path, app: str, loop: str, component: str, mark: str
) -> None:
    with serving(app, tmp_path, loop=loop) as served, opened(served) as page:
        with page.stream("start", page.body(component)) as events:
            while next(events).event != "update":
                pass
        page.client.close()  # the run continues for the grace period
        served.process.send_signal(signal.SIGTERM)
        served.wait_for_mark(mark)


@pytest.mark.deadline
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_four_workers_without_a_broker_stop_each_others_runs(tmp_path: Path, loop: str) -> None:
    with serving("tests.apps.kitchen:server", tmp_path, workers=4, loop=loop) as served:
        workers = set()
        for n in range(1, 13):
            with (
                opened(served) as page,
                page.stream("start", body := page.body("start")) as events,
            ):
                while next(events).event != "update":
                    pass
                # Another TCP connection usually reaches another worker.
                fields = {"version": 1, "page": page.page, "runs": [body["flash_events"]["run"]]}
                asked = time_of(httpx.post(page.url("stop"), json={"flash_events": fields}))
                done = served.wait_for_mark("ticks finally", n)
                assert done["time"] - asked < 1
            workers.add(done["pid"])
    assert len(workers) > 1


def test_a_resume_on_another_worker_is_lost_and_the_log_names_the_fix_once(tmp_path: Path) -> None:
    with serving("tests.apps.kitchen:server", tmp_path, workers=2) as served:
        lost = 0
        with opened(served) as page, page.stream("start", body := page.body("start")) as events:
            next(events)
            connection = body["flash_events"]["connection"]
            for _ in range(40):  # one of two workers answers, by chance
                answer = httpx.post(page.url("resume"), json=page.resume(connection, "another-1"))
                assert answer.status_code in (404, 410)
                lost += answer.status_code == 404
            page.stop(body["flash_events"]["run"])
        assert lost > 1
        assert served.log().count("Workers share connections only through a broker") == 1
