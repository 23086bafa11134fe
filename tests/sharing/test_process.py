"""Which store a process uses, and which app a topic belongs to."""

import asyncio
import subprocess
import sys
from pathlib import Path
from weakref import WeakKeyDictionary

import pytest
from dash import Dash

from flash_events import CallbackError, ConfigurationError, FlashEvents, Settings
from flash_events.sharing import apps, process
from flash_events.sharing.process import Namespace, namespace_of

ROOT = Path(__file__).parent.parent.parent


def run_script(text: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a script in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", text],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "", **environment},
        capture_output=True,
        text=True,
        timeout=30,
    )


PUBLISH = "from flash_events import topic; print(topic('news').publish_sync('hello'))"


def test_a_script_without_a_store_is_told_that_nobody_would_hear_it() -> None:
    done = run_script(PUBLISH)
    assert "ConfigurationError: This process does not serve an app" in done.stderr
    assert "FLASH_EVENTS_STORE" in done.stderr


def test_a_script_may_talk_to_itself_if_it_says_so() -> None:
    done = run_script(PUBLISH, FLASH_EVENTS_STORE="memory://")
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_an_unknown_store_is_refused_with_the_known_ones() -> None:
    done = run_script(PUBLISH, FLASH_EVENTS_STORE="postgres://localhost")
    assert "Expected store to be" in done.stderr
    assert "sqlite:////path/to/file" in done.stderr


def test_a_forked_process_begins_with_hubs_of_its_own() -> None:
    done = run_script(
        "import os\n"
        "from flash_events import shared_value\n"
        "value = shared_value('count', 0)\n"
        "value.set_sync(1)\n"
        "child = os.fork()\n"
        "print(value.update_sync(lambda old: old + 1), flush=True)\n"
        "if child: os.waitpid(child, 0)\n",
        FLASH_EVENTS_STORE="memory://",
    )
    assert sorted(done.stdout.split()) == ["1", "2"], done.stderr


FORK = """
import os
from flash_events import StoreUnavailable, topic
news = topic("news")
news.publish_sync("first")
messages = iter(news.subscribe(last=1))
print(next(messages).data, flush=True)
child = os.fork()
if child:
    os.waitpid(child, 0)
    print(next(messages).data, news.publish_sync("parent"), flush=True)
else:
    print(news.publish_sync("child"), [one.data for one in news.latest_sync(5)], flush=True)
    print(next(iter(news.subscribe(last=1))).data, flush=True)
    try:
        next(messages)
    except StoreUnavailable as error:
        print(error, flush=True)
    os._exit(0)
"""


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_a_process_that_is_forked_later_shares_the_store(
    kind: str, redis_url: str, tmp_path: Path
) -> None:
    store = redis_url if kind == "redis" else f"sqlite:///{tmp_path}/store.db"
    done = run_script(FORK, FLASH_EVENTS_STORE=store, FLASH_EVENTS_NAMESPACE=str(tmp_path))
    assert done.stdout.splitlines() == [
        "first",
        "2 ['first', 'child']",
        "child",
        "This process was forked after it had subscribed. Subscribe again in the new process.",
        "child 3",
    ], done.stderr


def test_topics_without_an_app_belong_to_the_only_configured_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(apps, "_configured", WeakKeyDictionary())  # without those of other tests
    app = Dash("one", backend="quart")
    FlashEvents(app, store="memory://", namespace="of one")
    assert apps.only_namespace() is namespace_of(FlashEvents(app).settings)
    another = Dash("two", backend="quart", url_base_pathname="/two/")
    FlashEvents(another)
    with pytest.raises(CallbackError, match=r"one at /.*two at /two/.*FlashEvents\(app\)\.topic"):
        apps.only_namespace()
    bound = FlashEvents(app).topic("of one")
    assert bound is FlashEvents(app).topic("of one")
    assert bound.watch(origin="").log != FlashEvents(another).topic("of one").watch(origin="").log


def test_the_store_follows_the_broker() -> None:
    assert Settings().store_url is None
    assert Settings(broker="redis://host").store_url == "redis://host"
    assert Settings(broker="redis://host", store="memory://").store_url == "memory://"


async def test_apps_of_one_loop_share_a_hub_until_the_last_has_ended() -> None:
    namespace = Namespace("memory://", Settings())
    one, two = await namespace.serve(), await namespace.serve()
    assert one is two
    await namespace.end(one)
    assert namespace.hubs() == [one]
    await namespace.end(two)
    assert namespace.hubs() == []


async def test_a_closed_event_loop_is_not_used_again() -> None:
    namespace = Namespace("memory://", Settings())
    first = await asyncio.to_thread(asyncio.run, namespace.serve())
    assert first.loop.is_closed()
    assert namespace.hub() is not first
    second = await namespace.serve()
    assert namespace.hub() is second
    await namespace.end(second)


def test_a_serving_process_may_use_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_process", process._Process())
    monkeypatch.setattr(process, "workers_store", lambda: None)
    namespace = namespace_of(Settings())
    with pytest.raises(ConfigurationError, match="does not serve an app"):
        namespace.hub()
    process.mark_serving()
    assert namespace.hub().store.is_shared is False
