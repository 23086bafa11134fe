"""Workers of one server that share no broker: a stop reaches the worker that has the run.

Only signals pass between siblings, never events, over a Unix datagram socket per worker in a
private directory that is named after their parent process. A sibling is alive if its socket can be
connected to: process ids say nothing, as they differ between containers that share a directory.
"""

import asyncio
import contextvars
import errno
import logging
import os
import secrets
import socket
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from flash_events.brokers.family import PREFIX
from flash_events.brokers.ids import WorkerId
from flash_events.brokers.messages import Signal, decode, encode

logger = logging.getLogger(__name__)

MESSAGE_BYTES = 256 * 1024
"""Maximum size of a signal, in bytes."""

RETRY_SECONDS = 0.01
"""Time between two tries to send to a sibling whose socket is full."""

PATIENCE_SECONDS = 5.0
"""Timeout after which the waiting messages of a sibling that reads nothing are dropped."""

BUNCH_BYTES = 64 * 1024
"""Approximate size up to which waiting messages are sent together."""

WAITING_BYTES = 1024 * 1024
"""Maximum size of the messages that wait for one sibling; further ones are dropped."""

JOIN_TRIES = 10
"""How often a worker tries to open its socket while leaving siblings remove the directory."""

_PROCESS = secrets.token_hex(3)
"""With the process id it is unique among all that may share the directory."""


@dataclass(slots=True)
class _Waiting:
    """Messages that wait for a sibling whose socket is full."""

    messages: list[bytes] = field(default_factory=list)
    size: int = 0

    def add(self, message: bytes) -> bool:
        """Add a message if there is room for it; return whether there was."""
        if self.size + len(message) > WAITING_BYTES:
            return False
        self.messages.append(message)
        self.size += len(message)
        return True

    def bunch(self) -> list[bytes]:
        """Return the first message, and those after it that fit with it into one."""
        room = BUNCH_BYTES
        for count, message in enumerate(self.messages):
            room -= len(message)
            if count and room < 0:
                return self.messages[:count]
        return self.messages[:]

    def remove(self, bunch: list[bytes]) -> None:
        """Remove the messages that were sent."""
        del self.messages[: len(bunch)]
        self.size -= sum(map(len, bunch))


class Siblings:
    """The connection of this worker to its siblings.

    Args:
        name: of the directory that they share, from `family()`.
        worker: this worker's id.
        on_signal: called with what a sibling tells.
    """

    def __init__(self, name: str, worker: WorkerId, on_signal: Callable[[Signal], None]) -> None:
        self._temporary = Path(tempfile.gettempdir())
        self._directory = self._temporary / name
        self._on_signal = on_signal
        self._own = f"{os.getpid()}-{_PROCESS}-"
        self._path = self._directory / f"{self._own}{_short(worker)}.sock"
        self._socket: socket.socket | None = None
        self._waiting: dict[Path, _Waiting] = {}

    async def join(self) -> None:
        """Open this worker's socket; removes what killed workers have left.

        Raises:
            OSError: the directory is not private, or the socket cannot be opened there.
        """
        self._sweep_others()
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        receiver.setblocking(False)
        try:
            self._bind(receiver)
        except OSError:
            receiver.close()
            with suppress(OSError):
                self._directory.rmdir()
            raise
        self._socket = receiver
        # Not a datagram endpoint: uvloop has none for Unix sockets.
        asyncio.get_running_loop().add_reader(receiver, self._receive, receiver)

    def leave(self) -> None:
        """Close this worker's socket; the last one removes the directory."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
            self._path.unlink(missing_ok=True)
            _sweep(self._directory)

    def exist(self) -> bool:
        """Return whether sibling workers exist in other processes."""
        others = (path for path in self._others() if not path.name.startswith(self._own))
        return any(_is_alive(path) for path in others)

    def workers(self) -> list[WorkerId]:
        """The siblings that are alive, in this process too, by the ids that `tell` takes."""
        alive = (path for path in self._others() if _is_alive(path))
        return [WorkerId(path.stem.rpartition("-")[2]) for path in alive]

    def lives(self, worker: WorkerId) -> bool:
        """Return whether a sibling has its socket open."""
        return any(_is_alive(path) for path in self._paths_of(worker))

    def tell(self, signal: Signal, worker: WorkerId | None = None) -> None:
        """Send a signal to one sibling, or to all of them."""
        message = encode(signal)
        for path in self._others() if worker is None else self._paths_of(worker):
            waiting = self._waiting.get(path)
            if waiting is not None:
                if not waiting.add(message):
                    logger.warning("A sibling takes nothing; a signal to it is dropped.")
            elif not self._send(message, path):
                self._waiting[path] = waiting = _Waiting()
                waiting.add(message)
                self._wait(path, time.monotonic() + PATIENCE_SECONDS)

    def _bind(self, receiver: socket.socket) -> None:
        for tries_left in reversed(range(JOIN_TRIES)):
            self._directory.mkdir(mode=0o700, exist_ok=True)
            try:
                found = self._directory.lstat()
                if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) != 0o700:
                    raise PermissionError(f"{self._directory} is not private to this user.")
                receiver.bind(str(self._path))
            except FileNotFoundError:  # a sibling that leaves has just removed the directory
                if not tries_left:
                    raise
            else:
                return

    def _sweep_others(self) -> None:
        """Remove the directories of this user's servers whose workers were all killed."""
        for directory in self._temporary.glob(f"{PREFIX}{os.getuid()}-*"):
            with suppress(OSError):
                found = directory.lstat()
                if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid():
                    _sweep(directory)

    def _send(self, message: bytes, path: Path) -> bool:
        """Return False if the sibling's socket is full."""
        if self._socket is None:
            return True
        try:
            self._socket.sendto(message, str(path))
        except ConnectionRefusedError:  # nobody has the socket open
            path.unlink(missing_ok=True)
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
        while waiting.messages:
            bunch = waiting.bunch()
            if not self._send(b"\n".join(bunch), path):
                break
            waiting.remove(bunch)
            until = time.monotonic() + PATIENCE_SECONDS
        if waiting.messages and time.monotonic() < until:
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

    def _others(self) -> Iterator[Path]:
        return (path for path in self._directory.glob("*.sock") if path != self._path)

    def _paths_of(self, worker: WorkerId) -> Iterator[Path]:
        return self._directory.glob(f"*-{_short(worker)}.sock")


def _short(worker: WorkerId) -> str:
    """Part of a worker's id: the path of a Unix socket has about 100 characters."""
    return worker[:12]


def _is_alive(path: Path) -> bool:
    """Return whether a worker has a socket open; removes the file of one that has not."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return False
        except OSError:
            return False
    return True


def _sweep(directory: Path) -> None:
    """Remove the sockets of dead workers, and the directory if no other is left."""
    for path in directory.glob("*.sock"):
        _is_alive(path)
    with suppress(OSError):
        directory.rmdir()
