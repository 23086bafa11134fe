"""Workers of one server that share no broker: a stop reaches the worker that has the run.

Only signals pass between siblings, never events, over a Unix datagram socket per worker in a
private directory that is named after their parent process.
"""

import asyncio
import logging
import multiprocessing
import os
import socket
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from flash_events.brokers.signals import Signal, decode, encode

logger = logging.getLogger(__name__)


def family() -> str | None:
    """What the workers of this server have in common; None for a process without siblings."""
    if not hasattr(os, "getuid"):
        return None
    forked_by_gunicorn = os.environ.get("SERVER_SOFTWARE", "").startswith("gunicorn")
    if multiprocessing.parent_process() is None and not forked_by_gunicorn:
        return None
    return f"flash-events-{os.getuid()}-{os.getppid()}"


class Siblings(asyncio.DatagramProtocol):
    """This worker's place among its siblings.

    Args:
        name: of the directory that they share, from `family()`.
        worker: this worker's id.
        on_signal: called with what a sibling tells.
    """

    def __init__(self, name: str, worker: str, on_signal: Callable[[Signal], None]) -> None:
        self._directory = Path(tempfile.gettempdir()) / name
        self._on_signal = on_signal
        self._path = self._directory / f"{os.getpid()}-{worker}.sock"
        self._transport: asyncio.DatagramTransport | None = None

    async def join(self) -> None:
        """Opens this worker's socket."""
        self._directory.mkdir(mode=0o700, exist_ok=True)
        found = self._directory.lstat()
        if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) != 0o700:
            raise PermissionError(f"{self._directory} is not private to this user.")
        self._transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: self, local_addr=str(self._path), family=socket.AF_UNIX
        )

    def leave(self) -> None:
        """Closes this worker's socket."""
        if self._transport is not None:
            self._transport.close()
            self._path.unlink(missing_ok=True)

    def exist(self) -> bool:
        """Whether this worker has company."""
        return any(_pid(path) != os.getpid() for path in self._others())

    def tell(self, signal: Signal, worker: str = "") -> None:
        """Sends a signal to one sibling, or to all of them."""
        message = encode(signal)
        for path in self._others():
            if self._transport is not None and path.name.endswith(f"{worker}.sock"):
                self._transport.sendto(message, str(path))

    def datagram_received(self, data: bytes, _address: object) -> None:
        self._on_signal(decode(data))

    def error_received(self, error: Exception) -> None:
        logger.debug("A sibling could not be told: %s", error)

    def _others(self) -> list[Path]:
        others = []
        for path in self._directory.glob("*.sock"):
            if path == self._path:
                continue
            if _is_alive(_pid(path)):
                others.append(path)
            else:
                path.unlink(missing_ok=True)
        return others


def _pid(path: Path) -> int:
    return int(path.name.partition("-")[0])


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # of another user
    return True
