"""Pages with a `Subscription` when connections and workers fail; tests/soak has the full size."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.page import opened
from tests.support.server import Served, serving
from tests.support.socket_client import Stream
from tests.support.topic_pages import END, TopicPage, news_of
from tests.support.topic_troubles import APP, cut_often, kill_workers, malformed, read_nothing


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/store.db"


@pytest.fixture(scope="module")
def served(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One worker of an app whose topics are in a file."""
    with serving(APP, tmp_path_factory.mktemp("app"), FLASH_EVENTS_STORE=store) as served:
        yield served


def test_a_connection_that_is_cut_again_and_again_loses_no_message(
    served: Served, store: str
) -> None:
    cut_often(served, store, count=400, cuts=5)


def test_a_page_whose_worker_is_killed_goes_on_at_another(
    served: Served, store: str, tmp_path: Path
) -> None:
    kill_workers(served, store, tmp_path, count=400, FLASH_EVENTS_STORE=store)


def test_a_page_that_reads_nothing_disturbs_nobody_and_is_told(served: Served, store: str) -> None:
    read_nothing(served, store, seconds=1, rate=1000)


def test_a_malformed_subscription_is_refused_and_tells_nothing(served: Served, store: str) -> None:
    with opened(served) as http:
        page = TopicPage(http, served.url)
        for value in malformed():
            response = http.post("start", page.start_body(**value))
            assert response.status_code in (400, 404), (value, response.text)
            for inside in ("Traceback", "Error", ".py", "flash_events/"):
                assert inside not in response.text
    assert "Traceback" not in served.log()


@pytest.mark.parametrize("offset", [2**53, 2**63, 10**30])
def test_an_offset_that_cannot_be_is_only_unknown(served: Served, store: str, offset: int) -> None:
    topic = news_of(store)
    topic.publish_sync(END)
    with opened(served) as http:
        page = TopicPage(http, served.url)
        for value in ({"since": {"offset": offset, "nonce": "a"}}, {"last": offset}):
            page.messages.clear()
            body = page.start_body(**value)
            url = f"{served.url}_dash-flash-events/start"
            with closing(Stream(url, body)) as stream:
                page.read(stream)
    assert "Traceback" not in served.log()
