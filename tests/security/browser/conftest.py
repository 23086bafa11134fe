"""Pages of the app whose callbacks misbehave."""

from tests.faults.browser.conftest import tab  # noqa: F401 - pytest finds fixtures here by name
