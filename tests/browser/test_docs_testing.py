"""The listings of the page on testing pass, as a project of their own."""

import json
from pathlib import Path

import pytest

from tests.support.listings import listing, said_by_pytest, text_of

pytestmark = pytest.mark.timeout(300)  # pytest within pytest, with two browsers and servers

PAGE = "testing.md"

RECORDED = {
    "callback": "app.live",
    "triggered": ["start.n_clicks"],
    "state": "cancelled",
    "is_cut": False,
    "events": [
        {"ms": 1000 * n, "event": {"type": "update", "set": [["out", {"children": f"AAPL {n}"}]]}}
        for n in range(1, 4)
    ],
}


def test_every_test_of_the_page_passes(tmp_path: Path) -> None:
    files = {
        "app.py": listing(PAGE, "app"),
        "conftest.py": listing(PAGE, "conftest"),
        "test_run.py": listing(PAGE, "run"),
        "test_topics.py": listing(PAGE, "topics"),
        "test_page.py": listing(PAGE, "page"),
        "test_replay.py": listing(PAGE, "replay"),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, "utf-8")
    recordings = json.dumps({"flash_events": 1, "runs": [RECORDED]})
    (tmp_path / "streams.json").write_text(recordings, "utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n", "utf-8")
    passed = f"{text_of(PAGE).count('def test_')} passed"
    assert passed in said_by_pytest(tmp_path, "-q", "-rA")
