"""Fixtures for pytest: `pytest_plugins = ["flash_events.testing.fixtures"]` in a conftest.py."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from flash_events import bridge
from flash_events.testing.hubs import IsolatedHub, hub
from flash_events.testing.streams import Stream, record

if TYPE_CHECKING:
    from flash_events.testing.page import PageStreams


@pytest.fixture
def record_stream() -> Iterator[Callable[..., Stream]]:
    """Yield `flash_events.testing.record`, and unregister the test's event callbacks at the end.

    So each test may declare a callback of the same name, as apps in factories do.
    """
    registry = bridge.global_registry()
    entries, by_id = list(registry.entries), dict(registry.by_id)
    yield record
    registry.entries[:] = entries
    registry.by_id.clear()
    registry.by_id.update(by_id)


@pytest.fixture
def isolated_topics() -> Iterator[IsolatedHub]:
    """Give the test's topics and shared values a store of their own; see `hub`.

    For all tests: `pytestmark = pytest.mark.usefixtures("isolated_topics")`, or `usefixtures =
    isolated_topics` in pytest.ini.
    """
    with hub() as isolated:
        yield isolated


@pytest.fixture
def page_streams(dash_duo: Any) -> "PageStreams":
    """Return the runs in the page of `dash_duo`; it needs `pip install "dash[testing]"`."""
    from flash_events.testing.page import PageStreams

    return PageStreams(dash_duo)
