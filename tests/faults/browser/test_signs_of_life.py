"""Row 6 in a page of ours."""

import time
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext

from tests.support.proxy import proxied
from tests.support.server import GRACE_SECONDS, HEARTBEAT_SECONDS, serving
from tests.support.socket_client import behind
from tests.support.tab import WITHOUT_WORKER, Tab


@pytest.mark.deadline
@pytest.mark.parametrize("init_script", ["", WITHOUT_WORKER], ids=["worker", "page"])
def test_fault_06_a_page_keeps_its_stream_until_it_can_no_longer_answer(
    context: BrowserContext, tmp_path: Path, init_script: str
) -> None:
    with (
        serving(
            "tests.apps.faults:server",
            tmp_path,
            FLASH_EVENTS_HEARTBEAT_SECONDS=str(HEARTBEAT_SECONDS),
            FLASH_EVENTS_GRACE_SECONDS=str(GRACE_SECONDS),
            FLASH_EVENTS_METRICS="1",
        ) as served,
        proxied(served.url) as proxy,
    ):
        tab = Tab(context.new_page(), behind(served, proxy.url))
        tab.page.add_init_script(init_script)
        tab.open()
        tab.click("endless")
        tab.wait_until("document.getElementById('out').textContent.slice(8) > 200", seconds=20)
        assert served.metric("resumes_total") == 0
        proxy.stall()
        gone = time.time()
        done = served.wait_for_mark("endless finally")
        assert done["time"] - gone < 2 * HEARTBEAT_SECONDS + GRACE_SECONDS + 1
        assert not tab.errors
        tab.page.close()
