"""Cost of a topic with many pages: a burst, and a steady pace.

Each page is one connection with one `Subscription`. The baseline is a bare ASGI app that sends
ready bytes under the same hypercorn.
"""

import json
import os
import selectors
import socket
import tempfile
import threading
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.clients import Endpoint, Tab, request, subscription
from benchmarks.figures import Figure
from benchmarks.processes import allow_files, cpu_seconds
from tests.support.server import Served, serving

PAGES = int(os.environ.get("FAN_OUT_PAGES", "500"))
BURST = 100
PER_SECOND = 20
SECONDS = 5
TITLE = f"One topic, {PAGES} pages, messages of 60 bytes"
REFERENCE = "bare ASGI hub"

GIVE_UP_SECONDS = 60.0
MARK = b'"message.'
"""Text that each message contains once."""

CONTENDERS = {REFERENCE: "bare_hub", "flash_events": "fan_out"}
RATE, CPU = "messages/s in a burst", f"µs of the server's CPU per page and message, {PER_SECOND}/s"


def measure(rounds: int) -> Iterator[Figure]:
    allow_files(2 * PAGES + 200)
    samples: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        pages = {
            name: stack.enter_context(_opened(app, home / app)) for name, app in CONTENDERS.items()
        }
        for _ in range(rounds):
            for name, opened in pages.items():
                samples[name, RATE].append(opened.burst())
            for name, opened in pages.items():
                samples[name, CPU].append(opened.paced())
    for quantity in (RATE, CPU):
        for name in CONTENDERS:
            yield Figure(TITLE, name, quantity, tuple(samples[name, quantity]))


@contextmanager
def _opened(app: str, home: Path) -> Iterator["Pages"]:
    home.mkdir()
    with serving(
        f"benchmarks.apps.{app}:server", home, FLASH_EVENTS_MAX_CONNECTIONS=str(PAGES + 1)
    ) as served:
        pages = Pages(served)
        try:
            yield pages
        finally:
            pages.close()


@dataclass
class Pages:
    """The pages of one server, which read without an event loop and only count."""

    served: Served

    def __post_init__(self) -> None:
        [self._worker] = self.served.workers()
        parts = urlsplit(self.served.url)
        at = Endpoint(str(parts.hostname), int(parts.port or 0), {})
        self._selector = selectors.DefaultSelector()
        self._kept: dict[socket.socket, bytes] = {}
        url = f"{self.served.url}_dash-flash-events/start"
        for _ in range(PAGES):
            body = Tab(at).body_with(subscription("news"))
            connection = socket.create_connection((at.host, at.port), GIVE_UP_SECONDS)
            connection.sendall(request(url, json.dumps(body)))
            head = connection.recv(1024)
            assert b" 200" in head.partition(b"\r\n")[0], head
            connection.setblocking(False)
            self._selector.register(connection, selectors.EVENT_READ)
            self._kept[connection] = b""
        self._publish(5, 0.01)

    def close(self) -> None:
        for connection in self._kept:
            connection.close()
        self._selector.close()

    def burst(self) -> float:
        """Returns the messages a second that all pages get."""
        return PAGES * BURST / self._publish(BURST, 0.0)

    def paced(self) -> float:
        """Returns the server's CPU in µs per page and message."""
        before = cpu_seconds(self._worker)
        count = PER_SECOND * SECONDS
        self._publish(count, 1 / PER_SECOND)
        return 1e6 * (cpu_seconds(self._worker) - before) / (PAGES * count)

    def _publish(self, count: int, pause: float) -> float:
        """Publishes, and reads until all pages have all messages; returns the seconds it took."""
        url = f"{self.served.url}publish/{count}/{pause}"
        publishing = threading.Thread(target=lambda: urllib.request.urlopen(url).read())
        begun = time.perf_counter()
        publishing.start()
        left = count * PAGES
        while left > 0:
            assert time.perf_counter() - begun < GIVE_UP_SECONDS, f"{left:,} messages are missing"
            for key, _ in self._selector.select(1.0):
                left -= self._read(key.fileobj)
        seconds = time.perf_counter() - begun
        publishing.join()
        assert not left, f"{-left:,} messages too many"
        return seconds

    def _read(self, connection: Any) -> int:
        data: bytes = self._kept[connection] + connection.recv(1 << 18)
        self._kept[connection] = data[1 - len(MARK) :]
        return data.count(MARK)
