"""Runs the end-to-end core on each Dash and each Python: `make matrix`.

With `--ends`, as CI does, only a part of it, on the oldest Dash and on the newest with the newest
Python; what lies between runs in `make test`.

Each combination has an environment of its own in `.matrix/`. An interpreter that is not there is
printed as not run.
"""

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
ENVIRONMENTS = ROOT / ".matrix"

CORE = (
    "tests/test_bridge.py",
    "tests/test_plugin.py",
    "tests/test_endpoint.py",
    "tests/test_testing.py",
    "tests/browser/test_semantics.py",
    "tests/browser/test_applying.py",
    "tests/browser/test_holders.py",
    "tests/browser/test_states.py",
)
"""Tests in which differences between Dash's versions would show."""

TOGETHER = ("--numprocesses", "3", "--dist", "worksteal", "-m", "not deadline and not notice")
"""The same as in the Makefile, which explains it."""

PART = ("tests/test_bridge.py", "tests/test_plugin.py", "tests/browser/test_semantics.py")


@dataclass(frozen=True)
class Combination:
    """A combination of versions to test.

    Attributes:
        python: its version.
        dash: its version.
    """

    python: str
    dash: str

    @property
    def home(self) -> Path:
        """Its environment."""
        return ENVIRONMENTS / f"python-{self.python}-dash-{self.dash}"


COMBINATIONS = (
    Combination("3.11", "4.2.0"),
    Combination("3.11", "4.4.1"),
    Combination("3.11", "4.5.0rc2"),
    Combination("3.12", "4.4.1"),
    Combination("3.13", "4.4.1"),
    Combination("3.13", "4.5.0rc2"),
)
BACKENDS = ("quart", "fastapi")


def main(*words: str) -> int:
    """Runs all combinations, those whose name contains one of the words, or the ends."""
    tests = PART if "--ends" in words else CORE
    rows: list[tuple[str, str]] = []
    for combination, backend in chosen(words):
        name = name_of(combination, backend)
        python = interpreter(combination.python)
        if python is None:
            rows.append((name, "not run: no such interpreter"))
            continue
        print(f"== {name}", flush=True)
        rows.append((name, run(combination, python, backend, tests)))
    print()
    for name, result in rows:
        print(f"{name}: {result}")
    return any(result.startswith("failed") for _, result in rows)


def chosen(words: tuple[str, ...]) -> list[tuple[Combination, str]]:
    """Returns the combinations with their backends."""
    if "--ends" in words:
        return [(COMBINATIONS[0], "quart"), (COMBINATIONS[-1], "quart")]
    all_of_them = [(one, backend) for one in COMBINATIONS for backend in BACKENDS]
    return [
        pair for pair in all_of_them if not words or any(word in name_of(*pair) for word in words)
    ]


def name_of(combination: Combination, backend: str) -> str:
    return f"Python {combination.python}, Dash {combination.dash}, {backend}"


def interpreter(version: str) -> str | None:
    """Returns a working Python of this version."""
    for name in (f"python{version}", *Path.home().glob(f".pyenv/versions/{version}.*/bin/python")):
        path = shutil.which(str(name))
        command = [str(path), "-c", f"import sys; assert sys.version.startswith('{version}.')"]
        if path and subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0:
            return path
    return None


def run(combination: Combination, python: str, backend: str, tests: tuple[str, ...]) -> str:
    """Runs the tests there; returns the result."""
    begun = time.monotonic()
    install(combination, python)
    in_browser = [test for test in tests if "browser" in test]
    calls = (
        [*TOGETHER, *(test for test in tests if test not in in_browser)],
        [*TOGETHER, *in_browser],
        ["-m", "deadline", *tests],
    )
    codes = [
        subprocess.run(
            [combination.home / "bin" / "python", "-m", "pytest", *call],
            cwd=ROOT,
            env={**os.environ, "BACKEND": backend},
            check=False,
        ).returncode
        for call in calls
    ]
    return f"{'failed' if any(codes) else 'passed'} ({time.monotonic() - begun:.0f} s)"


def install(combination: Combination, python: str) -> None:
    """Creates or updates the environment."""
    if not combination.home.exists():
        subprocess.run([python, "-m", "venv", combination.home], check=True)
    pip = [str(combination.home / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    dash = f"dash[fastapi,quart]=={combination.dash}"
    options = ["--disable-pip-version-check", "--editable", ".[e2e]", dash]
    subprocess.run([*pip, *options], cwd=ROOT, check=True)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
