"""Pages that report their errors."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext

from tests.support.server import Served, serving
from tests.support.tab import Tab, sound_tab


@pytest.fixture(scope="session")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """All examples in one app; their files are in the log's directory."""
    home = tmp_path_factory.mktemp("gallery")
    app = "tests.apps.gallery:server"
    with serving(app, home, FLASH_EVENTS_METRICS="1", TMPDIR=str(home)) as served:
        yield served


@pytest.fixture
def desk(context: BrowserContext, commands: Served) -> Iterator[Tab]:
    """The app with graphs, a grid and notifications."""
    with sound_tab(context, commands) as tab:
        yield tab


@pytest.fixture(scope="module")
def app(kitchen: Served) -> Served:
    """The kitchen app, for modules without another app."""
    return kitchen
