"""A server with short timeouts, so that tests can wait for the end of the grace period."""

from collections.abc import Iterator

import pytest

from tests.support.server import GRACE_SECONDS, HEARTBEAT_SECONDS, Served, serving


@pytest.fixture(scope="session")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The app with faulty callbacks, with a short heartbeat and a short grace period."""
    with serving(
        "tests.apps.faults:server",
        tmp_path_factory.mktemp("hasty"),
        FLASH_EVENTS_HEARTBEAT_SECONDS=str(HEARTBEAT_SECONDS),
        FLASH_EVENTS_GRACE_SECONDS=str(GRACE_SECONDS),
    ) as served:
        yield served
