"""Thousands of random programs, new ones each time."""

import secrets
from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.support.program_runs import assert_equal, program_page
from tests.support.server import Served
from tests.support.tab import app_fixture

app = app_fixture("tests.apps.programs:server")

AT_ONCE = 500


@pytest.fixture
def programs(context: BrowserContext, app: Served) -> Iterator[Page]:
    with program_page(context, app) as page:
        yield page


@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(6))
def test_programs_end_as_if_each_update_was_applied_alone(programs: Page, part: int) -> None:
    first = secrets.randbelow(10**9)
    assert_equal(programs, range(first, first + AT_ONCE))


@pytest.mark.timeout(900)
def test_programs_that_run_one_by_one_twice_are_equal(programs: Page) -> None:
    first = secrets.randbelow(10**9)
    assert_equal(programs, range(first, first + AT_ONCE), "single")
