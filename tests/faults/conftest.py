"""A server that loses patience soon, so that what it promises after the grace can be waited for."""

from collections.abc import Iterator

import pytest

from tests.support.server import GRACE_SECONDS, HEARTBEAT_SECONDS, Served, serving


@pytest.fixture(scope="session")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The app whose callbacks misbehave, with a short heartbeat and a short grace."""
    with serving(
        "tests.apps.faults:server",
        tmp_path_factory.mktemp("hasty"),
        FLASH_EVENTS_HEARTBEAT_SECONDS=str(HEARTBEAT_SECONDS),
        FLASH_EVENTS_GRACE_SECONDS=str(GRACE_SECONDS),
    ) as served:
        yield served
