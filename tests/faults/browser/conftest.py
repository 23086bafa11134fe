"""Pages of the app whose callbacks misbehave."""

import pytest

from tests.support.server import Served


@pytest.fixture(scope="module")
def app(faulty: Served) -> Served:
    """The app whose callbacks misbehave, where a module has no other."""
    return faulty
