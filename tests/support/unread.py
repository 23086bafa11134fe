"""The run of row 5: a client that reads nothing must use no memory, and get everything later."""

import time
from pathlib import Path

from tests.support.page import Page, opened
from tests.support.server import Served, serving, wait_until
from tests.support.socket_client import Stream

UPDATES = 30_000
MIB = 1024 * 1024
GROWTH_BYTES = 20 * MIB


def leave_unread(directory: Path, seconds: float) -> None:
    """Reads nothing for some time while a generator produces at full speed; then reads all.

    Args:
        directory: for the server's log.
        seconds: how long nothing is read.
    """
    with serving("tests.apps.faults:server", directory) as served, opened(served) as page:
        # A first run, so that the memory that any run needs is not counted as growth.
        read_all(page, 1_000)
        worker = served.marks("flood at")[0]["pid"]
        before = resident_bytes(worker)
        asked = len(served.marks("flood at"))
        stream = Stream(page.url("start"), page.body("flood", UPDATES), receive_bytes=65536)
        most = 0
        until = time.monotonic() + seconds
        reached: list[tuple[float, int]] = []  # times at which the generator was at which update

        def has_passed() -> bool:
            nonlocal most
            most = max(most, resident_bytes(worker))
            at = progress(served, asked)
            if not reached or reached[-1][1] != at:
                reached.append((time.monotonic(), at))
            return time.monotonic() >= until

        wait_until(has_passed, seconds + 5, "the end of the silence")
        assert most - before < GROWTH_BYTES, f"{(most - before) / MIB:.1f} MiB more"
        paused_at, number = reached[-1]
        assert number < UPDATES - 1_000, "the generator ran to its end"
        assert paused_at < until - seconds / 2, "the generator was not paused"
        numbers = [event.data["n"] for event in stream.events() if event.name == "update"]
        assert numbers == list(range(1, UPDATES + 1))


def read_all(page: Page, updates: int) -> None:
    stream = Stream(page.url("start"), page.body("flood", updates))
    assert [event.name for event in stream.events()][-1] == "close"


def progress(served: Served, asked: int) -> int:
    """Returns the last update that the generator has marked."""
    marks = served.marks("flood at")[asked:]
    return int(marks[-1]["number"]) if marks else 0


def resident_bytes(pid: int) -> int:
    """Returns the RSS of a process."""
    for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"process {pid} has no memory")
