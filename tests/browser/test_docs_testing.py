"""What the page on testing shows is what is there, and passes: as a project of its own."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

PAGE = (ROOT / "docs/testing.md").read_text("utf-8")
LISTINGS = dict(re.findall(r"<!-- listing: (\w+) -->\n```python\n(.*?)```", PAGE, re.S))

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
    for name, listing in LISTINGS.items():
        file = f"{name}.py" if name in ("app", "conftest") else f"test_{name}.py"
        (tmp_path / file).write_text(listing, "utf-8")
    recordings = json.dumps({"flash_events": 1, "runs": [RECORDED]})
    (tmp_path / "streams.json").write_text(recordings, "utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n", "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rA"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"{PAGE.count('def test_')} passed" in done.stdout, done.stdout + done.stderr
