"""The run of row 2: cut again and again in the middle of events, it must lose nothing."""

import random
from contextlib import closing
from pathlib import Path

from tests.support.page import Page
from tests.support.proxy import proxied
from tests.support.server import serving
from tests.support.socket_client import Follower

UPDATES = 20_000
CUTS = 100
FEWEST_BYTES = 2_000
MOST_BYTES = 18_000
"""Number of bytes between two cuts; 20,000 updates are 2 MB, and 100 such cuts half of it."""


def cut_many_times(broker: str, workers: int, directory: Path, runs: int = 1) -> None:
    """Streams 20,000 updates through 100 cuts; each must arrive once and in order.

    Args:
        broker: where the event logs live.
        workers: how many share it. With `memory://` only one: another worker's log is lost.
        directory: for the server's log.
        runs: how often.
    """
    with (
        serving(
            "tests.apps.faults:server", directory, workers=workers, FLASH_EVENTS_BROKER=broker
        ) as served,
        proxied(served.url) as proxy,
    ):
        for seed in range(runs):
            page = Page(served)
            somewhere = random.Random(seed)

            def cut_soon(
                somewhere: random.Random = somewhere, most: int = (seed + 1) * CUTS
            ) -> None:
                if proxy.cuts < most:
                    proxy.cut_after(somewhere.randint(FEWEST_BYTES, MOST_BYTES))

            with closing(page.client):
                follower = Follower(page, page.body("count", UPDATES), proxy.url)
                follower.follow(before_each=cut_soon)
            assert proxy.cuts == CUTS * (seed + 1)
            assert follower.numbers == list(range(1, UPDATES + 1))
            assert [end["reason"] for end in follower.ends] == ["done"]
        assert len(served.marks("count began")) == runs
