"""A TCP proxy that fails on command like a network: it cuts, stalls, or drops a response."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with a timeout of 0: closing sends RST, and buffered data is lost."""


class Proxy:
    """Passes bytes between clients and one server until it is told to fail."""

    def __init__(self, target: str) -> None:
        self.aim(target)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._allowance: int | None = None
        self._flows = threading.Event()
        self._flows.set()
        self.carried = threading.Event()
        """Set whenever bytes have arrived from the server."""
        self.cuts = 0
        """Number of allowances that were used up."""
        threading.Thread(target=self._accept, daemon=True).start()

    def aim(self, target: str) -> None:
        """Connects new connections to another server from now on."""
        parts = urlsplit(target)
        self._target = (parts.hostname, parts.port)

    def cut(self) -> int:
        """Resets every connection; returns their number."""
        with self._lock:
            victims, self._open = self._open, set()
        for victim in victims:
            with suppress(OSError):
                victim.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                victim.shutdown(socket.SHUT_RDWR)
            victim.close()
        return len(victims) // 2

    def cut_after(self, count: int) -> None:
        """Resets every connection after so many further bytes from the server.

        With 0, the next response is dropped: the server has sent it, and no client gets it.
        """
        with self._lock:
            self._allowance = count

    def stall(self) -> None:
        """Passes and reads nothing, while every connection stays open."""
        self._flows.clear()

    def flow(self) -> None:
        """Continues after a stall."""
        self._flows.set()

    def close(self) -> None:
        self._listener.close()
        self.cut()
        self.flow()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
            except OSError:
                return
            with self._lock:
                self._open |= {client, server}
            for source, sink in ((client, server), (server, client)):
                threading.Thread(
                    target=self._pass_on, args=(source, sink, source is server), daemon=True
                ).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, is_answer: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._flows.wait()
                if is_answer and (allowed := self._take(len(data))) < len(data):
                    try:
                        sink.sendall(data[:allowed])
                    finally:  # the cut before may be closing this connection now
                        self.cuts += 1
                        self.cut()
                    return
                sink.sendall(data)
                if is_answer:
                    self.carried.set()
        self._flows.wait()
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)
        for one in (source, sink):
            with self._lock:
                self._open.discard(one)
            one.close()

    def _take(self, count: int) -> int:
        """Returns how many of `count` bytes may pass; fewer than all only once."""
        with self._lock:
            if self._allowance is None:
                return count
            if self._allowance >= count:
                self._allowance -= count
                return count
            allowed, self._allowance = self._allowance, None
            return allowed


@contextmanager
def proxied(target: str) -> Iterator[Proxy]:
    """Runs a proxy in front of a server until the block ends."""
    proxy = Proxy(target)
    try:
        yield proxy
    finally:
        proxy.close()
