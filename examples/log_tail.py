"""The last lines of a log file, and then each new one as it is written.

Run: python -m examples.log_tail
"""

import random
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, callback, dcc, no_update

from flash_events import RunState, Update, event_callback, stream_props

FOLDER = TemporaryDirectory(prefix="log_tail")  # removed when the process ends
LOG = Path(FOLDER.name) / "shop.log"
LOG.touch()
SHOWN_LINES = 200
LOOK_SECONDS = 0.1
WRAPPED = {"whiteSpace": "pre-wrap", "overflowWrap": "anywhere"}
LEVELS = {
    "All": {"INFO", "WARNING", "ERROR"},
    "Warnings": {"WARNING", "ERROR"},
    "Errors": {"ERROR"},
}
EVENTS = {
    ("INFO", "GET /basket 200 in {n} ms"): 6,
    ("INFO", "order {n} paid"): 3,
    ("WARNING", "slow query: {n} ms"): 1,
    ("WARNING", "card declined, order {n}"): 1,
    ("ERROR", "payment service: timeout after {n} ms"): 1,
}


@contextmanager
def shop() -> Iterator[None]:
    """A log to follow: a busy shop writes into the file until the block ends."""
    has_closed = Event()

    def write() -> None:
        with LOG.open("a", buffering=1, encoding="utf-8") as file:
            while not has_closed.wait(random.expovariate(8)):
                [(level, text)] = random.choices(list(EVENTS), list(EVENTS.values()))
                now = time.strftime("%H:%M:%S")
                file.write(f"{now} {level} {text.format(n=random.randint(10, 990))}\n")

    writer = Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        has_closed.set()
        writer.join()


def follow(path: Path) -> Iterator[list[str]]:
    """Yields the lines of a file, then appended ones; an empty list if there are none."""
    with path.open(encoding="utf-8") as file:
        rest = ""
        while True:
            *lines, rest = (rest + file.read()).split("\n")  # the last line may be incomplete
            yield lines
            time.sleep(LOOK_SECONDS)


log = dmc.Paper(
    # A reversed scroll box stays at its end while it grows.
    dmc.Box(
        # One text: with a component per line, Dash would check all of them for each new line.
        dmc.Text("", id="log-lines", size="xs", ff="monospace", style=WRAPPED),
        h="min(60vh, 480px)",
        style={"overflowY": "auto", "display": "flex", "flexDirection": "column-reverse"},
    ),
    withBorder=True,
    p="sm",
)
controls = [
    dmc.Button("Start", id="log-start"),
    dmc.Button("Stop", id="log-stop", variant="default", disabled=True),
    dmc.SegmentedControl(id="log-level", data=list(LEVELS), value="All", ml="auto"),
]


@event_callback(
    Input("log-start", "n_clicks"),
    Input("log-restart", "data"),
    State("log-level", "value"),
    cancel=Input("log-stop", "n_clicks"),
    running=[
        (Output("log-start", "disabled"), True, False),
        (Output("log-stop", "disabled"), False, True),
    ],
)
def tail(_start: int, _restart: str, level: str) -> Iterator[Update | None]:
    """A plain generator in a thread: it may read files, and stops at any yield."""
    yield stream_props("log-lines", {"children": ""})
    shown = deque[str](maxlen=SHOWN_LINES)
    with shop():
        for lines in follow(LOG):
            wanted = [line for line in lines if line.split()[1] in LEVELS[level]]
            shown.extend(wanted)
            yield stream_props("log-lines", {"children": "\n".join(shown)}) if wanted else None


@callback(
    Output("log-restart", "data"),
    Input("log-level", "value"),
    State("log-run", "state"),
    prevent_initial_call=True,
)
def restart(level: str, state: str) -> Any:
    """Restarts a live run with another level and its last lines; a stopped one stays stopped."""
    return level if state == "running" else no_update


hidden = [RunState(tail, id="log-run"), dcc.Store(id="log-restart")]
layout = dmc.Stack([*hidden, dmc.Group(controls, gap="xs"), log])

app = Dash(__name__, backend="quart", title="Log tail")
app.layout = dmc.MantineProvider(dmc.Container(layout, size="md", py="lg"))
server = app.server

if __name__ == "__main__":
    app.run(debug=True)
