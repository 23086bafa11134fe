"""The listings of the page on dash-flash and dash-event-callback run."""

import re
from pathlib import Path

from tests.support.listings import listing, shown, text_of
from tests.support.page import data, opened

PAGE = "migration.md"
FLASH = {"Flash", "Input", "Output", "State", "callback", "event_callback", "stream_props"}
"""A fake of `flash` with the names used here (dash-flash 1.4.0)."""

[CHANGES] = re.findall(r"<!-- changes: moved -->\n```diff\n(.*?)```", text_of(PAGE), re.S)


def test_the_lines_that_changed_are_those_of_the_listing() -> None:
    moved = listing(PAGE, "moved").splitlines()
    added = [line[1:] for line in CHANGES.splitlines() if line.startswith("+")]
    assert len(added) == 3
    assert set(added) <= set(moved)
    assert [line for line in moved if "import" in line and line not in added] == ["import asyncio"]
    removed = [line[1:] for line in CHANGES.splitlines() if line.startswith("-")]
    [names] = [line.split(" import ")[1] for line in removed if "from flash import" in line]
    assert set(names.split(", ")) <= FLASH


def test_the_moved_app_streams_and_is_cancelled(tmp_path: Path) -> None:
    with shown(listing(PAGE, "moved"), tmp_path) as served, opened(served) as page:
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
