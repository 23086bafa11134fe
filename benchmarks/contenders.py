"""The contenders: flash_events and its alternatives."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.environments import DASH_FLASH, NATIVE_STREAMS, Absent, Environment
from tests.support.server import Served, serving


@dataclass(frozen=True, eq=False)
class Contender:
    """An app that does the work in its own way.

    Attributes:
        name: in the tables.
        app: its module, in benchmarks/apps.
        environment: where it runs, if not in this one.
        variables: of its process.
        skips: whether the page only gets what is newest when it asks.
    """

    name: str
    app: str
    environment: Environment | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    skips: bool = False

    @property
    def program(self) -> str:
        """Returns the Python that runs it."""
        return sys.executable if self.environment is None else self.environment.program()


OURS = Contender("flash_events", "ours")
WEBSOCKET = Contender("Dash websocket callback", "dash_websocket")
NATIVE = Contender("Dash 4.5.0rc2 native stream", "dash_native", NATIVE_STREAMS)
FLASH = Contender("dash-flash 1.4.0", "dash_flash", DASH_FLASH)
UNPACED = Contender(
    "dash-flash, its pause removed", "dash_flash", DASH_FLASH, {"BENCH_UNPACED": "yes"}
)
BACKGROUND = Contender("Dash background callback", "dash_background", skips=True)
INTERVAL = Contender("dcc.Interval, 100 ms", "dash_interval", skips=True)
BARE_256 = Contender("bare ASGI, 256 events per send", "bare", None, {"EVENTS_PER_SEND": "256"})
BARE_1 = Contender("bare ASGI, 1 event per send", "bare", None, {"EVENTS_PER_SEND": "1"})

STREAMS = (OURS, WEBSOCKET, NATIVE, UNPACED, FLASH)
"""Contenders that stream into a page."""


@dataclass(frozen=True)
class Started:
    """Returns the available contenders, and the reasons why others are missing."""

    servers: dict[Contender, Served]
    absent: dict[Contender, str]


@contextmanager
def started(contenders: Sequence[Contender], **environment: str) -> Iterator[Started]:
    """Serves all contenders until the block ends; they are measured one after another."""
    servers: dict[Contender, Served] = {}
    absent: dict[Contender, str] = {}
    with ExitStack() as stack:
        home = Path(stack.enter_context(TemporaryDirectory()))
        for number, contender in enumerate(contenders):
            try:
                program = contender.program
            except Absent as reason:
                absent[contender] = str(reason)
                continue
            directory = home / str(number)
            directory.mkdir()
            app = f"benchmarks.apps.{contender.app}:server"
            variables: Any = {**environment, **contender.variables}
            servers[contender] = stack.enter_context(
                serving(app, directory, python=program, **variables)
            )
        yield Started(servers, absent)
