"""Helpers to test event callbacks without a browser or a server.

    async def test_it_counts_until_it_is_stopped():
        with fake_clock() as clock:
            async with run(live, n_clicks=1, ticker="A") as stream:
                await stream.take(100)
                end = await stream.stop()
        assert stream.values("out", "children")[:2] == ["A 1", "A 2"]
        assert stream.props["out"]["children"] == "nothing yet"  # from reset_props
        assert end.reason == "cancelled"
        assert clock.seconds == 99

`record` does the same in a plain test function. Values are in the form that the page gets, decoded
from JSON: a component is a dict, and a numpy array is a list.

Topics and shared values work inside `hub()`, which gives each test a store of its own.
"""

from flash_events.testing.clock import Clock, fake_clock
from flash_events.testing.hubs import IsolatedHub, hub
from flash_events.testing.recordings import Recording, recordings, replay
from flash_events.testing.streams import End, Stream, record, run

__all__ = [
    "Clock",
    "End",
    "IsolatedHub",
    "Recording",
    "Stream",
    "fake_clock",
    "hub",
    "record",
    "recordings",
    "replay",
    "run",
]
