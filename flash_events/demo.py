"""`python -m flash_events demo`: serves the gallery of examples."""

import asyncio
import sys
from importlib import import_module
from importlib.util import find_spec

from hypercorn.asyncio import serve
from hypercorn.config import Config

NEEDED = ("dash_ag_grid", "dash_mantine_components", "pandas", "PIL")
"""What the extra `examples` installs."""


def serve_gallery(address: str, port: int) -> int:
    """Serves until Ctrl+C; returns the exit code."""
    if not all(find_spec(name) for name in NEEDED):
        print("The demo needs more packages: pip install 'flash-events[examples]'", file=sys.stderr)
        return 1
    # In a wheel the examples are in the package, in a clone beside it.
    package = "flash_events.examples" if find_spec("flash_events.examples") else "examples"
    gallery = import_module(f"{package}.gallery")
    config = Config.from_mapping(bind=f"{address}:{port}", loglevel="WARNING")
    print(f"Open http://{address}:{port}/ (Ctrl+C stops it)", flush=True)
    try:
        asyncio.run(serve(gallery.server, config))
    except OSError as error:  # most often: the port is taken
        print(f"Cannot serve: {error.strerror}. Another port: --port 8051", file=sys.stderr)
        return 1
    return 0
