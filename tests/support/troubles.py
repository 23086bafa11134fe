"""Error replies of Redis."""

import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from tests.support.redis_server import RedisServer
from tests.support.refusing import Refusing
from tests.support.server import wait_until

Mend = Callable[[], object]
Trouble = Callable[[RedisServer, Refusing], Mend]


def out_of_memory(redis: RedisServer, _: Refusing) -> Mend:
    """OOM"""
    redis.client.config_set("maxmemory", 1)
    return lambda: redis.client.config_set("maxmemory", 0)


def read_only(redis: RedisServer, _: Refusing) -> Mend:
    """READONLY: it has become the replica of a missing one."""
    redis.client.replicaof("127.0.0.1", "1")
    return lambda: redis.client.replicaof("NO", "ONE")


def no_replicas(redis: RedisServer, _: Refusing) -> Mend:
    """NOREPLICAS"""
    redis.client.config_set("min-replicas-to-write", 1)
    return lambda: redis.client.config_set("min-replicas-to-write", 0)


def cannot_save(redis: RedisServer, _: Refusing) -> Mend:
    """MISCONF: it cannot write its snapshot to disk."""
    before = str(redis.client.config_get("dir")["dir"])
    gone = Path(before) / "gone"
    gone.mkdir()
    redis.client.config_set("dir", str(gone))
    redis.client.config_set("save", "3600 1")
    shutil.rmtree(gone)
    redis.client.bgsave()
    wait_until(lambda: not is_writable(redis.client), 5, "MISCONF")

    def mend() -> None:
        redis.client.config_set("save", "")
        redis.client.config_set("dir", before)

    return mend


def is_busy(redis: RedisServer, _: Refusing) -> Mend:
    """BUSY: a script runs endlessly."""
    redis.client.config_set("busy-reply-threshold", 50)

    def work() -> None:
        with suppress(RedisError):
            Redis.from_url(redis.url).eval("while true do end", 0)

    script = threading.Thread(target=work, daemon=True)
    script.start()
    wait_until(lambda: not is_writable(redis.client), 5, "BUSY")
    return redis.client.script_kill


def answers(reply: str) -> Trouble:
    """Every command gets this reply."""

    def trouble(_: RedisServer, proxy: Refusing) -> Mend:
        proxy.refusal = reply

        def mend() -> None:
            assert proxy.refused
            proxy.refusal = ""

        return mend

    return trouble


LOADING = answers("LOADING Redis is loading the dataset in memory")
WRONG_TYPE = answers("WRONGTYPE Operation against a key holding the wrong kind of value")
UNKNOWN = answers("upstream failure")

PASSING: dict[str, Trouble] = {
    "OOM": out_of_memory,
    "READONLY": read_only,
    "NOREPLICAS": no_replicas,
    "MISCONF": cannot_save,
    "BUSY": is_busy,
    "LOADING": LOADING,
}
"""Failures during which streams wait."""

FINAL: dict[str, Trouble] = {"WRONGTYPE": WRONG_TYPE, "unknown": UNKNOWN}
"""Failures at which streams end."""


def is_writable(client: Redis) -> bool:
    try:
        return bool(client.set("probe", 1))
    except RedisError:
        return False
