"""Rain on a pond: a simulation streams twenty pictures a second.

Run: python -m examples.frames
"""

import base64
import io
import time
from collections import deque
from collections.abc import Iterator
from itertools import count
from typing import Any

import dash_mantine_components as dmc
import numpy as np
from dash import Dash, Input, Output, State, callback, dcc, no_update
from numpy.typing import NDArray
from PIL import Image

from flash_events import RunState, Update, event_callback, stream_props

WIDTH, HEIGHT = 320, 200
FRAME_SECONDS = 1 / 20
STEPS_PER_FRAME = 3
SPEED, DAMPING = 0.3, 0.992
COLORS = np.linspace((8, 40, 88), (150, 220, 255), 256).astype(np.uint8)  # from deep to bright


def waves(drops_per_second: float) -> Iterator[NDArray[np.float64]]:
    """The surface of a pond in the rain, frame by frame, by the wave equation."""
    random = np.random.default_rng()
    rows, columns = np.ogrid[:HEIGHT, :WIDTH]
    before = now = np.zeros((HEIGHT, WIDTH))
    while True:
        for _ in range(random.poisson(drops_per_second * FRAME_SECONDS)):
            y, x = random.integers(HEIGHT), random.integers(WIDTH)
            now = now - 2 * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 8)
        for _ in range(STEPS_PER_FRAME):
            around = sum(np.roll(now, shift, axis) for axis in (0, 1) for shift in (-1, 1))
            before, now = now, DAMPING * (2 * now - before + SPEED * (around - 4 * now))
        yield now


def picture(surface: NDArray[np.float64]) -> str:
    """Returns the lit surface as a URL for an `img`."""
    slope = surface - np.roll(surface, 3, axis=(0, 1))
    light = np.clip(100 + 300 * slope, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(COLORS[light]).save(file, "webp", quality=70, method=0)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()


DRY = picture(np.zeros((HEIGHT, WIDTH)))
controls = [
    dmc.Button("Start", id="frames-start"),
    dmc.Button("Stop", id="frames-stop", variant="default", disabled=True),
    dmc.Text("", id="frames-rate", size="sm", c="dimmed", ml="auto"),
]


@event_callback(
    Input("frames-start", "n_clicks"),
    Input("frames-restart", "data"),  # replaces the live run: overlap is "restart"
    State("frames-rain", "value"),
    cancel=Input("frames-stop", "n_clicks"),
    running=[
        (Output("frames-start", "disabled"), True, False),
        (Output("frames-stop", "disabled"), False, True),
    ],
)
def rain(_clicks: int, _restart: float, drops: float) -> Iterator[Update]:
    """A plain generator, since computation belongs in a thread. A slow reader slows it down."""
    starts: deque[float] = deque(maxlen=20)
    surfaces = waves(drops)
    for number in count(1):
        starts.append(time.monotonic())
        src = picture(next(surfaces))
        frame = [("frames-picture", {"src": src})]
        if number % 10 == 0:
            rate = (len(starts) - 1) / (starts[-1] - starts[0])
            text = f"{rate:.0f} frames a second, {len(src) / 1000:.1f} kB each"
            frame.append(("frames-rate", {"children": text}))
        yield stream_props(frame)
        time.sleep(max(0, starts[-1] + FRAME_SECONDS - time.monotonic()))


@callback(
    Output("frames-restart", "data"),
    Input("frames-rain", "value"),
    State("frames-run", "state"),
    prevent_initial_call=True,
)
def restart(drops: float, state: str) -> Any:
    """Restarts a live run with other rain; a stopped one stays stopped."""
    return drops if state == "running" else no_update


layout = dmc.Stack(
    [
        RunState(rain, id="frames-run"),
        dcc.Store(id="frames-restart"),
        dmc.Group(controls, gap="xs", style={"fontVariantNumeric": "tabular-nums"}),
        dmc.Image(id="frames-picture", src=DRY, alt="A pond", radius="md"),
        dmc.Text("Drops a second", size="sm"),
        dmc.Slider(id="frames-rain", min=1, max=20, value=3, mb="lg"),
    ]
)

app = Dash(__name__, backend="quart", title="Frames")
app.layout = dmc.MantineProvider(dmc.Container(layout, size="sm", py="lg"))
server = app.server

if __name__ == "__main__":
    app.run(debug=True)
