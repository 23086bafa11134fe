"""The README's install commands work in an empty environment without Node."""

import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from flash_events import __version__
from tests.support.listings import shell_blocks, text_of
from tests.support.page import opened
from tests.support.server import ROOT, Served, answers, free_port, serving

pytestmark = pytest.mark.timeout(300)  # pip installs Dash's requirements

README = (ROOT / "README.md").read_text("utf-8")

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
def clone(dist: Path) -> Path:
    """A copy of the repository's files, without build results and environments."""
    [sdist] = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(dist / "clone", filter="data")
    [clone] = (dist / "clone").iterdir()
    return clone


@pytest.fixture(scope="module")
def python(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The Python of an empty environment in which the README's commands were run."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=True)
    python = str(home / "bin" / "python")
    from_clone, from_wheel = shell_blocks(README, "Install")
    pasted(from_clone, clone, python)
    assert origin(python) == clone.as_uri()
    pasted("pip uninstall --yes flash-events", clone, python)
    pasted(from_wheel, clone, python)
    assert origin(python).startswith((clone / "dist").as_uri())
    return python


def pasted(commands: str, directory: Path, python: str) -> str:
    """Runs shell commands in an active environment; returns their output."""
    done = subprocess.run(
        ["bash", "-euc", commands],
        cwd=directory,
        env={**os.environ, "PATH": f"{Path(python).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def origin(python: str) -> str:
    """The URL from which flash_events was installed."""
    program = (
        "from importlib.metadata import distribution as d\n"
        "print(d('flash-events').read_text('direct_url.json'))"
    )
    done = subprocess.run([python, "-c", program], capture_output=True, check=True, cwd="/")
    url: str = json.loads(done.stdout)["url"]
    return url


def test_the_wheel_contains_the_renderer_its_types_and_the_gallery(dist: Path) -> None:
    [wheel] = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    scripts = {f"flash_events/static/{path.name}" for path in static().iterdir()}
    lua = {str(path.relative_to(ROOT)) for path in (ROOT / "flash_events").rglob("*.lua")}
    assert lua
    assert {"flash_events/py.typed", *scripts, *lua} <= set(names)
    examples = {f"flash_events/examples/{path.name}" for path in (ROOT / "examples").glob("*.py")}
    assert examples <= set(names)
    assert not [name for name in names if name.startswith(("tests", "renderer", "benchmarks"))]


def test_the_sdist_contains_its_build_and_test_files(dist: Path) -> None:
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


def test_the_extras_of_the_install_page_are_found(clone: Path, python: str) -> None:
    page = shell_blocks(text_of("install.md"))
    _make_environment, from_clone, with_extra, from_wheel, wheel_with_extra, look = page
    assert [from_clone, from_wheel] == shell_blocks(README, "Install")  # pasted already
    [requirement] = re.findall(r"```text\n(.*?)```", text_of("install.md"), re.S)
    (clone / "requirements.txt").write_text(requirement, "utf-8")
    # Finding packages is enough, and faster than installing them. (PIP_DRY_RUN would also
    only_find = 'pip() { command pip "$@" --dry-run; }\n'
    commands = [only_find, with_extra, wheel_with_extra, "pip install -r requirements.txt\n", look]
    said = pasted("".join(commands), clone, python)
    found = re.findall(r"^Would install .*redis-.*$", said, re.M)
    assert len(found) == 3
    assert said.splitlines()[-1] == __version__


MISSING = {
    "from flash_events.brokers import broker_of; broker_of('redis://localhost', None)": (
        "flash_events.errors.ConfigurationError: The broker needs redis-py "
        "(No module named 'redis'). To install what is missing: "
        'pip install "redis[hiredis]>=6.4,<9"'
    ),
    "import flash_events.celery": (
        "ImportError: flash_events.celery needs Celery and redis-py (No module named 'celery'). "
        'To install what is missing: pip install "celery>=5.7,<6" "redis[hiredis]>=6.4,<9"'
    ),
    "from flash_events.callbacks import *; event_callback(Input('a', 'b'), worker='celery')": (
        "flash_events.errors.CallbackError: worker='celery' cannot be used. "
        "flash_events.celery needs Celery and redis-py (No module named 'celery'). "
        'To install what is missing: pip install "celery>=5.7,<6" "redis[hiredis]>=6.4,<9"'
    ),
    "from flash_events.operations.demo import *; raise SystemExit(serve_gallery('127.0.0.1', 0))": (
        "The demo needs more packages. To install what is missing: "
        'pip install "dash-ag-grid>=33" "dash-mantine-components>=2.6" "pandas>=2" "pillow>=10"'
    ),
}
"""Programs that need an extra, and their last message without it."""


def test_the_error_of_a_missing_extra_names_its_packages(python: str, tmp_path: Path) -> None:
    said = {}
    for program in MISSING:
        done = subprocess.run(
            [python, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        said[program] = done.stderr.splitlines()[-1]
    assert said == MISSING


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
    assert process.stdout
    try:
        assert process.stdout.readline() == f"Open {url} (Ctrl+C stops it)\n"
        assert answers(url)  # T12: without a delay
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=20)
    finally:
        process.kill()
    assert said == ""
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
