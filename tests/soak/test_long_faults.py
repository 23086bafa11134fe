"""Rows of the fault table at a size that is too slow for a merge."""

import asyncio
import os
from pathlib import Path

import pytest

from tests.support.busy_app import Asking, app_of_all_kinds, collections_of, server_of
from tests.support.cuts import cut_many_times
from tests.support.loops import ask_in_a_loop
from tests.support.page import new_id
from tests.support.server import until
from tests.support.unread import MIB, leave_unread, resident_bytes

RUNS = 10


@pytest.mark.timeout(600)
# With memory, a resume that reaches another worker is lost, so there is one worker only.
@pytest.mark.parametrize(("broker", "workers"), [("memory://", 1)])
def test_fault_02_ten_runs_in_a_row_survive_a_hundred_cuts_each(
    broker: str, workers: int, tmp_path: Path
) -> None:
    cut_many_times(broker, workers, tmp_path, runs=RUNS)


@pytest.mark.timeout(180)
def test_fault_05_a_client_that_stops_reading_for_a_minute_costs_no_memory_and_loses_nothing(
    tmp_path: Path,
) -> None:
    leave_unread(tmp_path, seconds=60)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("store", ["memory", "redis"])
def test_fault_28_a_hundred_attaches_and_2000_stops_use_little_memory(
    tmp_path: Path, redis_url: str, store: str
) -> None:
    broker = "memory://" if store == "memory" else redis_url
    ask_in_a_loop(broker, tmp_path, attaches=100, stops=2_000)


@pytest.mark.timeout(1200)
async def test_50000_short_runs_leave_bounded_state() -> None:
    """S18: memory is flat after the first rounds."""
    app = app_of_all_kinds(grace_seconds=0.5, max_connections=50_000)
    server = server_of(app)
    asking = Asking(app)
    resident: list[int] = []
    sizes: list[dict[str, int]] = []
    for _ in range(10):
        for _ in range(100):
            asked = [asking.start("brief", page=new_id()) for _ in range(50)]
            assert set(await asyncio.gather(*asked)) == {200}
        await until(lambda: not server._connections and not server._broker.logs._logs, 60)
        resident.append(resident_bytes(os.getpid()))
        sizes.append(collections_of(server))
    print([f"{one / MIB:.0f} MiB" for one in resident])
    assert sizes[-1] == sizes[4]
    assert resident[-1] - resident[4] < 10 * MIB
    await server.drain()
