"""Workers of one server that share no broker: a stop reaches the worker that has the run.

Only signals pass between siblings, never events, over a Unix datagram socket per worker in a
private directory that is named after their parent process.
"""

import asyncio
import contextvars
import errno
import logging
import multiprocessing
import os
import socket
import stat
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from flash_events.brokers.signals import Signal, decode, encode

logger = logging.getLogger(__name__)

MESSAGE_BYTES = 256 * 1024
"""More than any signal has."""

RETRY_SECONDS = 0.01
"""How long to wait for a sibling whose socket is full, as its loop is busy."""

PATIENCE_SECONDS = 5.0
"""A sibling that has taken nothing for so long is not told any more of what waits for it."""

BUNCH_BYTES = 64 * 1024
"""What waits is sent together, up to about this size."""


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
        self._waiting: dict[Path, list[bytes]] = {}

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
            if not path.name.endswith(f"{worker}.sock"):
                continue
            if path in self._waiting:
                self._waiting[path].append(message)
            elif not self._send(message, path):
                self._waiting[path] = [message]
                self._wait(path, time.monotonic() + PATIENCE_SECONDS)

    def _send(self, message: bytes, path: Path) -> bool:
        """False where the sibling's socket is full."""
        if self._socket is None:
            return True
        try:
            self._socket.sendto(message, str(path))
        except OSError as error:
            if isinstance(error, BlockingIOError) or error.errno == errno.ENOBUFS:  # macOS
                return False
            logger.debug("A sibling could not be told: %s", error)
        return True

    def _wait(self, path: Path, until: float) -> None:
        asyncio.get_running_loop().call_later(
            RETRY_SECONDS,
            self._send_waiting,
            path,
            until,
            context=contextvars.Context(),  # its own, or the request would be kept
        )

    def _send_waiting(self, path: Path, until: float) -> None:
        waiting = self._waiting[path]
        while waiting:
            bunch = _bunch(waiting)
            if not self._send(b"\n".join(bunch), path):
                break
            del waiting[: len(bunch)]
            until = time.monotonic() + PATIENCE_SECONDS
        if waiting and time.monotonic() < until:
            self._wait(path, until)
        else:
            del self._waiting[path]

    def _receive(self, receiver: socket.socket) -> None:
        try:
            messages = receiver.recv(MESSAGE_BYTES)
        except BlockingIOError:
            return
        for message in messages.split(b"\n"):
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


def _bunch(waiting: list[bytes]) -> list[bytes]:
    """The first one, and those after it that fit with it into one message."""
    room = BUNCH_BYTES
    for count, message in enumerate(waiting):
        room -= len(message)
        if count and room < 0:
            return waiting[:count]
    return waiting[:]


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
