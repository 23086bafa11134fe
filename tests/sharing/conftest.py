"""Namespaces of each kind of store."""

import secrets
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from flash_events.settings import Settings
from flash_events.sharing.hub import Hub
from flash_events.sharing.process import Namespace
from flash_events.sharing.values import DeclaredValues

KINDS = ["memory", "sqlite", "redis"]


@pytest.fixture(params=KINDS)
def new_namespace(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Namespace]:
    """Returns a function that makes what one more process has of a namespace."""
    if request.param == "redis":
        url: str = request.getfixturevalue("cluster_url")
        name = secrets.token_hex(8)
        return lambda: Namespace(url, Settings(namespace=name))
    if request.param == "sqlite":
        return lambda: Namespace(f"sqlite:///{tmp_path}/store.db", Settings())
    namespace = Namespace("memory://", Settings())
    return lambda: namespace


@pytest.fixture
async def namespace(new_namespace: Callable[[], Namespace]) -> AsyncIterator[Namespace]:
    """A namespace that this event loop serves."""
    namespace = new_namespace()
    hub = await namespace.serve()
    yield namespace
    await namespace.end(hub)


@pytest.fixture
def hub(namespace: Namespace) -> Hub:
    return namespace.hub()


@pytest.fixture
def app(namespace: Namespace) -> DeclaredValues:
    """What is declared in an app of the namespace."""
    return DeclaredValues(lambda: namespace)


@pytest.fixture
def another_app(new_namespace: Callable[[], Namespace]) -> DeclaredValues:
    """The same app in a process that serves nothing."""
    namespace = new_namespace()
    return DeclaredValues(lambda: namespace)
