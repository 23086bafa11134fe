"""The page on background callbacks is correct, and its listings run before and after the move."""

import inspect
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import dash
import httpx
import pytest

from flash_events import Settings
from tests.support.celery_worker import together, working
from tests.support.page import data, opened, sets
from tests.support.redis_server import redis_server
from tests.support.server import ROOT, Served, serving, wait_until

README = (ROOT / "README.md").read_text("utf-8")
PAGE = (ROOT / "docs/background_callbacks.md").read_text("utf-8")
LISTINGS = dict(re.findall(r"<!-- listing: (\w+) -->\n```python\n(.*?)```", PAGE, re.S))
COMMANDS = re.findall(r"```sh\n(.*?)```", PAGE, re.S)
[README_LISTING] = re.findall(r"<!-- listing: celery -->\n```python\n(.*?)```", README, re.S)

IDLE = [["bar", {"value": "0"}], ["status", {"children": ""}]]
BACKGROUND = {
    "background", "interval", "progress", "progress_default", "running", "cancel", "manager",
    "cache_args_to_ignore", "cache_ignore_triggered", "on_error",
}  # fmt: skip
"""Options of `dash.callback` for background callbacks."""


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis whose queues no other test's worker reads."""
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


def words_of(program: str) -> list[str]:
    """Returns the arguments that the page starts a program with."""
    [line] = [
        line for text in COMMANDS for line in text.splitlines() if line.startswith(f"{program} ")
    ]
    return shlex.split(line)[1:]


def served_app() -> str:
    """Returns the server object that the page's command serves."""
    return next(word for word in words_of("hypercorn") if word.endswith(":server"))


@contextmanager
def shown(program: str, directory: Path, redis: str) -> Iterator[Served]:
    """Serves a program as `app.py`, with a worker and a web server started as on the page."""
    (directory / "app.py").write_text(program, "utf-8")
    environment: Any = {"PYTHONPATH": str(directory), "FLASH_EVENTS_BROKER": redis}
    _, app, _, *options = words_of("celery")  # -A app:celery_app worker ...
    with together(
        serving(served_app(), directory, **environment),
        working(directory, *options, app=app, **environment),
    ) as [served, _]:
        yield served


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", PAGE)
    assert links
    assert [one for one in links if not (ROOT / "docs" / one).exists()] == []


def test_every_python_listing_has_a_name() -> None:
    assert len(LISTINGS) == PAGE.count("```python") == 3


def test_every_variable_is_a_setting() -> None:
    variables = set(re.findall(r"FLASH_EVENTS_([A-Z_]+[A-Z])", PAGE))
    assert variables <= {field.name.upper() for field in fields(Settings)}


def test_every_option_of_a_background_callback_has_a_line() -> None:
    assert set(inspect.signature(dash.callback).parameters) >= BACKGROUND
    section = PAGE.split("\n## Line by line\n")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)`", section, re.M)) >= BACKGROUND


def test_the_code_before_the_move_is_a_background_callback(tmp_path: Path, redis: str) -> None:
    with (
        shown(LISTINGS["before"], tmp_path, redis) as served,
        httpx.Client(base_url=served.url) as client,
    ):
        entry = next(one for one in client.get("_dash-dependencies").json() if one["background"])
        body = {
            "output": entry["output"],
            "outputs": {"id": "result", "property": "children"},
            "inputs": [{**entry["inputs"][0], "value": 1}],
            "state": [{**entry["state"][0], "value": 5}],
            "changedPropIds": ["build.n_clicks"],
        }
        job = client.post("_dash-update-component", json=body).json()
        assert job["progressDefault"] == {"bar.value": "0", "status.children": ""}
        asked = {"cacheKey": job["cacheKey"], "job": job["job"]}
        progress: list[Any] = []
        results: list[Any] = []

        def is_done() -> bool:
            answer = client.post("_dash-update-component", params=asked, json=body).json()
            progress.extend([answer["progress"]] if "progress" in answer else [])
            results.extend([answer["response"]] if "response" in answer else [])
            return bool(results)

        wait_until(is_done, 10, "its result")
        assert results == [{"result": {"children": "5 rows are ready."}}]
        shown_at_most = [
            {"bar.value": str(20.0 * row), "status.children": f"{row} of 5"} for row in range(1, 6)
        ]
        assert progress
        assert all(one in shown_at_most for one in progress)  # it keeps only the last one


@pytest.mark.parametrize("listing", ["worker", "task"])
def test_the_code_after_the_move_streams_every_update_and_can_be_stopped(
    listing: str, tmp_path: Path, redis: str
) -> None:
    with shown(LISTINGS[listing], tmp_path, redis) as served, opened(served) as page:
        spec = page.callback("build")["flash_events"]
        assert spec["reset"] == IDLE
        assert spec["running"] == [["build", "disabled", True, False]]
        assert spec["cancel"] == [{"id": "stop", "property": "n_clicks"}]

        body = page.body("build")
        body["state"][0]["value"] = 5
        with page.stream("start", body) as stream:
            events = list(stream)
        assert [data(event)["set"] for event in events if event.event == "update"] == [
            *(
                [
                    ["bar", {"value": str(100 * row / 5)}],
                    ["status", {"children": f"{row} of 5"}],
                ]
                for row in range(1, 6)
            ),
            [*IDLE, ["result", {"children": "5 rows are ready."}]],
        ]
        assert reasons(events) == ["done"]

        body = page.body("build", connection="c" * 22)
        body["state"][0]["value"] = 10_000
        with page.stream("start", body) as stream:
            assert next(event for event in stream if event.event == "update")
            page.stop(body["flash_events"]["run"])
            assert reasons(stream) == ["cancelled"]


def test_the_readmes_listing_runs(tmp_path: Path, redis: str) -> None:
    listing = README_LISTING.replace("sleep(0.01)", "sleep(0.001)")
    assert listing != README_LISTING
    with shown(listing, tmp_path, redis) as served, opened(served) as page:
        for name, rows in (("task", 500), ("whole", 500)):
            with page.stream("start", page.body(name)) as stream:
                events = list(stream)
            texts = sets(events, "out")
            assert texts[:rows] == [f"row {row}" for row in range(rows)]
            assert reasons(events) == ["done"]
        assert texts[rows:] == []


def reasons(events: Any) -> list[str]:
    """Returns the reasons of ended runs."""
    return [data(event)["reason"] for event in events if event.event == "end"]
