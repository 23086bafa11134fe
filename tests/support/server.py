"""Real servers in processes of their own, with one worker or several."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.apps.backend import BACKEND

ROOT = Path(__file__).parent.parent.parent


START_SECONDS = 30


@dataclass
class Served:
    """A served app and its marks."""

    url: str
    marks_file: Path
    log_file: Path
    process: subprocess.Popen[bytes]

    def marks(self, name: str) -> list[dict[str, Any]]:
        """Returns the app's marks of this name, in order."""
        if not self.marks_file.exists():
            return []
        written, _, _ = self.marks_file.read_text("utf-8").rpartition(
            "\n"
        )  # the rest is an incomplete line
        lines = written.splitlines()
        return [mark for line in lines if (mark := json.loads(line))["name"] == name]

    def wait_for_mark(self, name: str, count: int = 1, seconds: float = 10) -> dict[str, Any]:
        """Waits until the app has written this mark `count` times; returns the last."""
        wait_until(lambda: len(self.marks(name)) >= count, seconds, f"mark {name!r}")
        return self.marks(name)[count - 1]

    def workers(self) -> list[int]:
        """Returns the process ids of its workers."""
        command = ["pgrep", "-P", str(self.process.pid), "-f", "spawn_main"]
        found = subprocess.run(command, stdout=subprocess.PIPE, check=False).stdout.split()
        return [int(pid) for pid in found] or [self.process.pid]

    def metric(self, name: str) -> int:
        """Returns a counter or gauge of its one worker, which must serve metrics."""
        text = httpx.get(f"{self.url}_dash-flash-events/metrics").text
        found = re.search(rf"^flash_events_{name} (\d+)$", text, re.MULTILINE)
        assert found, text
        return int(found[1])

    def log(self) -> str:
        """Returns the server's output."""
        return self.log_file.read_text("utf-8")


def wait_until(condition: Any, seconds: float, what: str) -> None:
    """Polls until the condition holds; fails after the given timeout."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come within {seconds} s"
        time.sleep(0.01)  # poll interval; the condition ends the wait


async def until(condition: Callable[[], bool], seconds: float = 5) -> None:
    """The same without blocking the event loop."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - nothing tells when it changes elsewhere
            await asyncio.sleep(0.001)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def server_command(app: str, port: int, workers: int, loop: str) -> list[str]:
    """Returns the command that serves an app: Quart's with hypercorn, FastAPI's with uvicorn."""
    if BACKEND == "quart":
        return ["hypercorn", app, "-b", f"127.0.0.1:{port}", "-w", str(workers), "-k", loop]
    return ["uvicorn", app, "--port", str(port), "--workers", str(workers), "--loop", loop]


@contextmanager
def serving(
    app: str,
    directory: Path,
    workers: int = 1,
    path: str = "/",
    python: str = sys.executable,
    loop: str = "asyncio",
    home: Path = ROOT,
    **environment: str,
) -> Iterator[Served]:
    """Serves an app (`module:server`) on an event loop until the block ends.

    A module without `:server`, or a file, is run as a program, which serves on the port that PORT
    names.
    Some are served with the Python of another environment, or have another home.
    """
    port = free_port()
    served = f"http://127.0.0.1:{port}{path}"
    marks, log = directory / "marks.jsonl", directory / "server.log"
    program = ["-m", app]
    if ":" in app:
        program = ["-m", *server_command(app, port, workers, loop)]
    elif app.endswith(".py"):
        program, environment = [app], {"PYTHONPATH": str(home), **environment}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [python, *program],
            cwd=home,
            env={**os.environ, "MARKS": str(marks), "PORT": str(port), **environment},
            stdout=output,
            stderr=output,
        )
    try:
        wait_until(lambda: answers(served) or process.poll() is not None, START_SECONDS, "server")
        assert process.poll() is None, log.read_text("utf-8")
        yield Served(served, marks, log, process)
    except BaseException:  # whatever it was, and it is raised again
        print(log.read_text("utf-8"))  # pytest shows it with the failure
        raise
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def answers(url: str) -> bool:
    try:
        response = httpx.get(f"{url}_dash-layout", timeout=5)
    except httpx.TransportError:
        return False
    assert response.status_code < 400, "the app does not start; see its log"
    return True


HEARTBEAT_SECONDS = 0.5
"""Setting of the server in the fixture `hasty`."""

GRACE_SECONDS = 0.5
"""Setting of the server in the fixture `hasty`."""
