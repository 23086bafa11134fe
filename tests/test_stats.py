"""Counters of a worker, in Python and as OpenMetrics text."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from dash import Dash

from flash_events import FlashEvents
from tests.support.page import Page, new_id, opened
from tests.support.redis_server import redis_server
from tests.support.server import Served, serving, wait_until
from tests.support.socket_client import Stream, read_until

SAMPLE = re.compile(r"flash_events_([a-z_]+) (\d+)")


def parsed(text: str) -> dict[str, tuple[str, int]]:
    """Returns kind and value of each metric, parsed as https://openmetrics.io specifies."""
    *lines, end = text.split("\n")[:-1]
    assert text.endswith("\n")
    assert end == "# EOF"
    metrics: dict[str, tuple[str, int]] = {}
    for type_line, help_line, sample in zip(lines[::3], lines[1::3], lines[2::3], strict=True):
        _, word, name, kind = type_line.split(" ")
        assert word == "TYPE"
        assert kind in ("gauge", "counter")
        assert help_line.startswith(f"# HELP {name} ")
        found = SAMPLE.fullmatch(sample)
        assert found
        suffix = "_total" if kind == "counter" else ""
        assert f"flash_events_{found[1]}" == name + suffix
        assert name.removeprefix("flash_events_") not in metrics
        metrics[name.removeprefix("flash_events_")] = kind, int(found[2])
    return metrics


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(
        "tests.apps.kitchen:server",
        tmp_path_factory.mktemp("counting"),
        FLASH_EVENTS_METRICS="1",
        FLASH_EVENTS_LINGER_SECONDS="0.1",
        FLASH_EVENTS_GRACE_SECONDS="0.3",
    ) as served:
        yield served


class Watch:
    """Changes of the counters since its creation."""

    def __init__(self, served: Served) -> None:
        self._url = f"{served.url}_dash-flash-events/metrics"
        self._before = self.now()

    def now(self) -> dict[str, int]:
        response = httpx.get(self._url, timeout=10)
        assert response.status_code == 200
        assert response.headers["content-type"] == (
            "application/openmetrics-text; version=1.0.0; charset=utf-8"
        )
        return {name: value for name, (_, value) in parsed(response.text).items()}

    def wait_for(self, **changes: int) -> None:
        """Waits for these changes; other ends of runs fail the wait."""
        ends = {f"ends_{reason}": 0 for reason in ("done", "cancelled", "error", "lost")}
        wanted = ends | changes
        wait_until(lambda: self._changes(wanted) == wanted, 10, f"{wanted}")

    def _changes(self, names: Any) -> dict[str, int]:
        now = self.now()
        return {name: now[name] - self._before[name] for name in names}


@pytest.fixture
def page(served: Served) -> Iterator[Page]:
    with opened(served) as page:
        yield page


@pytest.fixture
def watch(served: Served) -> Watch:
    watch = Watch(served)
    wait_until(lambda: watch.now()["connections"] == 0, 10, "rest")
    return Watch(served)


def test_an_app_has_its_counters_from_the_start() -> None:
    stats = FlashEvents(Dash("counted", backend="quart")).stats()
    assert set(stats.values()) == {0}
    assert {"runs", "connections", "starts", "ends_done", "queued_bytes"} <= set(stats)


def test_metrics_are_served_only_if_they_are_enabled(kitchen: Served) -> None:
    answer = httpx.get(f"{kitchen.url}_dash-flash-events/metrics")
    assert answer.status_code == 404
    assert "metrics=True" in answer.text
    assert "flash_events_runs" not in answer.text


def test_metrics_and_stats_have_the_same_names(watch: Watch) -> None:
    assert set(watch.now()) == set(FlashEvents(Dash("named", backend="quart")).stats())


def test_a_run_that_fails_is_a_start_an_update_and_an_error(page: Page, watch: Watch) -> None:
    read_until(Stream(page.url("start"), page.body("fail")), "close")
    watch.wait_for(starts=1, updates=1, ends_error=1, runs=0)


def test_a_run_that_is_done_is_counted_with_its_updates(page: Page, watch: Watch) -> None:
    read_until(Stream(page.url("start"), page.body("patches")), "close")
    watch.wait_for(starts=1, updates=501, ends_done=1)


