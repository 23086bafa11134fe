"""Row 28: repeated requests of a page use a bounded amount of memory."""

from pathlib import Path

import pytest

from tests.support.loops import ask_in_a_loop


@pytest.mark.parametrize("store", ["memory", "redis"])
def test_fault_28_attaches_and_stops_in_a_loop_use_little_memory(
    tmp_path: Path, redis_url: str, store: str
) -> None:
    """S7, S8: see tests/soak for 2,000 stops."""
    broker = "memory://" if store == "memory" else redis_url
    ask_in_a_loop(broker, tmp_path, attaches=100, stops=100)
