"""A redis-server of the tests' own."""

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from tests.support.server import free_port, wait_until


class RedisServer:
    """Runs on a free port; `directory` contains its files.

    Args:
        directory: of its files.
        appendonly: whether what it has survives a restart.
        cluster: whether it is a cluster of one node, which refuses commands and scripts whose keys
            are in several slots.
    """

    def __init__(self, directory: Path, appendonly: bool = False, cluster: bool = False) -> None:
        program = shutil.which("redis-server")
        assert program, "redis-server is needed for the tests: apt-get install redis-server"
        self._program = program
        self._directory = directory
        self._appendonly = appendonly
        self._cluster = cluster
        self._port = free_port()
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self.client: Redis = Redis.from_url(self.url)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it and waits until it answers."""
        options: dict[str, Any] = {
            "port": self._port,
            "bind": "127.0.0.1",
            "dir": self._directory,
            "save": "",
            "appendonly": "yes" if self._appendonly else "no",
            "appendfsync": "always",
            "enable-protected-configs": "yes",  # so that a test can take its directory away
        }
        if self._cluster:
            options |= {"cluster-enabled": "yes", "cluster-port": free_port()}
        arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
        with (self._directory / "redis.log").open("ab") as log:
            self._process = subprocess.Popen([self._program, *arguments], stdout=log, stderr=log)
        wait_until(self._answers, 10, "redis-server")
        if self._cluster:
            client: Any = self.client  # untyped in parts
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            wait_until(self._has_all_slots, 10, "the cluster")

    def _has_all_slots(self) -> bool:
        client: Any = self.client  # untyped in parts
        info: dict[str, str] = client.execute_command("CLUSTER INFO")
        return info["cluster_state"] == "ok"

    def stop(self) -> None:
        """Stops it gracefully."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    def freeze(self) -> None:
        """Stalls it: it answers nothing, while its connections stay open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except RedisError:
            return False


@contextmanager
def redis_server(
    directory: Path, appendonly: bool = False, cluster: bool = False
) -> Iterator[RedisServer]:
    """Runs until the block ends."""
    server = RedisServer(directory, appendonly, cluster)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@dataclass(frozen=True)
class Entry:
    """A key of Redis and its values.

    Attributes:
        key: its name.
        kind: the name's last part.
        ttl_ms: until it expires; -1 for never.
        values: fields, members and values, as they are.
    """

    key: str
    kind: str
    ttl_ms: int
    values: list[bytes]

    @property
    def text(self) -> str:
        return b" ".join(self.values).decode()


def dump(client: Redis) -> list[Entry]:
    """Returns all entries of Redis."""
    entries = []
    for key in client.scan_iter(count=1000):
        ttl_ms: Any = client.pttl(key)
        values = _values(client, key)
        if ttl_ms != -2 and values:  # it may expire meanwhile
            name = key.decode()
            entries.append(Entry(name, name.rpartition(":")[2], ttl_ms, values))
    return entries


def _values(client: Any, key: bytes) -> list[bytes]:
    match client.type(key).decode():
        case "string":
            value = client.get(key)
            return [] if value is None else [value]
        case "hash":
            return [part for pair in client.hgetall(key).items() for part in pair]
        case "set":
            return list(client.smembers(key))
        case "zset":
            return list(client.zrange(key, 0, -1))
        case "list":
            return list(client.lrange(key, 0, -1))
        case "stream":
            entries = client.xrange(key)
            return [part for _, fields in entries for pair in fields.items() for part in pair]
        case "none":
            return []
        case other:
            raise AssertionError(f"a {other} at {key!r}")