def test_a_run_lives_until_it_is_cancelled(page: Page, watch: Watch) -> None:
    body = page.body("start")
    stream = Stream(page.url("start"), body)
    read_until(stream, "update")
    watch.wait_for(starts=1, runs=1, connections=1, connections_read=1)
    page.stop(body["flash_events"]["run"])
    read_until(stream, "close")
    watch.wait_for(starts=1, runs=0, connections_read=0, ends_cancelled=1)


def test_a_lost_client_leaves_an_unread_connection_until_the_grace_period_ends(
    page: Page, watch: Watch
) -> None:
    body = page.body("start")
    stream = Stream(page.url("start"), body)
    read_until(stream, "update")
    stream.reset()
    watch.wait_for(runs=0, connections=0, connections_read=0, ends_cancelled=1)


def test_a_resume_and_a_refusal_are_counted(page: Page, watch: Watch) -> None:
    body = page.body("start")
    stream = Stream(page.url("start"), body)
    read_until(stream, "update")
    resumed = Stream(page.url("resume"), page.resume(body["flash_events"]["connection"]))
    read_until(resumed, "update")
    watch.wait_for(starts=1, resumes=1, refusals=0, connections=1, connections_read=1)
    assert page.post("resume", page.resume(new_id())).status_code == 404
    assert page.client.post(page.url("start"), content=b"{}").status_code == 415
    page.stop(body["flash_events"]["run"])
    read_until(resumed, "close")
    watch.wait_for(starts=1, resumes=2, refusals=2, ends_cancelled=1)


def test_unread_data_is_counted_in_bytes(page: Page, watch: Watch) -> None:
    body = page.body("flood")
    stream = Stream(page.url("start"), body, receive_bytes=4096)
    wait_until(lambda: watch.now()["queued_bytes"] > 900_000, 20, "a full log")
    page.stop(body["flash_events"]["run"])
    stream.reset()
    watch.wait_for(queued_bytes=0, connections=0, ends_cancelled=1)


def test_a_kept_run_continues_above_the_snapshot_limit(tmp_path: Path) -> None:
    with (
        serving(
            "tests.apps.users:server",
            tmp_path,
            FLASH_EVENTS_METRICS="1",
            FLASH_EVENTS_MAX_KEPT_BYTES="1",
        ) as served,
        opened(served) as page,
    ):
        page.client.cookies.set("user", "somebody")
        watch = Watch(served)
        body = page.body("keep")
        with page.stream("start", body) as events:
            while next(events).event != "update":
                pass
            runs = [{"run": body["flash_events"]["run"], "seen": 0}]
            ids = {"page": page.page, "connection": new_id(), "connections": []}
            fields = {"version": 1, "runs": runs, **ids}
            with page.stream("attach", {"flash_events": fields}) as answer:
                assert [event.event for event in answer] == ["open", "end", "close"]
            watch.wait_for(starts=1, ends_lost=0, runs=1)
            page.stop(body["flash_events"]["run"])
            watch.wait_for(ends_cancelled=1, runs=0)


def test_a_run_without_a_reader_is_lost(tmp_path: Path) -> None:
    with (
        redis_server(tmp_path) as redis,
        serving(
            "tests.apps.kitchen:server",
            tmp_path,
            FLASH_EVENTS_METRICS="1",
            FLASH_EVENTS_BROKER=redis.url,
        ) as served,
        opened(served) as page,
    ):
        watch = Watch(served)
        with page.stream("start", page.body("start")) as events:
            while next(events).event != "update":
                pass
            redis.client.flushall()
            watch.wait_for(starts=1, ends_lost=1, runs=0)


def test_updates_that_a_kept_runs_snapshot_drops_are_counted(page: Page, watch: Watch) -> None:
    body = page.body("keep")
    stream = Stream(page.url("start"), body)
    for _ in range(4):
        read_until(stream, "update")
    assert watch.now()["collapsed_updates"] >= 2
    page.stop(body["flash_events"]["run"])
    read_until(stream, "close")
    watch.wait_for(starts=1, ends_cancelled=1)
