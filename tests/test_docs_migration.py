"""What the page on dash-flash and dash-event-callback shows, runs."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT, Served, serving
from tests.test_endpoint import data, opened

PAGE = (ROOT / "docs/migration.md").read_text("utf-8")
[MOVED] = re.findall(r"<!-- listing: moved -->\n```python\n(.*?)```", PAGE, re.S)
[CHANGES] = re.findall(r"<!-- changes: moved -->\n```diff\n(.*?)```", PAGE, re.S)


@pytest.fixture
def moved(tmp_path: Path) -> Iterator[Served]:
    (tmp_path / "app.py").write_text(MOVED, "utf-8")
    with serving("app:server", tmp_path, PYTHONPATH=str(tmp_path)) as served:
        yield served


def test_the_lines_that_changed_are_those_of_the_listing() -> None:
    added = [line[1:] for line in CHANGES.splitlines() if line.startswith("+")]
    assert len(added) == 3
    assert set(added) <= set(MOVED.splitlines())
    rest = set(MOVED.splitlines()) - set(added)
    assert not [line for line in rest if "import " in line and "dash" in line]


def test_the_moved_app_streams_and_is_cancelled(moved: Served) -> None:
    with opened(moved) as page:
        body = page.body("start")
        with page.stream("start", body) as events:
            updates = (data(event) for event in events if event.event == "update")
            assert next(updates)["set"][1] == ["cid", {"children": "Hello Stream"}]
            assert next(updates)["set"] == [["cid", {"children": "0 s"}]]
            page.stop(body["flash_events"]["run"])
            end = next(data(event) for event in events if event.event == "end")
        assert end["reason"] == "cancelled"
        spec = page.callback("start")["flash_events"]
    assert [one["allowed"] for one in spec["cancel"]] == ["dashboard", 0]
    assert spec["reset"][1] == ["cid", {"children": "nothing yet"}]
