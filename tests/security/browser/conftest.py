"""Pages of the app whose callbacks misbehave."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext

from tests.browser.conftest import Tab
from tests.conftest import Served


@pytest.fixture
def tab(context: BrowserContext, faulty: Served) -> Iterator[Tab]:
    tab = Tab(context.new_page(), faulty).open()
    yield tab
    tab.page.close()
    assert not tab.errors
