"""What is wrong with how Celery is set up is said, and no page waits for ever."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from celery import Celery
from dash import Dash, Input, html

from flash_events import (
    ConfigurationError,
    FlashEvents,
    Update,
    bridge,
    event_callback,
    stream_props,
)

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
    decorate(Input("go", "n_clicks"), worker=Celery("nowhere", broker="memory://"))(go_to_work)
    yield app
    registry.entries[:] = entries
    registry.by_id.clear()
    registry.by_id.update(by_id)


class TestWithoutABroker:
    """C1: an app whose callbacks run in workers, and no FLASH_EVENTS_BROKER anywhere."""

    async def test_the_server_does_not_start(self, app_without_redis: Dash) -> None:
        with pytest.raises(ConfigurationError, match=SENTENCE):
            await app_without_redis.server.startup()

    def test_no_page_is_served(self, app_without_redis: Dash) -> None:
        with pytest.raises(ConfigurationError, match=SENTENCE):
            app_without_redis._setup_server()
