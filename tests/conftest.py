"""Shared servers, pages and a browser."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Playwright, sync_playwright

from tests.support.chromium import CHROMIUM_FLAGS, executable
from tests.support.server import Served, serving
from tests.support.tab import Tab, sound_tab

SHORT_LINGER: Any = {"FLASH_EVENTS_LINGER_SECONDS": "0.1"}
"""Many tests read until a connection is closed."""


@pytest.fixture(scope="session")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The kitchen app on one worker."""
    with serving(
        "tests.apps.kitchen:server", tmp_path_factory.mktemp("kitchen"), **SHORT_LINGER
    ) as served:
        yield served


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The app with graphs, a grid and notifications."""
    with serving("tests.apps.commands:server", tmp_path_factory.mktemp("commands")) as served:
        yield served


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis that no test stops or disturbs."""
    from tests.support.redis_server import redis_server

    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.fixture(scope="session")
def cluster_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A cluster of one node: it refuses a script that touches keys in several slots."""
    from tests.support.redis_server import redis_server

    with redis_server(tmp_path_factory.mktemp("cluster"), cluster=True) as server:
        yield server.url


@pytest.fixture(scope="session")
def celery(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[Any]:
    """The app whose work is done by Celery, with a worker."""
    from tests.support.celery_worker import crunching

    with crunching(tmp_path_factory.mktemp("celery"), redis_url) as celery:
        yield celery


@pytest.fixture(scope="session")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The app whose callbacks misbehave."""
    with serving(
        "tests.apps.faults:server",
        tmp_path_factory.mktemp("faulty"),
        **SHORT_LINGER,
    ) as served:
        yield served


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Browser:
    """Headless Chromium, for tests that need a context of their own."""
    return playwright.chromium.launch(executable_path=executable(), args=CHROMIUM_FLAGS)


@pytest.fixture(scope="session")
def context(
    playwright: Playwright, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BrowserContext]:
    """One browser context for all tests of a process; tabs share the cached scripts only.

    It has a profile on disk: only then does Chromium cache what it has compiled, so that a page
    loads in half of the time.
    """
    context = playwright.chromium.launch_persistent_context(
        tmp_path_factory.mktemp("profile"),
        executable_path=executable(),
        args=CHROMIUM_FLAGS,
        viewport={"width": 1280, "height": 900},
    )
    context.set_default_timeout(10_000)
    yield context
    context.close()


@pytest.fixture
def tab(context: BrowserContext, app: Served) -> Iterator[Tab]:
    """A page of the app that the fixture `app` of the directory or the module serves."""
    with sound_tab(context, app) as tab:
        yield tab


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Runs browser tests last: Playwright's loop and pytest-asyncio's conflict."""
    items.sort(key=lambda item: "browser" in item.path.parts)
