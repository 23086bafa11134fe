"""How clients wake each other: a datagram without content, on a socket of each who watches."""

import errno
import os
import socket
import time
from contextlib import suppress
from pathlib import Path

SUFFIX = ".sock"

NAME_BYTES = len("/12345678.sock")

PATH_BYTES = 100
"""Maximum length of the path of a socket; it is 103 on some systems."""

DESCRIPTORS = Path("/proc/self/fd")

SETTLE_SECONDS = 0.1
"""Age of a directory's time from which on it changes again with the next entry."""


class BellDirectory:
    """A directory of sockets.

    The path of a socket has about 100 characters at most. Linux reaches a directory with a longer
    path by a descriptor; on other systems its clients only poll.

    Args:
        path: of the directory.

    Attributes:
        path: by which its sockets are reached.

    Raises:
        OSError: if it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = -1
        if len(os.fsencode(path)) + NAME_BYTES > PATH_BYTES and DESCRIPTORS.exists():
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            self.path = DESCRIPTORS / f"{self._fd}"

    def close(self) -> None:
        """Close the descriptor, if there is one."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Bell:
    """The socket of a client that watches.

    Args:
        directory: the directory of the sockets.
        worker: the id of the client.
    """

    def __init__(self, directory: BellDirectory, worker: str) -> None:
        self._path = directory.path / f"{worker[:8]}{SUFFIX}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._is_hung = False

    def hang(self) -> None:
        """Let others ring it; where that is not possible, its owner only polls."""
        if not self._is_hung:
            with suppress(OSError):
                self._socket.bind(str(self._path))
                self._is_hung = True

    def wait(self, seconds: float) -> bool:
        """Wait until somebody rings; return whether somebody has.

        Whatever has rung until now is taken back, so that who reads now has seen it all.
        """
        self._socket.settimeout(seconds)
        try:
            self._socket.recv(1)
            while True:
                self._socket.settimeout(0)
                self._socket.recv(1)
        except TimeoutError:
            return False
        except BlockingIOError:
            return True

    def ring(self) -> None:
        """Ring it from another thread of this process."""
        self.hang()
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(b"", str(self._path))

    def close(self) -> None:
        """Close the socket and remove it."""
        self._socket.close()
        if self._is_hung:
            self._path.unlink(missing_ok=True)


class Ringer:
    """Rings the bells of all clients, from one thread.

    A bell that has rung often enough for its owner to wake is left alone: who wakes reads all.

    Args:
        directory: the directory of the sockets.
    """

    def __init__(self, directory: BellDirectory) -> None:
        self._directory = directory.path
        self._bells: list[str] = []
        self._listed_at = -1
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def ring(self) -> None:
        """Ring all bells; never blocks."""
        for path in self._list():
            try:
                self._socket.sendto(b"", path)
            except (BlockingIOError, FileNotFoundError):
                pass
            except OSError as error:  # others poll
                if error.errno == errno.ECONNREFUSED:  # its process was killed
                    with suppress(OSError):
                        os.unlink(path)

    def close(self) -> None:
        """Close the own socket."""
        self._socket.close()

    def _list(self) -> list[str]:
        """Return the paths of the sockets, listed again when the directory has changed."""
        try:
            changed_at = os.stat(self._directory).st_mtime_ns
            if changed_at != self._listed_at:
                self._bells = [
                    entry.path
                    for entry in os.scandir(self._directory)
                    if entry.name.endswith(SUFFIX)
                ]
                # A change that follows at once may not change the time.
                is_settled = time.time() - changed_at / 1e9 > SETTLE_SECONDS
                self._listed_at = changed_at if is_settled else -1
        except OSError:
            self._bells, self._listed_at = [], -1
        return self._bells
