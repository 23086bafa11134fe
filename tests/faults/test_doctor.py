"""`python -m flash_events doctor URL`: its messages about real deployments."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread, Timer
from urllib.parse import urlsplit

import pytest

from flash_events.endpoint.probe import MAX_PROBES, TICK_SECONDS, TICKS
from flash_events.operations.doctor import Finding, examine
from tests.support import nginx
from tests.support.proxy import proxied
from tests.support.server import ROOT, Served, free_port, serving

IDLE_SECONDS = 2
SILENT_SECONDS = 3
"""Silence in seconds; longer than the timeout of the tests' proxies."""


@pytest.fixture(scope="module")
def hostile(faulty: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """URLs of routes through nginx, all with a short timeout."""
    directory = tmp_path_factory.mktemp("nginx")
    configuration, urls = nginx.hostile(directory, urlsplit(faulty.url).netloc, IDLE_SECONDS)
    with nginx.running(configuration, directory, f"{urls['buffers']}ping"):
        yield urls


def findings(url: str, seconds: float = SILENT_SECONDS) -> list[Finding]:
    return list(examine(url, seconds))


def test_a_server_without_a_proxy_passes(faulty: Served) -> None:
    arrived, silent = findings(faulty.url, 1)
    assert arrived.is_good
    assert silent.is_good


def test_buffered_events_are_detected(faulty: Served) -> None:
    with proxied(faulty.url) as proxy:
        gathering = Timer(TICKS * TICK_SECONDS, proxy.flow)

        def gather() -> None:
            proxy.carried.wait()
            proxy.stall()
            gathering.start()

        Thread(target=gather).start()
        found = findings(proxy.url, 1)
        gathering.join()
    assert not found[0].is_good
    assert "sent one by one arrive together" in found[0].text
    assert "proxy_buffering off" in found[0].cure


@pytest.mark.parametrize("way", ["buffers", "buffers whatever is said", "gzips", "speaks HTTP/1.0"])
def test_a_proxy_that_ends_silent_streams_is_detected(hostile: dict[str, str], way: str) -> None:
    arrived, silent = findings(hostile[way])
    assert arrived.is_good
    assert not silent.is_good
    assert "is cut after 2 s" in silent.text
    assert "heartbeat_seconds=1" in silent.cure


def test_heartbeats_keep_a_stream_through_an_impatient_proxy(tmp_path: Path) -> None:
    beating = serving("tests.apps.faults:server", tmp_path, FLASH_EVENTS_HEARTBEAT_SECONDS="1")
    with beating as served:
        configuration, urls = nginx.hostile(tmp_path, urlsplit(served.url).netloc, IDLE_SECONDS)
        with nginx.running(configuration, tmp_path, f"{urls['buffers']}ping"):
            assert all(finding.is_good for finding in findings(urls["buffers"]))


def test_an_app_with_identify_is_checked_as_one_of_its_users(tmp_path: Path) -> None:
    with serving("tests.apps.users:server", tmp_path, IDENTIFY="cookie") as served:
        [refused] = findings(served.url, 1)
        assert "Not signed in" in refused.text
        assert "--header" in refused.cure
        command = [sys.executable, "-m", "flash_events", "doctor", served.url]
        known = subprocess.run(
            [*command, "--seconds", "1", "--header", "Cookie: user=ada"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert [line[:3] for line in known.stdout.splitlines()] == ["ok "] * 2


def test_an_invalid_header_is_reported() -> None:
    command = [sys.executable, "-m", "flash_events", "doctor", "http://localhost/"]
    done = subprocess.run(
        [*command, "--header", "no header"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "Expected --header 'Name: value', got 'no header'.\n"


def test_a_server_that_does_not_respond_is_reported() -> None:
    [found] = findings(f"http://127.0.0.1:{free_port()}/")
    assert "does not answer" in found.text


def test_a_url_without_our_endpoint_is_reported(faulty: Served) -> None:
    [found] = findings(f"{faulty.url}elsewhere/")
    assert "404" in found.text or "405" in found.text
    assert found.cure


def test_an_invalid_url_is_reported() -> None:
    [found] = findings("localhost")
    assert "Expected the URL of an app" in found.text


def test_a_probe_above_the_time_limit_is_refused(faulty: Served) -> None:
    [found] = findings(faulty.url, 1e6)
    assert "Expected 'silent_seconds' to be from 0 to 120" in found.text


def test_the_number_of_probes_has_a_limit(faulty: Served) -> None:
    probes = [examine(faulty.url, 10) for _ in range(MAX_PROBES)]
    for probe in probes:
        assert next(probe).is_good
    [found] = findings(faulty.url, 1)
    assert "Too many probes" in found.text
    for probe in probes:
        with closing(probe):
            pass


def test_the_command_prints_the_change_to_make(hostile: dict[str, str]) -> None:
    command = [sys.executable, "-m", "flash_events", "doctor", hostile["buffers"]]
    done = subprocess.run(
        [*command, "--seconds", str(SILENT_SECONDS)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout.splitlines()[0].startswith("ok  The first event")
    assert "    -> Increase the proxy's timeout" in done.stdout
