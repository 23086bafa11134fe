"""Contents of Redis: keys with our prefix, JSON and events, all with an expiry."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.machines import connection_of, machines
from tests.support.page import Page, opened
from tests.support.redis_server import Entry, RedisServer, dump, redis_server
from tests.support.server import Served, wait_until
from tests.support.socket_client import Stream, read_until

KINDS = {"log", "meta", "runs", "blocked", "run", "kept", "lease", "inbox"}
TOKEN = re.compile(rb"[A-Za-z0-9_:.-]*")
EVENTS = re.compile(rb"(event: [a-z]+\ndata: \{[^\r\n]*\}\n\n)+")


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, redis: RedisServer) -> Iterator[list[Served]]:
    with machines(tmp_path_factory.mktemp("machines"), redis.url) as served:
        yield served


@pytest.fixture
def here(pair: list[Served]) -> Iterator[Page]:
    with opened(pair[0]) as page:
        yield page


@pytest.fixture
def there(pair: list[Served]) -> Iterator[Page]:
    with opened(pair[1]) as page:
        yield page


@pytest.fixture
def seen(here: Page, there: Page, redis: RedisServer) -> tuple[set[str], list[Entry]]:
    """The ids of a client, and a dump of Redis while it used every feature."""
    first, kept = here.body("start"), here.body("keep")
    far = there.body("flood", connections=[connection_of(first)])
    kept["flash_events"]["connections"] = [connection_of(first)]
    entries: list[Entry] = []
    stream = Stream(here.url("start"), first)
    read_until(stream, "update")
    assert there.post("start", far).status_code == 202
    assert here.post("start", kept).status_code == 202

    def has_all() -> bool:  # the stream is no longer read, so that the flood has to wait
        entries.extend(dump(redis.client))
        return {entry.kind for entry in entries} >= KINDS

    wait_until(has_all, 20, "every kind of key")
    last = read_until(stream, "update")[-1].id
    given_up = here.body("start")["flash_events"]["run"]
    bodies = (first, kept, far)
    runs = [body["flash_events"]["run"] for body in bodies]
    there.stop(*runs, given_up)
    stream.close()
    for served, name in ((here.served, "ticks"), (here.served, "keep")):
        served.wait_for_mark(f"{name} finally")
    entries.extend(dump(redis.client))
    connections = {body["flash_events"]["connection"] for body in bodies}
    return {*runs, given_up, *connections, here.page, there.page, last}, entries


def test_every_key_has_our_prefix_no_client_id_and_an_expiry(
    seen: tuple[set[str], list[Entry]],
) -> None:
    ids, entries = seen
    assert {entry.kind for entry in entries} == KINDS | {"stopped"}
    for entry in entries:
        assert re.fullmatch(r"flash_events:\{[0-9a-f]{32}\}:[a-z]+", entry.key)
        assert [one for one in ids if one in entry.key] == []
        assert 0 <= entry.ttl_ms <= 300_000, entry.key


def test_every_value_is_json_or_events_or_a_plain_word_and_never_a_pickle(
    seen: tuple[set[str], list[Entry]],
) -> None:
    _, entries = seen
    for entry in entries:
        for value in entry.values:
            assert not value.startswith(b"\x80")  # as in every pickle since protocol 2
            if entry.kind == "run":
                assert set(json.loads(value)) >= {"run", "worker", "connection", "owner"}
            elif value.startswith(b"{"):
                assert entry.kind == "inbox"
                assert "kind" in json.loads(value)
            elif value.startswith(b"event:"):
                assert entry.kind == "log"
                assert EVENTS.fullmatch(value)
            else:
                assert TOKEN.fullmatch(value), (entry.key, value)


def test_the_last_writes_of_a_killed_client_expire_too(tmp_path: Path, redis: RedisServer) -> None:
    with machines(tmp_path, redis.url, count=1) as [served], opened(served) as page:
        stream = Stream(page.url("start"), page.body("keep"))
        read_until(stream, "update")
        served.process.kill()
        stream.close()
        entries = dump(redis.client)
    assert entries
    assert [entry.key for entry in entries if entry.ttl_ms < 0] == []
