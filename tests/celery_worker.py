"""Real Celery workers for real tests, in processes of their own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT, wait_until

START_SECONDS = 30


@dataclass
class Worker:
    """A Celery worker.

    Attributes:
        process: its main process.
        log_file: what it writes.
    """

    process: "subprocess.Popen[bytes]"
    log_file: Path

    def log(self) -> str:
        """What it has written."""
        return self.log_file.read_text("utf-8")

    def children(self) -> list[int]:
        """The processes that run its tasks."""
        found = subprocess.run(
            ["pgrep", "-P", str(self.process.pid)], stdout=subprocess.PIPE, check=False
        )
        return [int(pid) for pid in found.stdout.split()]

    def kill(self) -> None:
        """Kills all of it, with no chance to say anything."""
        children = self.children()
        self.process.kill()
        for child in children:
            os.kill(child, signal.SIGKILL)
        self.process.wait()


@contextmanager
def working(
    directory: Path, *options: str, app: str = "tests.apps.tasks:celery_app", **environment: str
) -> Iterator[Worker]:
    """Runs a worker until the block ends; what it marks goes where the web server's marks go."""
    log = directory / "worker.log"
    command = ["celery", "-A", app, "worker", "--loglevel", "INFO", "--without-mingle"]
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command, *options],
            cwd=ROOT,
            env={**os.environ, "MARKS": str(directory / "marks.jsonl"), **environment},
            stdout=output,
            stderr=output,
        )
    worker = Worker(process, log)
    try:
        wait_until(lambda: " ready." in worker.log(), START_SECONDS, "Celery worker")
        yield worker
    except BaseException:  # whatever it was, and it is raised again
        print(worker.log())  # pytest shows it with the failure
        raise
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            worker.kill()
