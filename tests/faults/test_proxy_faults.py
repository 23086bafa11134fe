"""Row 19: effects of proxies and compression on a stream, with a real nginx."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from httpx_sse import EventSource, ServerSentEvent

from tests.support import nginx
from tests.support.page import Page, data, opened
from tests.support.server import Served, serving
from tests.support.socket_client import behind

FIRST_SECONDS = 1.0
IDLE_TIMEOUT_SECONDS = 5


@pytest.fixture(scope="module")
def hearty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server whose heartbeat is shorter than the proxy's timeout."""
    with serving(
        "tests.apps.faults:server",
        tmp_path_factory.mktemp("hearty"),
        FLASH_EVENTS_HEARTBEAT_SECONDS="2",
    ) as served:
        yield served


def next_text(events: Iterator[ServerSentEvent]) -> Any:
    """Returns the text that the next update sets."""
    event = next(event for event in events if event.event == "update")
    return data(event)["set"][0][1]["children"]


@pytest.mark.deadline
def test_fault_19_buffering_and_gzip_proxies_neither_delay_nor_end_an_idle_stream(
    hearty: Served, tmp_path: Path
) -> None:
    configuration, urls = nginx.hostile(tmp_path, urlsplit(hearty.url).netloc)
    with ExitStack() as stack:
        stack.enter_context(nginx.running(configuration, tmp_path, f"{urls['buffers']}ping"))
        streams = {}
        for name, url in urls.items():
            page = stack.enter_context(opened(behind(hearty, url)))
            body = page.body("waits", IDLE_TIMEOUT_SECONDS + 2)
            asked = time.monotonic()
            request = page.client.stream("POST", page.url("start"), json=body)
            answer = stack.enter_context(request)
            assert (answer.headers.get("content-encoding") == "gzip") is (name == "gzips")
            streams[name] = EventSource(answer).iter_sse()
            assert next_text(streams[name]) == "before"
            assert time.monotonic() - asked < FIRST_SECONDS, name
        for name, events in streams.items():
            assert next_text(events) == "after", name
            rest = [event.event for event in events]
            assert rest == ["end", "close"], name


@pytest.mark.deadline
def test_fault_19_the_documented_nginx_streams_over_http2_and_resumes_at_the_same_server(
    hearty: Served, faulty: Served, tmp_path: Path
) -> None:
    servers = (urlsplit(hearty.url).netloc, urlsplit(faulty.url).netloc)
    configuration, url = nginx.documented(tmp_path, servers)
    with nginx.running(configuration, tmp_path, f"{url}ping"), opened(hearty) as page:
        page.served = behind(hearty, url)
        with closing(httpx.Client(http2=True, verify=False, timeout=15)) as page.client:
            numbers, versions = cut_and_resume(page)
            assert versions == ["HTTP/2"]
            assert numbers == list(range(1, 2_001))
            body = page.body("waits", 60)
            asked = time.monotonic()
            with page.stream("start", body) as events:
                assert next_text(events) == "before"
                assert time.monotonic() - asked < FIRST_SECONDS
                page.stop(body["flash_events"]["run"])
                assert [data(event)["reason"] for event in events if event.event == "end"] == [
                    "cancelled"
                ]


def cut_and_resume(page: Page) -> tuple[list[int], list[str]]:
    """Reads half of a run, leaves, and reads the rest: the numbers, and the HTTP versions."""
    body = page.body("count", 2_000)
    numbers: list[int] = []
    with page.stream("start", body) as events:
        for event in events:
            if event.event == "update":
                numbers.append(data(event)["n"])
            if len(numbers) == 1_000:
                break
        last = event.id
    resume = page.resume(body["flash_events"]["connection"], last)
    with page.client.stream("POST", page.url("resume"), json=resume) as response:
        assert response.status_code == 200, response.read()
        for line in response.iter_lines():
            if line.startswith('data: {"run"') and '"set"' in line:
                numbers.append(json.loads(line.removeprefix("data: "))["n"])
        return numbers, [response.http_version]


def test_fault_19_the_documented_nginx_hides_no_page_behind_its_origin(
    faulty: Served, tmp_path: Path
) -> None:
    servers = (urlsplit(faulty.url).netloc,) * 2
    configuration, url = nginx.documented(tmp_path, (servers[0], servers[1]))
    address = f"{url}_dash-flash-events/start"
    own = {"Origin": url.rstrip("/")}
    foreign = {"Origin": "https://localhost"}  # another port is another origin
    with (
        nginx.running(configuration, tmp_path, f"{url}ping"),
        opened(faulty) as page,
        closing(httpx.Client(verify=False, timeout=15)) as client,
    ):
        body = page.body("count", 1)
        assert client.post(address, json=body, headers=own).status_code == 200
        assert client.post(address, json=body, headers=foreign).status_code == 403


@pytest.mark.deadline
def test_fault_19_dash_with_compress_compresses_its_own_answers_and_no_stream(
    tmp_path: Path,
) -> None:
    with (
        serving("tests.apps.faults:server", tmp_path, COMPRESS="1") as served,
        opened(served) as page,
    ):
        dependencies = page.client.get(f"{served.url}_dash-dependencies")
        assert dependencies.headers["content-encoding"] == "gzip"
        body = page.body("waits", 60)
        asked = time.monotonic()
        with page.client.stream("POST", page.url("start"), json=body) as response:
            assert "content-encoding" not in response.headers
            lines = response.iter_lines()
            assert next(line for line in lines if '"before"' in line)
            assert time.monotonic() - asked < FIRST_SECONDS
            page.stop(body["flash_events"]["run"])
            assert next(line for line in lines if '"cancelled"' in line)
