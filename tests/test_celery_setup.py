"""A wrong Celery setup is reported, and no page waits forever."""

import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import celery as celery_package
import pytest
from celery import signals
from celery.concurrency.gevent import TaskPool
from celery.worker import WorkController
from dash import Dash, Input, html

from flash_events import (
    ConfigurationError,
    FlashEvents,
    Update,
    bridge,
    event_callback,
    stream_props,
)
from flash_events.celery.queue import CeleryQueue, queue_of_app
from tests.support.celery_worker import Celery, another, working
from tests.support.page import Page, all_of, end_of, opened, sets

SENTENCE = (
    r"go_to_work runs in a worker, so events must travel over Redis\. Set FLASH_EVENTS_BROKER"
)


async def go_to_work(_n: int) -> AsyncIterator[Update]:
    yield stream_props("out", {"children": "text"})


@pytest.fixture(params=["of the app", "plain"])
def app_without_redis(request: pytest.FixtureRequest) -> Iterator[Dash]:
    registry = bridge.global_registry()
    entries, by_id = list(registry.entries), dict(registry.by_id)
    app = Dash("tests", backend="quart")
    app.layout = html.Div([html.Button(id="go"), html.Div(id="out")])
    decorate: Any = FlashEvents(app).event_callback if request.param != "plain" else event_callback
    decorate(Input("go", "n_clicks"), worker=celery_package.Celery("nowhere", broker="memory://"))(
        go_to_work
    )
    yield app
    registry.entries[:] = entries
    registry.by_id.clear()
    registry.by_id.update(by_id)


@pytest.fixture
def page(celery: Celery) -> Iterator[Page]:
    with opened(celery.served) as page:
        yield page


class TestWithoutABroker:
    """C1: an app with callbacks in workers and no FLASH_EVENTS_BROKER anywhere."""

    async def test_the_server_does_not_start(self, app_without_redis: Dash) -> None:
        with pytest.raises(ConfigurationError, match=SENTENCE):
            await app_without_redis.server.startup()

    def test_no_page_is_served(self, app_without_redis: Dash) -> None:
        with pytest.raises(ConfigurationError, match=SENTENCE):
            app_without_redis._setup_server()


@pytest.fixture(scope="module")
def blind_worker(celery: Celery, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A worker without FLASH_EVENTS_BROKER."""
    directory = tmp_path_factory.mktemp("blind")
    app = "tests.apps.limits:blind_app"
    with working(directory, "-c", "1", "-n", "b@x", app=app, CELERY_BROKER=celery.messages_url):
        yield


@pytest.mark.usefixtures("blind_worker")
@pytest.mark.parametrize("name", ["blind", "blind_task"])
def test_a_worker_that_lacks_the_broker_fails_its_runs(page: Page, name: str) -> None:
    """C2: within 15 s, and on_error gets the reason."""
    begun = time.monotonic()
    events = all_of(page, name)
    assert time.monotonic() - begun < 15
    assert end_of(events)["reason"] == "error"
    [message] = sets(events, "message")
    assert message.startswith("sorry: ConfigurationError A Celery worker that streams needs Redis")
    assert "Set FLASH_EVENTS_BROKER=redis://host:port/db for the workers" in message


@pytest.fixture(scope="module")
def program(celery: Celery, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    directory = tmp_path_factory.mktemp("program")
    with another(celery, directory, "tests/apps/crunch.py") as served, opened(served) as page:
        yield page


class TestServedByAProgram:
    """C9: `python tests/apps/crunch.py` serves, `celery -A tests.apps.crunch` works."""

    def test_the_worker_finds_its_callbacks(self, program: Page) -> None:
        assert sets(all_of(program, "either"), "out") == ["found"]

    def test_a_callback_that_no_worker_knows_fails_with_a_fix(self, program: Page) -> None:
        events = all_of(program, "here")
        assert end_of(events)["error"]["code"] == "configuration"
        [message] = sets(events, "message")
        assert message.startswith("sorry: ConfigurationError No event callback")
        assert "python -m package.module" in message


def test_a_name_that_two_modules_share_is_not_guessed() -> None:
    """C9: the name is ambiguous."""
    queue = CeleryQueue(celery_package.Celery("shared", broker="memory://"))
    for module in ("one.app", "two.app"):
        callback = SimpleNamespace(id=module, name=f"{module}.run")
        queue.register(callback, None, "app")
    with pytest.raises(ConfigurationError, match=r"one\.app\.run, two\.app\.run.*python -m"):
        queue.find("app")


@dataclass(eq=False)
class StartingWorker:
    """A fake of the sender of Celery's signal; a real one needs gevent."""

    app: celery_package.Celery
    pool_cls: Any = TaskPool


class TestGreenlets:
    """C5: each run needs an event loop of its own, and greenlets share a thread."""

    @pytest.fixture
    def app(self) -> celery_package.Celery:
        app = celery_package.Celery("green", broker="memory://", set_as_current=False)
        queue_of_app(app)
        return app

    @pytest.mark.parametrize("pool", [TaskPool, "gevent", "celery.concurrency.eventlet:TaskPool"])
    def test_a_worker_with_such_a_pool_does_not_start(
        self, app: celery_package.Celery, pool: Any
    ) -> None:
        expected = r"cannot run in the pool '(gevent|eventlet)'.*--pool prefork or --pool threads"
        with pytest.raises(SystemExit, match=expected):
            WorkController(app=app, pool=pool)

    def test_one_without_runs_starts(self, app: celery_package.Celery) -> None:
        app.amqp.queues.select("others")
        worker = StartingWorker(app)
        assert [error for _, error in signals.worker_init.send(sender=worker) if error] == []

    def test_one_of_an_app_without_event_callbacks_starts(self) -> None:
        app = celery_package.Celery("other", broker="memory://", set_as_current=False)
        worker = StartingWorker(app)
        assert [error for _, error in signals.worker_init.send(sender=worker) if error] == []
