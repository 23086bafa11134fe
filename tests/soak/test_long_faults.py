"""Rows of the fault table for longer than a merge can wait."""

from pathlib import Path

import pytest

from tests.support.cuts import cut_many_times
from tests.support.unread import leave_unread

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
