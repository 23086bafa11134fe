"""A plain HTTP client that only counts, so that it is faster than every server.

It reads what the socket has, without an event loop: with one it would be the limit itself, as it
then reads a fifth fewer of the bare app's updates, and a third fewer where it unpacks chunks.

Run: python -m benchmarks.reader URL COUNT [BODY]
Prints the seconds from the request to the last update.
"""

import socket
import sys
import time
from urllib.parse import urlsplit

from benchmarks.clients import request

MARK = b'"children"'
"""Text that each update contains once, with every contender."""
BUFFER_BYTES = 1 << 20
SILENCE_SECONDS = 30
LITTLE_BYTES = 1 << 16
NAP_SECONDS = 0.001
"""Pause after a small read: a wake-up for each event would cost the server time."""


def main(url: str, count: int, body: str = "") -> None:
    parts, message = urlsplit(url), request(url, body)
    with socket.create_connection((parts.hostname, parts.port), SILENCE_SECONDS) as connection:
        began = time.perf_counter()
        connection.sendall(message)
        read(connection, count)
        print(time.perf_counter() - began)


def read(connection: socket.socket, count: int) -> None:
    """Reads until it has counted a number of updates."""
    buffer, kept = bytearray(BUFFER_BYTES), len(MARK) - 1
    seen, end = 0, 0
    while seen < count:
        got = connection.recv_into(memoryview(buffer)[end:])
        if not got:
            sys.exit(f"{seen:,} of {count:,} updates arrive")
        end += got
        seen += buffer.count(MARK, 0, end)
        # Keep the start of a mark that is cut in two, but never a complete one.
        start = max(0, end - kept)
        buffer[: end - start] = buffer[start:end]
        end -= start
        if got < LITTLE_BYTES:
            time.sleep(NAP_SECONDS)  # see there; a process of its own, with no loop


if __name__ == "__main__":
    url, count, *body = sys.argv[1:]
    main(url, int(count), *body)
