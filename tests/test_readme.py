"""The README's listings are correct."""

import os
import re
import subprocess
import sys
from pathlib import Path

from flash_events import stream_props
from tests.support.listings import said_by_pytest
from tests.support.server import ROOT

README = (ROOT / "README.md").read_text("utf-8")
LOADED = stream_props("status", {"children": "Loaded."})


def test_the_first_listing_is_the_quickstart() -> None:
    [listing] = re.findall(r"<!-- examples/quickstart.py -->\n```python\n(.*?)```", README, re.S)
    quickstart = (ROOT / "examples/quickstart.py").read_text("utf-8")
    assert listing == quickstart
    assert len(quickstart.splitlines()) <= 30


def test_the_progress_listing_runs(tmp_path: Path) -> None:
    [listing] = re.findall(r"<!-- listing: track -->\n```python\n(.*?)```", README, re.S)
    (tmp_path / "shown.py").write_text(listing, "utf-8")
    program = """
import time
time.sleep = lambda _seconds: None
from flash_events import context
from shown import load
values = []
context.stream_aside.set(lambda update: values.append(update.targets[0][1]["value"]))
print(*load(1))
print(values[0], values[-1])
"""
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == [repr(LOADED), "0.0 100.0"]


def test_the_listing_that_tests_the_quickstart_passes(tmp_path: Path) -> None:
    [listing] = re.findall(r"<!-- listing: testing -->\n```python\n(.*?)```", README, re.S)
    quickstart = (ROOT / "examples/quickstart.py").read_text("utf-8")
    (tmp_path / "app.py").write_text(quickstart, "utf-8")
    (tmp_path / "test_app.py").write_text(listing, "utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n", "utf-8")
    assert "2 passed" in said_by_pytest(tmp_path, "-p", "no:dash", "-q")


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", README)
    assert links
    missing = [one for one in links if "://" not in one and not (ROOT / one).exists()]
    assert not missing


def test_every_option_is_in_the_table() -> None:
    import inspect

    from flash_events import event_callback

    options = set(inspect.signature(event_callback).parameters)
    options -= {"dependencies", "inputs", "state", "unknown"}
    assert options <= set(re.findall(r"^\| `(\w+)` \|", README, re.M))
