"""The values of a store in SQLite."""

import secrets
import sqlite3
import time
from functools import partial

from flash_events.stores.logs import LARGE_BYTES
from flash_events.stores.sqlite.life import Life
from flash_events.stores.sqlite.reader import Reader
from flash_events.stores.sqlite.transaction import Transaction
from flash_events.stores.sqlite.writer import Writer
from flash_events.stores.values import Quota, Slot, Values


class SqliteValues(Values):
    """The values and leads, for one client.

    Args:
        worker: the id of the client.
        writer: writes for it.
        reader: reads for it.
        life: says that it lives, from its first lead on.
    """

    def __init__(self, worker: str, writer: Writer, reader: Reader, life: Life) -> None:
        self._worker = worker
        self._writer = writer
        self._reader = reader
        self._life = life

    async def get(self, slot: Slot) -> bytes | None:
        return await self._reader.load(partial(_find, slot))

    async def put(
        self, slot: Slot, data: bytes, quota: Quota, *, ttl_seconds: float | None, fence: str = ""
    ) -> bool:
        def work(transaction: Transaction, file: str | None) -> bool:
            is_wanted = not fence or _end_lead(transaction, slot, fence)
            if not is_wanted or len(data) > quota.max_bytes:
                transaction.unneeded += [file] if file else []
                return False
            _remove(transaction, slot)
            transaction.connection.execute(
                f"insert into slots values (?, ?, ?, ?, {_NEXT_USE}, ?, ?)",
                (
                    slot.group, slot.name, len(data),
                    None if ttl_seconds is None else transaction.now + ttl_seconds,
                    slot.group, file, None if file else data,
                ),
            )  # fmt: skip
            _evict(transaction, slot.group, quota)
            return True

        is_large = LARGE_BYTES < len(data) <= quota.max_bytes
        return await self._writer.do(work, data if is_large else None)

    async def touch(self, slot: Slot) -> None:
        def work(transaction: Transaction, _: str | None) -> None:
            transaction.connection.execute(
                f"update slots set used = {_NEXT_USE} where section = ? and name = ?",
                (slot.group, slot.group, slot.name),
            )

        await self._writer.do(work)

    async def drop(self, group: str, *names: str) -> None:
        def work(transaction: Transaction, _: str | None) -> None:
            execute = transaction.connection.execute
            if not names:
                execute("delete from leads where section = ?", (group,))
            for name in names or _names(transaction, group):
                _remove(transaction, Slot(group, name))
                execute("delete from leads where section = ? and name = ?", (group, name))

        await self._writer.do(work)

    async def lead(self, slot: Slot) -> str | None:
        fence = secrets.token_hex(16)

        def work(transaction: Transaction, _: str | None) -> str | None:
            self._life.begin()
            execute = transaction.connection.execute
            found = execute(
                "select worker from leads where section = ? and name = ?", (slot.group, slot.name)
            ).fetchone()
            if found is not None and self._life.lives(found[0]):
                return None
            execute(
                "replace into leads values (?, ?, ?, ?)",
                (slot.group, slot.name, fence, self._worker),
            )
            return fence

        return await self._writer.do(work)

    async def release(self, slot: Slot, fence: str) -> None:
        def work(transaction: Transaction, _: str | None) -> None:
            _end_lead(transaction, slot, fence)

        await self._writer.do(work)


_NEXT_USE = "(select coalesce(max(used), 0) + 1 from slots where section = ?)"


def _find(slot: Slot, connection: sqlite3.Connection) -> tuple[bytes | None, str | None] | None:
    """Return the data of a value, or the name of the file that has it; None if there is none."""
    found: tuple[bytes | None, str | None] | None = connection.execute(
        "select data, file from slots where section = ? and name = ? "
        "and (expires_at is null or expires_at > ?)",
        (slot.group, slot.name, time.time()),
    ).fetchone()
    return found


def _end_lead(transaction: Transaction, slot: Slot, fence: str) -> bool:
    """End a lead; return False if the token is not that of the current one."""
    ended = transaction.connection.execute(
        "delete from leads where section = ? and name = ? and fence = ?",
        (slot.group, slot.name, fence),
    )
    return ended.rowcount > 0


def _names(transaction: Transaction, group: str) -> list[str]:
    rows = transaction.connection.execute("select name from slots where section = ?", (group,))
    return [name for (name,) in rows.fetchall()]


def _remove(transaction: Transaction, slot: Slot) -> None:
    """Remove a value and its file."""
    execute = transaction.connection.execute
    place = slot.group, slot.name
    found = execute("select file from slots where section = ? and name = ?", place).fetchone()
    if found is not None:
        transaction.unneeded += [found[0]] if found[0] else []
        execute("delete from slots where section = ? and name = ?", place)


def _evict(transaction: Transaction, group: str, quota: Quota) -> None:
    """Remove what has expired, and the least recently used values that exceed the quota."""
    execute = transaction.connection.execute
    rows = execute(
        "select name, size, expires_at from slots where section = ? order by used", (group,)
    ).fetchall()
    expired = {
        name for name, _, expires in rows if expires is not None and expires <= transaction.now
    }
    rest = [(name, size) for name, size, _ in rows if name not in expired]
    total = sum(size for _, size in rest)
    evicted = 0
    while len(rest) - evicted > quota.max_items or total > quota.max_bytes:
        total -= rest[evicted][1]
        evicted += 1
    for name in [*expired, *(name for name, _ in rest[:evicted])]:
        _remove(transaction, Slot(group, name))
