"""The decorator keeps the signature, and type checkers find wrong calls."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.server import ROOT

CALLS = ROOT / "tests" / "typing" / "calls.py"


def mypy() -> set[int]:
    """Returns the lines with an error, counted from 1."""
    command = [sys.executable, "-m", "mypy", "--output=json", str(CALLS)]
    found = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=False).stdout
    return {line["line"] for text in found.splitlines() if (line := json.loads(text))}


def pyright() -> set[int]:
    """Returns the lines with an error, counted from 1."""
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--outputjson"]
    found = subprocess.run(
        [*command, str(CALLS)], cwd=ROOT, stdout=subprocess.PIPE, check=False
    ).stdout
    told = json.loads(found)["generalDiagnostics"]
    return {one["range"]["start"]["line"] + 1 for one in told if one["severity"] == "error"}


@pytest.mark.parametrize("checker", [mypy, pyright], ids=["mypy", "pyright"])
def test_wrong_calls_are_found_and_no_others(checker: Callable[[], set[int]]) -> None:
    lines = CALLS.read_text("utf-8").splitlines()
    wrong = {n for n, line in enumerate(lines, 1) if line.endswith("# wrong")}
    assert checker() == wrong


def test_the_package_is_marked_as_typed() -> None:
    assert Path(ROOT / "flash_events" / "py.typed").exists()
