"""The members of a store in SQLite."""

import sqlite3

from flash_events.stores.members import Member, Members
from flash_events.stores.sqlite.life import Life
from flash_events.stores.sqlite.reader import Reader
from flash_events.stores.sqlite.transaction import Transaction
from flash_events.stores.sqlite.writer import Writer


class SqliteMembers(Members):
    """The members of groups, for one client.

    Args:
        worker: the id of the client.
        writer: writes for it.
        reader: reads for it.
        life: says that it lives, from its first member on.
    """

    def __init__(self, worker: str, writer: Writer, reader: Reader, life: Life) -> None:
        self._worker = worker
        self._writer = writer
        self._reader = reader
        self._life = life

    async def enter(self, group: str, member: str, data: bytes) -> int:
        def work(transaction: Transaction, _: str | None) -> int:
            self._life.begin()
            execute = transaction.connection.execute
            found = execute(
                "select number from members where section = ? and id = ?", (group, member)
            ).fetchone()
            if found is not None:
                execute(
                    "update members set worker = ?, data = ? where section = ? and id = ?",
                    (self._worker, data, group, member),
                )
                return int(found[0])
            number = _next_number(transaction, group)
            execute(
                "insert into members values (?, ?, ?, ?, ?, ?)",
                (group, member, self._worker, number, transaction.now, data),
            )
            return number

        return await self._writer.do(work)

    async def leave(self, group: str, member: str) -> None:
        def work(transaction: Transaction, _: str | None) -> None:
            transaction.connection.execute(
                "delete from members where section = ? and id = ? and worker = ?",
                (group, member, self._worker),
            )
            _forget_number(transaction, group)

        await self._writer.do(work)

    async def of(self, group: str) -> list[Member]:
        def work(connection: sqlite3.Connection) -> list[Member]:
            rows = connection.execute(
                "select id, worker, number, since, data from members where section = ? "
                "order by number",
                (group,),
            ).fetchall()
            workers = {row[1] for row in rows}
            living = {worker for worker in workers if self._life.lives(worker)}
            return [Member(*row) for row in rows if row[1] in living]

        return await self._reader.read(work)


def forget_worker(transaction: Transaction, worker: str) -> None:
    """Remove the members and the leads of a client."""
    execute = transaction.connection.execute
    rows = execute("select distinct section from members where worker = ?", (worker,)).fetchall()
    execute("delete from members where worker = ?", (worker,))
    for (group,) in rows:
        _forget_number(transaction, group)
    execute("delete from leads where worker = ?", (worker,))


def _next_number(transaction: Transaction, group: str) -> int:
    execute = transaction.connection.execute
    found = execute("select last from member_numbers where section = ?", (group,)).fetchone()
    number = 1 if found is None else int(found[0]) + 1
    execute("replace into member_numbers values (?, ?)", (group, number))
    return number


def _forget_number(transaction: Transaction, group: str) -> None:
    """Let a group begin with 1 again after all have left."""
    transaction.connection.execute(
        "delete from member_numbers where section = ? "
        "and not exists (select 1 from members where section = ?)",
        (group, group),
    )
