"""A burst of updates has the same result as applying each update alone."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.support.program_runs import Order, assert_equal, differences, program_page
from tests.support.server import Served
from tests.support.tab import app_fixture

app = app_fixture("tests.apps.programs:server")


@pytest.fixture
def programs(context: BrowserContext, app: Served) -> Iterator[Page]:
    with program_page(context, app) as page:
        yield page


def test_p1_p2_p13_100_programs_end_as_if_each_update_was_applied_alone(
    programs: Page,
) -> None:
    assert_equal(programs, range(100))


def test_programs_that_run_one_by_one_twice_are_equal(programs: Page) -> None:
    """The comparison reports no false difference."""
    assert_equal(programs, range(16), "single")


def test_programs_that_run_backwards_are_not_equal(programs: Page) -> None:
    """The comparison finds differences."""
    orders = [Order(seed) for seed in range(16)]
    assert len(differences(programs, orders, "reversed")) > len(orders) / 2
