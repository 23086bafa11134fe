"""Processes that use a store in SQLite, and do what a test tells them."""

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from flash_events.stores import START, Keep, LogId, Quota, Slot
from flash_events.stores.sqlite import SqliteStore
from flash_events.stores.sqlite.transaction import Transaction

KEEP = Keep(history=100_000, ttl_seconds=None, max_bytes=2**30)


class StoreProcess:
    """A process with a client of a store.

    Args:
        path: of the store.
        options: of the client.
    """

    def __init__(self, path: Path, **options: Any) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.store_process", path, json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid

    def ask(self, command: str, **arguments: Any) -> Any:
        """Returns what a command of `Client` returns."""
        self.tell(command, **arguments)
        return self.answer()

    def tell(self, command: str, **arguments: Any) -> None:
        """Starts a command."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([command, arguments]) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        """Returns what the oldest command returns that was told; None if the process is dead."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        return json.loads(line) if line else None

    def answers(self) -> list[Any]:
        """Returns what a dead process has answered."""
        assert self._process.stdout is not None
        return [json.loads(line) for line in self._process.stdout if line.endswith("\n")]

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        """Kills it and waits until it is dead."""
        self._process.kill()
        self._process.wait()

    def wait(self) -> None:
        """Waits until it has ended."""
        self._process.wait(10)

    def close(self) -> None:
        """Ends it in order, if it lives."""
        assert self._process.stdin
        assert self._process.stdout
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
        self._process.stdin.close()
        try:
            self._process.wait(10)
        finally:
            self.kill()
            self._process.stdout.close()


@contextmanager
def store_process(path: Path, **options: Any) -> Iterator[StoreProcess]:
    """A process that has opened its client."""
    process = StoreProcess(path, **options)
    try:
        assert process.answer() == "open"
        yield process
    finally:
        process.close()


class Client:
    """What a process can do; a method is a command."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self._news: list[tuple[float, Any]] = []

    async def append(self, log: str, count: int, text: str = "", history: int = 100_000) -> int:
        """Appends so many entries at once; returns the last offset."""
        keep = Keep(history, KEEP.ttl_seconds, KEEP.max_bytes)
        positions = await asyncio.gather(
            *(
                self._store.logs.append(
                    LogId(log), f"{text}{n}".encode(), keep, nonce=secrets.token_hex(8)
                )
                for n in range(count)
            )
        )
        return max(position.offset for position in positions)

    async def write_for_ever(self, log: str, writers: int = 5) -> None:
        """Appends until it is killed, and prints the nonce of each entry that is stored."""

        async def write() -> None:
            while True:
                nonce = secrets.token_hex(8)
                await self._store.logs.append(LogId(log), b"x" * 100, KEEP, nonce=nonce)
                os.write(1, f'"{nonce}"\n'.encode())

        await asyncio.gather(*(write() for _ in range(writers)))

    async def die_before_commit(self, after: int = 0) -> None:
        """Kills this process in the transaction after so many others, before it is committed."""
        finish, left = Transaction.finish, after

        def die(transaction: Transaction) -> None:
            nonlocal left
            finish(transaction)
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

        setattr(Transaction, "finish", die)  # noqa: B010 - mypy knows it as a method

    async def read(self, log: str) -> list[str]:
        """Returns the nonces of all entries, by offset."""
        read = await self._store.logs.read(LogId(log), START, 2**30)
        assert [entry.offset for entry in read.entries] == list(range(1, read.head.offset + 1))
        return [entry.nonce for entry in read.entries]

    async def watch(self, log: str) -> None:
        self._store.logs.watch(LogId(log), lambda news: self._news.append((time.monotonic(), news)))

    async def seen(self, count: int) -> list[str]:
        """Returns the nonces that have come, when there are so many."""
        while True:
            nonces = [one.nonce for _, entries in self._news for one in entries or ()]
            if len(nonces) >= count:
                return nonces
            await asyncio.sleep(0.01)

    async def disturbances(self) -> int:
        """Returns how often the watcher was called with None."""
        return sum(entries is None for _, entries in self._news)

    async def lead(self, group: str, name: str) -> str | None:
        return await self._store.values.lead(Slot(group, name))

    async def put(self, group: str, name: str, text: str, fence: str) -> bool:
        return await self._store.values.put(
            Slot(group, name), text.encode(), Quota(10, 1000), ttl_seconds=None, fence=fence
        )

    async def enter(self, group: str, member: str) -> int:
        return await self._store.members.enter(group, member, b"")

    async def of(self, group: str) -> list[str]:
        return [member.id for member in await self._store.members.of(group)]

    async def heads(self, log: str) -> Any:
        [head] = await self._store.logs.heads([LogId(log)])
        return asdict(head)

    async def fork(self) -> int:
        """Forks a child that lives for a minute, and returns its process id."""
        child = os.fork()
        if child == 0:
            time.sleep(60)  # noqa: ASYNC251 - the child has no loop
            os._exit(0)
        return child


async def main(path: str, options: str) -> None:
    store = SqliteStore(path, **json.loads(options))
    await store.open()
    client = Client(store)
    loop = asyncio.get_running_loop()
    commands: asyncio.Queue[str] = asyncio.Queue()

    def receive() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(commands.put_nowait, line)
        loop.call_soon_threadsafe(commands.put_nowait, "")

    threading.Thread(target=receive, daemon=True).start()
    os.write(1, b'"open"\n')
    while line := await commands.get():
        command, arguments = json.loads(line)
        result = await getattr(client, command)(**arguments)
        os.write(1, (json.dumps(result) + "\n").encode())
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
