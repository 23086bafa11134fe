"""Choice of the connection for a run: one that the page has open, or a new one."""

from dataclasses import dataclass
from http import HTTPStatus

from flash_events.brokers import (
    NOWHERE,
    Broker,
    ConnectionId,
    EventLog,
    PageId,
    RunRecord,
)
from flash_events.endpoint.connections import Connection, Connections
from flash_events.endpoint.replies import Reply, accepted, streamed
from flash_events.errors import BrokerError, LogFull, LogGone, Refused, too_many
from flash_events.settings import Settings

UNLIMITED = 2**31
"""Stands for no limit of the number of runs."""

JOIN_TRIES = 4
"""Maximum number of a page's open connections to try before a new one is opened."""


@dataclass(frozen=True, slots=True)
class Placement:
    """The connection that carries a run's events.

    Attributes:
        connection: the id of the connection.
        log: the log of the connection.
        opened: the connection if it is new, so that its stream is the response; otherwise None.
    """

    connection: ConnectionId
    log: EventLog
    opened: Connection | None = None

    def reply(self) -> Reply:
        """Return the stream of a new connection, or a 202 with the id of an open one."""
        if self.opened is not None:
            return streamed(self.opened)
        return accepted(connection=self.connection)


class Placements:
    """Finds, opens and resumes connections.

    Args:
        settings: the limits.
        broker: the broker, which reaches the connections of all workers.
        connections: the connections that this worker holds.
    """

    def __init__(self, settings: Settings, broker: Broker, connections: Connections) -> None:
        self._settings = settings
        self._broker = broker
        self._connections = connections

    def require_broker(self) -> None:
        """Raise `BrokerError` if the broker is unavailable, so that requests do not pile up."""
        if self._broker.is_away:
            raise BrokerError("It is unavailable.")

    async def place(
        self,
        record: RunRecord,
        page: PageId,
        connections: tuple[ConnectionId, ...],
        chosen: Placement | None = None,
        *,
        most_runs: int | None = None,
    ) -> Placement:
        """Return a placement in an open connection that can be reached, or in a new one.

        Args:
            record: the record of the run; its connection is the id for a new connection.
            page: the id of the tab that asks.
            connections: the ids of the connections that the page has open.
            chosen: the placement of another run of the same request, which is used again.
            most_runs: maximum number of runs and subscriptions of a connection; None for the
                setting `max_runs_per_connection`.

        Raises:
            Refused: if there are too many runs or connections, or the id of the new connection
                belongs to another owner.
        """
        most = self._settings.max_runs_per_connection if most_runs is None else most_runs
        run, owner, logs = record.run, record.owner, self._broker.logs
        place = record.place if record.place != NOWHERE else self._broker.here
        try:
            for connection_id in (chosen.connection,) if chosen else self._reachable(connections):
                log = await logs.join(connection_id, owner, run, place, most)
                if log is not None:
                    return Placement(connection_id, log, chosen.opened if chosen else None)
        except LogFull:
            raise too_many("runs of this connection", "max_runs_per_connection") from None
        self._check_room()
        if self._connections.of_page(page) >= self._settings.max_connections_per_page:
            raise too_many("connections of this page", "max_connections_per_page")
        self._connections.expect_client(record.connection, owner)
        opened = await logs.open(record.connection, owner, run, place)
        if opened is None:
            raise unknown_connection()
        connection = self._connections.hold(record.connection, owner, page, opened)
        return Placement(record.connection, opened, connection)

    async def resume(
        self, connection_id: ConnectionId, owner: str, page: PageId, after: str
    ) -> Reply:
        """Return a stream of a connection's events; this worker takes over the connection.

        Args:
            connection_id: the id of the connection.
            owner: the owner of the page that asks.
            page: the id of the tab that asks.
            after: the id of the last event that the page received; "" for none.

        Raises:
            Refused: if the connection is unknown or belongs to another owner, if its log no longer
                has the next event, or if this worker holds too many connections.
        """
        held = self._connections.get(connection_id)
        if held is None:
            self._check_room()
        elif held.owner == owner and held.log.is_given_up:
            message = "The server's broker was unavailable for too long."
            raise Refused(HTTPStatus.GONE, "lost", message)
        self.require_broker()
        self._connections.expect_client(connection_id, owner)
        log = await self._broker.logs.take(connection_id, owner)
        if log is None:
            raise unknown_connection()
        try:
            await log.check(after)
        except LogGone as error:
            raise Refused(HTTPStatus.GONE, "lost", str(error)) from None
        return streamed(self._connections.hold(connection_id, owner, page, log), after)

    def _check_room(self) -> None:
        if len(self._connections) >= self._settings.max_connections:
            raise too_many("connections to this worker", "max_connections")

    def _reachable(self, connections: tuple[ConnectionId, ...]) -> tuple[ConnectionId, ...]:
        """Return the connections to try; first those of this worker, which need no broker."""
        here = [one for one in connections if self._connections.get(one) is not None]
        elsewhere = [one for one in connections if one not in here and self._broker.is_shared]
        return tuple((here + elsewhere)[:JOIN_TRIES])


def unknown_connection() -> Refused:
    """Return the refusal for an unknown connection, and for one of another owner."""
    return Refused(HTTPStatus.NOT_FOUND, "lost", "No such connection.")
