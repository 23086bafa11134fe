"""Real Celery workers for real tests, in processes of their own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import celery

from tests.support.server import ROOT, Served, serving, wait_until

START_SECONDS = 30
NAME = "tests@localhost"


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
        """Returns its output."""
        return self.log_file.read_text("utf-8")

    def children(self) -> list[int]:
        """Returns the processes that run its tasks."""
        found = subprocess.run(
            ["pgrep", "-P", str(self.process.pid)], stdout=subprocess.PIPE, check=False
        )
        return [int(pid) for pid in found.stdout.split()]

    def kill(self) -> None:
        """Kills all its processes without a warning."""
        self.process.send_signal(signal.SIGSTOP)  # or it starts new children meanwhile
        for child in self.children():
            os.kill(child, signal.SIGKILL)
        self.process.kill()
        self.process.wait()


@contextmanager
def working(
    directory: Path, *options: str, app: str = "tests.apps.crunch:celery_app", **environment: str
) -> Iterator[Worker]:
    """Runs a worker until the block ends; its marks are in the web server's directory."""
    log = directory / "worker.log"
    command = ["celery", "-A", app, "worker", "--loglevel", "INFO", "--without-mingle", "-n", NAME]
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
        worker.kill()  # in order it takes seconds, and no test looks at that


PROCESSES = 4
_databases = count(1)
"""A Redis database for the messages of one worker, so that it gets none of other tests."""

HOLD = "tests.apps.tasks.hold"


@dataclass
class Celery:
    """A web server and a Celery worker that share a Redis.

    Attributes:
        served: the app, and what it and the tasks have marked.
        worker: runs the tasks.
        redis_url: where events travel.
        messages_url: where Celery's messages travel.
    """

    served: Served
    worker: Worker
    redis_url: str
    messages_url: str
    client: "celery.Celery" = field(init=False)

    def __post_init__(self) -> None:
        self.client = celery.Celery(broker=self.messages_url, backend=self.messages_url)

    def active(self) -> list[str]:
        """Returns the names of the tasks that run or wait in the worker."""
        inspect = self.client.control.inspect(timeout=1, destination=[NAME])
        answers = [*(inspect.active() or {}).values(), *(inspect.reserved() or {}).values()]
        return [task["name"] for tasks in answers for task in tasks]

    @contextmanager
    def ending(self) -> Iterator[None]:
        """Lets tasks and runs end that wait for the test."""
        end = Path(f"{self.served.marks_file}.end")
        end.touch()
        try:
            yield
        finally:
            end.unlink()

    @contextmanager
    def busy(self) -> Iterator[int]:
        """Blocks the worker, so that no task starts in the block; yields the queue's length."""
        wait_until(lambda: not self.active(), 10, "a free worker")
        end = Path(f"{self.served.marks_file}.hold")
        for _ in range(2 * PROCESSES + 3):  # those that run, those that are fetched already
            self.client.send_task(HOLD, [str(end)])
        wait_until(lambda: len(self.active()) == 2 * PROCESSES, 10, "a busy worker")
        try:
            yield 3
        finally:
            end.touch()
            wait_until(lambda: HOLD not in self.active(), 10, "a worker that goes on")
            end.unlink()


@contextmanager
def together(*parts: AbstractContextManager[Any]) -> Iterator[list[Any]]:
    """Enters several contexts at once, since each takes seconds to start."""
    with ExitStack() as stack:
        with ThreadPoolExecutor() as pool:
            entering = [pool.submit(stack.enter_context, part) for part in parts]
        yield [entered.result() for entered in entering]


@contextmanager
def crunching(directory: Path, redis_url: str, **environment: Any) -> Iterator[Celery]:
    """Serves the app whose work runs in Celery, with a worker."""
    messages = redis_url.removesuffix("0") + str(next(_databases))
    settings: dict[str, Any] = {
        "FLASH_EVENTS_BROKER": redis_url,
        "FLASH_EVENTS_GRACE_SECONDS": "1",
        "CELERY_BROKER": messages,
        **environment,
    }
    with together(
        serving("tests.apps.crunch:server", directory, **settings),
        working(directory, "-c", str(PROCESSES), **settings),
    ) as [served, worker]:
        yield Celery(served, worker, redis_url, messages)


@contextmanager
def another(
    celery: Celery, directory: Path, app: str = "tests.apps.crunch:server", **environment: Any
) -> Iterator[Served]:
    """Starts a second server, as on another machine."""
    urls: dict[str, Any] = {
        "FLASH_EVENTS_BROKER": celery.redis_url,
        "CELERY_BROKER": celery.messages_url,
    }
    with serving(app, directory, **urls, **environment) as served:
        yield served
