"""A proxy of Redis that answers every command with an error on request."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit


class Refusing:
    """Passes commands on to Redis, or refuses each of them.

    Attributes:
        url: for clients.
        refusal: the error reply that every command gets, without the dash; "" for none.
        refused: how many commands were refused.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname, parts.port)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        self.refusal = ""
        self.refused = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                for work in (self._ask, self._answer):
                    threading.Thread(target=work, args=(client, server), daemon=True).start()

    def _ask(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError, ValueError), client.makefile("rb") as commands:
            while head := commands.readline():
                command = [head]
                for _ in range(int(head[1:])):
                    size = commands.readline()
                    command += [size, commands.read(int(size[1:]) + 2)]
                if self.refusal:
                    self.refused += 1
                    client.sendall(f"-{self.refusal}\r\n".encode())
                else:
                    server.sendall(b"".join(command))
        server.close()

    def _answer(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                client.sendall(data)
        client.close()


@contextmanager
def refusing(url: str) -> Iterator[Refusing]:
    """Runs in front of a Redis until the block ends."""
    proxy = Refusing(url)
    try:
        yield proxy
    finally:
        proxy.close()
