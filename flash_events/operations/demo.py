"""The command `python -m flash_events demo`, which serves the gallery of examples."""

import asyncio
import errno
import os
import socket
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config

from flash_events.extras import how_to_install

NEEDED = ("dash_ag_grid", "dash_mantine_components", "pandas", "PIL")
"""The modules that the extra `examples` installs."""

POLL_SECONDS = 0.05
"""Time between two attempts to connect to the starting server."""


def serve_gallery(address: str, port: int) -> int:
    """Serve the gallery until Ctrl+C, and return the exit code."""
    if not all(find_spec(name) for name in NEEDED):
        print(f"The demo needs more packages. {how_to_install('examples')}", file=sys.stderr)
        return 1
    # In a wheel the examples are in the package, in a clone beside it.
    package = "flash_events.examples" if find_spec("flash_events.examples") else "examples"
    try:
        bound = bound_socket(address, port)  # before the gallery is imported, which takes seconds
    except OSError as error:
        by_make = package == "examples" and "MAKELEVEL" in os.environ
        option = "make demo PORT=" if by_make else "--port "
        print(bind_error(error, address, port, option), file=sys.stderr)
        return 1
    gallery = import_module(f"{package}.gallery")
    asyncio.run(serve_and_announce(gallery.server, bound))
    return 0


def bound_socket(address: str, port: int) -> socket.socket:
    """Return a socket that is bound to the port and does not listen yet.

    Raises:
        OSError: if the port cannot be bound.
    """
    bound = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    try:
        if os.name == "posix":  # on Windows this would share a port that is in use
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((address, port))
    except OSError:
        bound.close()
        raise
    return bound


def bind_error(error: OSError, address: str, port: int, option: str) -> str:
    """Return the message for a port that cannot be bound.

    Args:
        error: the exception of `bound_socket`.
        address: the address.
        port: the port.
        option: the option that sets the port, such as "--port ".
    """
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is taken by another program. Use another port: {option}{port + 1}"
    return f"Cannot serve at {address}, port {port}: {error.strerror}."


async def serve_and_announce(app: Any, bound: socket.socket) -> None:
    """Serve an app, and print its address as soon as it can be opened."""
    host, port = bound.getsockname()[:2]
    config = Config.from_mapping(bind=f"fd://{bound.detach()}", loglevel="WARNING")
    announcing = asyncio.create_task(announce(host, port))
    try:
        await serve(app, config)
    finally:
        announcing.cancel()


async def announce(host: str, port: int) -> None:
    """Wait until the server accepts connections, then print its address."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    while True:
        try:
            _, writer = await asyncio.open_connection(host, port)
        except ConnectionRefusedError:
            await asyncio.sleep(POLL_SECONDS)
            continue
        writer.close()
        break
    shown = f"[{host}]" if ":" in host else host
    print(f"Open http://{shown}:{port}/ (Ctrl+C stops it)", flush=True)
