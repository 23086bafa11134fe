"""Workers as on several machines, which share their streams or die."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from httpx_sse import ServerSentEvent

from tests.support.page import Page, data
from tests.support.server import Served, serving

EXIT_SECONDS = 5


@contextmanager
def machines(
    directory: Path, broker: str, count: int = 2, **settings: Any
) -> Iterator[list[Served]]:
    """Servers with one worker each, as on several machines."""
    with ExitStack() as stack:
        served = []
        for n in range(count):
            home = directory / str(n)
            home.mkdir()
            served.append(
                stack.enter_context(
                    serving(
                        "tests.apps.kitchen:server", home, FLASH_EVENTS_BROKER=broker, **settings
                    )
                )
            )
        yield served


def connection_of(body: dict[str, dict[str, str]]) -> str:
    return body["flash_events"]["connection"]


def start_beside(first: dict[str, Any], there: Page, component_id: str) -> dict[str, Any]:
    """Starts a run on one machine, on a connection that the first run has open at another."""
    second = there.body(component_id, connections=[connection_of(first)])
    assert there.post("start", second).status_code == 202
    return second


def take_updates(events: Iterator[ServerSentEvent], count: int) -> list[int]:
    """Returns the numbers of the next updates."""
    numbers: list[int] = []
    for event in events:
        if event.event == "update":
            numbers.append(data(event)["n"])
            if len(numbers) == count:
                break
    return numbers


def kill(served: Served) -> None:
    """Kills the one worker of a server, and its parent, which would stop it gracefully."""
    workers = served.workers()
    served.process.kill()
    for worker in workers:
        os.kill(worker, signal.SIGKILL)


def terminate(served: Served) -> float:
    """Asks a server to stop; returns the time."""
    served.process.send_signal(signal.SIGTERM)
    return time.monotonic()


def has_exited_in_time(served: Served, asked: float) -> None:
    """Asserts that it exits within the promised time."""
    served.process.wait(EXIT_SECONDS)
    assert time.monotonic() - asked < EXIT_SECONDS
