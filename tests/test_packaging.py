"""The wheel that is built from the sdist works in an empty environment, without Node."""

import os
import signal
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from tests.support.page import opened
from tests.support.server import ROOT, Served, answers, free_port, serving, wait_until

pytestmark = pytest.mark.timeout(300)  # pip installs all that Dash needs

APP = """
from dash import Dash, Input, html
import flash_events
from flash_events import event_callback, stream_props

assert "site-packages" in flash_events.__file__, flash_events.__file__

app = Dash(__name__, backend="quart")
server = app.server
app.layout = html.Div([html.Button(id="start"), html.Div(id="out")])


@event_callback(Input("start", "n_clicks"))
async def start(n):
    yield stream_props("out", {"children": n})
"""


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the sdist, and the wheel that is built from it."""
    directory = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--outdir", str(directory), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return directory


@pytest.fixture(scope="module")
def python(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of an environment with the wheel and nothing else."""
    [wheel] = dist.glob("*.whl")
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=True)
    python = str(home / "bin" / "python")
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, str(wheel)], check=True)
    return python


def test_the_wheel_carries_the_renderer_its_types_and_the_gallery(dist: Path) -> None:
    [wheel] = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    scripts = {f"flash_events/static/{path.name}" for path in static().iterdir()}
    assert {"flash_events/py.typed", *scripts} <= set(names)
    examples = {f"flash_events/examples/{path.name}" for path in (ROOT / "examples").glob("*.py")}
    assert examples <= set(names)
    assert not [name for name in names if name.startswith(("tests", "renderer", "benchmarks"))]


def test_the_sdist_carries_what_builds_and_tests_it(dist: Path) -> None:
    [sdist] = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        tops = {name.split("/")[1] for name in archive.getnames() if "/" in name}
    assert {"LICENSE", "Makefile", "renderer", "tests", "CHANGELOG.md"} <= tops


def test_the_wheel_streams_in_an_empty_environment(python: str, tmp_path: Path) -> None:
    (tmp_path / "shipped.py").write_text(APP, "utf-8")
    with serving(
        "shipped:server",
        tmp_path,
        python=python,
        home=tmp_path,
        PATH=str(Path(python).parent),  # no Node
    ) as served:
        streams(served)


def test_the_demo_says_which_packages_it_needs(python: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [python, "-m", "flash_events", "demo"],
        cwd=tmp_path,
        env={"PATH": str(Path(python).parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == ("The demo needs more packages: pip install 'flash-events[examples]'\n")


def test_the_wheel_serves_the_gallery_until_ctrl_c(dist: Path, tmp_path: Path) -> None:
    [wheel] = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "flash_events", "demo", "--port", str(port)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    url = f"http://127.0.0.1:{port}/"
    try:
        wait_until(lambda: answers(url) or process.poll() is not None, 60, "gallery")
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=20)
    finally:
        process.kill()
    assert said == f"Open {url} (Ctrl+C stops it)\n"
    assert process.returncode == 0


def static() -> Path:
    return ROOT / "flash_events" / "static"


def streams(served: Served) -> None:
    with opened(served) as page:
        suites = f"{served.url}_dash-component-suites/flash_events"
        script = page.client.get(f"{suites}/static/flash_events.js")
        assert script.text == (static() / "flash_events.js").read_text("utf-8")
        with page.stream("start", page.body("start")) as events:
            assert [event.event for event in events if event.data][:4] == [
                "open", "start", "update", "end",
            ]  # fmt: skip
