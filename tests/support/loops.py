"""Fault 28: one page attaches and stops, again and again, and reads nothing."""

from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from redis import Redis

from tests.support.page import Page, new_id, opened
from tests.support.server import serving
from tests.support.socket_client import Refusal, Stream
from tests.support.unread import MIB, resident_bytes

GROWTH_BYTES = 20 * MIB
PIECES = 70
"""Size of a kept run's updates: 7 MB."""


def ask_in_a_loop(broker: str, directory: Path, attaches: int, stops: int) -> None:
    """Attaches to one kept run with a new connection each time, and stops 512 unknown runs.

    Args:
        broker: its URL.
        directory: for the server's log.
        attaches: how often.
        stops: how often.
    """
    redis = Redis.from_url(broker) if broker.startswith("redis") else None
    environment: dict[str, Any] = {"FLASH_EVENTS_BROKER": broker}
    with (
        serving("tests.apps.faults:server", directory, **environment) as served,
        opened(served) as page,
        ExitStack() as unread,
    ):
        body = page.body("keeps", PIECES)
        first = Stream(page.url("start"), body)
        while not served.marks("keeps all"):
            next(first.events())
        worker = served.marks("keeps all")[0]["pid"]
        page.stop(*new_ids())
        before = resident_bytes(worker), used_bytes(redis)
        for _ in range(attaches):
            with suppress(Refusal):  # because the page has too many connections
                asked = attach(page, body["flash_events"]["run"])
                stream = Stream(page.url("attach"), asked, receive_bytes=4096)
                unread.callback(stream.close)
        for _ in range(stops):
            assert page.stop(*new_ids()).status_code == 202
        more = resident_bytes(worker) - before[0], used_bytes(redis) - before[1]
        assert max(more) < GROWTH_BYTES, [f"{one / MIB:.1f} MiB more" for one in more]
        assert page.stop(body["flash_events"]["run"]).status_code == 202


def new_ids() -> list[str]:
    return [new_id() for _ in range(512)]


def attach(page: Page, run: str) -> dict[str, Any]:
    fields = {"page": page.page, "connection": new_id(), "connections": []}
    runs = [{"run": run, "seen": 0}]
    return {"flash_events": {"version": 1, "runs": runs, **fields}}


def used_bytes(redis: Any) -> int:
    """Returns the memory that Redis uses."""
    return 0 if redis is None else int(redis.info("memory")["used_memory"])
