"""Workers of one server that share no broker: a stop reaches the worker that has the run.

Only signals pass between siblings, never events, over a Unix datagram socket per worker in a
private directory that is named after their parent process.
"""

import asyncio
import contextvars
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

MESSAGE_BYTES = 256 * 1024
"""More than any signal has."""

RETRY_SECONDS = 0.05
TRIES = 100
"""A sibling whose socket is full, as its loop is busy, is told again after this time, so often."""


def family() -> str | None:
    """What the workers of this server have in common; None for a process without siblings."""
    if not hasattr(os, "getuid"):
        return None
    forked_by_gunicorn = os.environ.get("SERVER_SOFTWARE", "").startswith("gunicorn")
    if multiprocessing.parent_process() is None and not forked_by_gunicorn:
        return None
    return f"flash-events-{os.getuid()}-{os.getppid()}"


class Siblings:
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
        self._socket: socket.socket | None = None

    async def join(self) -> None:
        """Opens this worker's socket."""
        self._directory.mkdir(mode=0o700, exist_ok=True)
        found = self._directory.lstat()
        if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) != 0o700:
            raise PermissionError(f"{self._directory} is not private to this user.")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(str(self._path))
        # Not a datagram endpoint: uvloop has none for Unix sockets.
        asyncio.get_running_loop().add_reader(self._socket, self._receive, self._socket)

    def leave(self) -> None:
        """Closes this worker's socket."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
            self._path.unlink(missing_ok=True)

    def exist(self) -> bool:
        """Whether this worker has company."""
        return any(_pid(path) != os.getpid() for path in self._others())

    def tell(self, signal: Signal, worker: str = "") -> None:
        """Sends a signal to one sibling, or to all of them."""
        message = encode(signal)
        for path in self._others():
            if path.name.endswith(f"{worker}.sock"):
                self._send(message, path)

    def _send(self, message: bytes, path: Path, tries: int = TRIES) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto(message, str(path))
        except BlockingIOError:
            if tries > 1:
                asyncio.get_running_loop().call_later(
                    RETRY_SECONDS,
                    self._send,
                    message,
                    path,
                    tries - 1,
                    context=contextvars.Context(),  # its own, or the request would be kept
                )
        except OSError as error:
            logger.debug("A sibling could not be told: %s", error)

    def _receive(self, receiver: socket.socket) -> None:
        try:
            message = receiver.recv(MESSAGE_BYTES)
        except BlockingIOError:
            return
        self._on_signal(decode(message))

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
