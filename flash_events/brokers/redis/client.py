"""Clients of Redis that do not retry by themselves, as their users do that in the right order."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import (
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.retry import Retry

from flash_events.errors import ConfigurationError

CONNECT_SECONDS = 3.0
SOCKET_SECONDS = 10.0
"""Without an answer for so long, a connection is given up and made anew."""


_PASSING = (MasterDownError, OutOfMemoryError, ReadOnlyError)
_PASSING_CODES = {
    *("BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MISCONF", "NOAUTH", "NOQUORUM"),
    *("NOREPLICAS", "OOM", "READONLY", "TRYAGAIN", "UNKILLABLE", "WRONGPASS"),
}
"""First words of the error replies that concern Redis as a whole, not one command."""


def async_client(url: str) -> AsyncRedis:
    """A client for the event loop."""
    return AsyncRedis.from_url(
        url,
        socket_connect_timeout=CONNECT_SECONDS,
        socket_timeout=SOCKET_SECONDS,
        retry=AsyncRetry(NoBackoff(), 0),
        protocol=2,
    )


def sync_client(url: str, socket_seconds: float = SOCKET_SECONDS) -> Redis:
    """A client for threads."""
    return Redis.from_url(
        url,
        socket_connect_timeout=min(CONNECT_SECONDS, socket_seconds),
        socket_timeout=socket_seconds,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )


def is_passing(error: object) -> bool:
    """Return whether the same command may succeed later.

    It may where Redis does not answer, or refuses all commands for a while: it is loading,
    read-only, out of memory or disk, busy with a script. Any other error reply is about the command
    or its keys.
    """
    if isinstance(error, ResponseError) and not isinstance(error, _PASSING):
        return str(error).partition(" ")[0] in _PASSING_CODES
    return isinstance(error, RedisError | OSError)


async def require_redis(client: AsyncRedis, url: str, setting: str = "broker") -> None:
    """Raise `ConfigurationError` where Redis does not answer, or is too old.

    Args:
        client: a client of it.
        url: its URL.
        setting: the setting that names it.
    """
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            try:
                info: Any = await client.info("server")
            except RedisConnectionError:  # a connection that was cut says nothing of Redis
                info = await client.info("server")
    except (RedisError, OSError, TimeoutError) as error:
        raise ConfigurationError(
            f"Redis at {_without_password(url)} does not answer ({error}). Start it, or "
            f"correct the setting {setting} (FLASH_EVENTS_{setting.upper()})."
        ) from None
    if int(str(info["redis_version"]).partition(".")[0]) < 7:
        raise ConfigurationError(f"Expected Redis 7 or newer, got {info['redis_version']}.")


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
