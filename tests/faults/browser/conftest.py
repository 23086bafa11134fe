"""Pages of the app whose callbacks misbehave."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext

from tests.support.server import Served
from tests.support.tab import Tab, sound_tab


@pytest.fixture
def tab(context: BrowserContext, faulty: Served) -> Iterator[Tab]:
    with sound_tab(context, faulty) as tab:
        yield tab
