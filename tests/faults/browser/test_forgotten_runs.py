"""P22: Redis has lost its records of a connection's runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext
from redis import Redis

from tests.support.server import Served, serving
from tests.support.tab import WITHOUT_WORKER, Tab, goes_on


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[Served]:
    """A server whose Redis the test can empty."""
    home: Path = tmp_path_factory.mktemp("forgotten")
    with serving("tests.apps.kitchen:server", home, FLASH_EVENTS_BROKER=redis_url) as served:
        yield served


@pytest.mark.parametrize("script", ["", WITHOUT_WORKER], ids=["shared", "owned"])
def test_p22_runs_without_a_record_in_redis_continue(
    context: BrowserContext, app: Served, redis_url: str, script: str
) -> None:
    """P22: their records are written again, and their page misses nothing."""
    tab = Tab(context.new_page(), app)
    if script:
        tab.page.add_init_script(script)
    for name, prefix in (("start", "A"), ("keep", "keep ")):
        tab.open().click(name)
        goes_on(tab, "out", prefix)
        forget_runs(redis_url)
        goes_on(tab, "out", prefix)
        assert not tab.warnings
    tab.click("stop")
    tab.wait_for("message", "keep was reset")
    tab.page.close()


def forget_runs(redis_url: str) -> None:
    with Redis.from_url(redis_url) as redis:
        keys = redis.keys("flash_events:*:runs")
        assert keys
        redis.delete(*keys)
