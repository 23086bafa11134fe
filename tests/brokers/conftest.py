"""Brokers in memory and in Redis, for the contract suites."""

from collections.abc import AsyncIterator

import pytest

from flash_events.brokers import Broker, ConnectionId, EventLog, broker_of
from flash_events.brokers.messages import Signal
from tests.support.broker import LIMITS, RUN, new_connection


@pytest.fixture(scope="session")
def redis_url(cluster_url: str) -> str:
    return cluster_url


@pytest.fixture
def heard() -> list[Signal]:
    return []


@pytest.fixture(params=["memory", "redis"])
async def broker(request: pytest.FixtureRequest, heard: list[Signal]) -> AsyncIterator[Broker]:
    is_memory = request.param == "memory"
    url = "memory://" if is_memory else request.getfixturevalue("redis_url")
    broker = broker_of(url, LIMITS)
    await broker.open(heard.append, lambda _: None)
    yield broker
    await broker.close()


@pytest.fixture
def connection() -> ConnectionId:
    return new_connection()


@pytest.fixture
async def log(broker: Broker, connection: ConnectionId) -> EventLog:
    log = await broker.logs.open(connection, "owner", RUN, broker.here)
    assert log is not None
    return log
