"""One run yields 200,000 small updates, which a plain HTTP client reads."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx

from benchmarks.apps.page import MANY
from benchmarks.clients import Endpoint, Tab
from benchmarks.contenders import BARE_1, BARE_256, OURS, UNPACED, Contender, started
from benchmarks.figures import Figure
from tests.support.server import Served

TITLE = f"{MANY:,} small updates, read by a plain HTTP client"
CONTENDERS = (OURS, BARE_256, BARE_1, UNPACED)


def request(contender: Contender, served: Served) -> tuple[str, str]:
    """Returns the request that starts the run: its URL and body."""
    match contender.app:
        case "ours":
            body = Tab(Endpoint.of(served.url)).start_body("many")
            return f"{served.url}_dash-flash-events/start", json.dumps(body)
        case "dash_flash":
            content = {"sse_callback_id": flash_id(served), "clicks": 1}
            return f"{served.url}dash_update_component_sse", json.dumps({"content": content})
        case _:
            return f"{served.url}stream", ""


def flash_id(served: Served) -> str:
    """Returns dash-flash's id of `many`, its first callback.

    Each callback puts its component before those that are there; the page itself comes last.
    """
    layout: Any = httpx.get(f"{served.url}_dash-layout").json()
    components = layout if isinstance(layout, list) else layout["props"]["children"]
    index: str = components[-2]["props"]["children"][0]["props"]["id"]["index"]
    return index


def updates_per_second(contender: Contender, served: Served) -> float:
    """Returns the updates a second of a reader in a separate process.

    Raises:
        subprocess.CalledProcessError: not all of them came.
    """
    url, body = request(contender, served)
    command = [sys.executable, "-m", "benchmarks.reader", url, str(MANY), *([body] if body else [])]
    return MANY / float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure(rounds: int) -> Iterator[Figure]:
    samples: dict[Contender, list[float]] = {contender: [] for contender in CONTENDERS}
    with started(CONTENDERS) as running:
        notes = dict(running.absent)
        for _ in range(rounds):
            for contender, served in running.servers.items():
                if contender in notes:
                    continue
                try:
                    samples[contender].append(updates_per_second(contender, served))
                except subprocess.CalledProcessError as error:
                    notes[contender] = error.stderr.strip().splitlines()[-1]
                    samples[contender].clear()
    for contender in CONTENDERS:
        yield Figure(
            TITLE, contender.name, "updates/s", tuple(samples[contender]), notes.get(contender, "")
        )
