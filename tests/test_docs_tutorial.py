"""Each step of the tutorial does what it says."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.listings import listing, said_by_pytest, shown, text_of
from tests.support.page import opened, reasons, sets
from tests.support.server import ROOT, serving, wait_until

PAGE = "tutorial.md"
FASTER = {"sleep(0.25)": "sleep(0.01)"}
READING = re.compile(r"-?\d+\.\d °C from (\d+) readings")


def test_the_first_step_responds_once(tmp_path: Path) -> None:
    with shown(listing(PAGE, "answer"), tmp_path, FASTER) as served, opened(served) as page:
        [entry] = page.entries
        body = {
            "output": entry["output"],
            "outputs": {"id": "result", "property": "children"},
            "inputs": [{**entry["inputs"][0], "value": 1}],
            "changedPropIds": ["measure.n_clicks"],
        }
        answer = page.client.post(f"{served.url}_dash-update-component", json=body).json()
    found = READING.fullmatch(answer["response"]["result"]["children"])
    assert found
    assert found[1] == "20"


@pytest.mark.parametrize("name", ["stream", "blocking"])
def test_a_step_shows_the_mean_after_each_reading(name: str, tmp_path: Path) -> None:
    with shown(listing(PAGE, name), tmp_path, FASTER) as served, opened(served) as page:
        with page.stream("start", page.body("measure")) as stream:
            events = list(stream)
        found = [READING.fullmatch(text) for text in sets(events, "result")]
        assert [each and each[1] for each in found] == [str(n) for n in range(1, 21)]
        assert reasons(events) == ["done"]
        said = [f"The sensor is off after {n} readings." in served.log() for n in range(21)]
        assert said.index(True) == 20 if name == "blocking" else not any(said)


def test_a_program_runs_unchanged_and_a_plain_generator_cleans_up(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(listing(PAGE, "blocking"), "utf-8")
    environment: Any = {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with serving("app", tmp_path, home=tmp_path, **environment) as served, opened(served) as page:
        body = page.body("measure")
        with page.stream("start", body) as stream:
            assert next(event for event in stream if event.event == "update")
            page.stop(body["flash_events"]["run"])
            assert reasons(stream) == ["cancelled"]
        wait_until(lambda: "The sensor is off after " in served.log(), 5, "its finally")


def test_its_tests_pass(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(listing(PAGE, "graph"), "utf-8")
    (tmp_path / "test_app.py").write_text(listing(PAGE, "test"), "utf-8")
    [options] = re.findall(r"^pytest (.*)$", text_of(PAGE), re.M)
    assert "2 passed" in said_by_pytest(tmp_path, *options.split())


def test_its_command_is_one_that_the_guides_tests_run() -> None:
    [line] = re.findall(r"^hypercorn .*$", text_of(PAGE), re.M)
    assert f"\n{line}\n" in text_of("deployment.md")
