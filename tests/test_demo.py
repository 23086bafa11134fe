"""`make demo` and `python -m flash_events demo` print their steps and their errors."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import ROOT

BIN = Path(sys.executable).parent
INSTALLS_NOTHING = {"PIP_CONFIG_FILE": os.devnull, "PIP_DRY_RUN": "1", "PIP_NO_INDEX": "1"}
"""A fake pip that starts, finds nothing, and ends."""


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another program listens on."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def said(*command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Returns a command's output, as in a shell, even if `make` runs the tests."""
    inherited = {name: value for name, value in os.environ.items() if "MAKE" not in name}
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_t12_a_port_in_use_is_named_and_no_address_shown(taken: int) -> None:
    done = said(sys.executable, "-m", "flash_events", "demo", "--port", str(taken))
    advice = f"Use another port: --port {taken + 1}"
    assert done.stderr == f"Port {taken} is taken by another program. {advice}\n"
    assert (done.returncode, done.stdout) == (1, "")


def test_t12_make_demo_suggests_an_argument_of_make(taken: int, tmp_path: Path) -> None:
    for stamp in ("python", "demo"):  # installed already
        (tmp_path / stamp).touch()
    done = said("make", "demo", f"PORT={taken}", f"VENV={tmp_path}", f"BIN={BIN}")
    advice = f"Use another port: make demo PORT={taken + 1}"
    assert done.stderr.splitlines()[0] == f"Port {taken} is taken by another program. {advice}"
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize("target", ["demo", "demo-celery"])
def test_t12_make_prints_each_step_before_it(target: str, tmp_path: Path) -> None:
    done = said("make", target, f"VENV={tmp_path}", f"BIN={BIN}", "PYTHON=true", **INSTALLS_NOTHING)
    # `true` replaces Python, since the environment exists already.
    creating, installing, *by_pip = done.stdout.splitlines()
    assert creating == f"Creating a Python environment in {tmp_path} ..."
    assert installing.startswith("Installing flash_events")
    assert installing.endswith(f" into {tmp_path}: about a minute, once ...")
    assert by_pip
    assert "hatchling" in done.stderr  # pip did not get this argument
    assert done.returncode == 2


@pytest.mark.parametrize("port", ["80a", "-1", "65536"])
def test_an_invalid_port_is_refused(port: str) -> None:
    done = said(sys.executable, "-m", "flash_events", "demo", f"--port={port}")
    assert f"Expected a port from 0 to 65535, got {port!r}." in done.stderr
    assert done.returncode == 2
