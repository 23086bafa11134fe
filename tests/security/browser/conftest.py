"""Pages of the app with faulty callbacks."""

import pytest

from tests.support.server import Served


@pytest.fixture(scope="module")
def app(faulty: Served) -> Served:
    """The app with faulty callbacks, for modules without another app."""
    return faulty
