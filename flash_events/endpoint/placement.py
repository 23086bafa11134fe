"""Where a run's events go: into a connection that the page has open, or into a new one."""

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

JOIN_TRIES = 4
"""So many of a page's open connections are tried before a new one is opened."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a run's events go.

    Attributes:
        connection: its id.
        log: of this connection.
        opened: the connection, where it is new and its stream is the answer.
    """

    connection: ConnectionId
    log: EventLog
    opened: Connection | None = None

    def reply(self) -> Reply:
        """Tells the page where, or is the stream itself."""
        if self.opened is not None:
            return streamed(self.opened)
        return accepted(connection=self.connection)


class Placements:
    """Finds and opens connections.

    Args:
        settings: limits.
        broker: knows the connections of all workers.
        connections: that this worker holds.
    """

    def __init__(self, settings: Settings, broker: Broker, connections: Connections) -> None:
        self._settings = settings
        self._broker = broker
        self._connections = connections

    def require_broker(self) -> None:
        """Raises `BrokerError` where the broker is away: what is asked would pile up."""
        if self._broker.is_away:
            raise BrokerError("It is away.")

    async def place(
        self,
        record: RunRecord,
        page: PageId,
        connections: tuple[ConnectionId, ...],
        chosen: Placement | None = None,
    ) -> Placement:
        """A connection for a run: one that the page has open, if it can be reached, or a new one.

        Args:
            record: of the run; its connection is the id for a new one.
            page: the tab that asks.
            connections: that the page has open.
            chosen: where another run of the same request goes.

        Raises:
            Refused: there are too many runs or connections, or the id is somebody else's.
        """
        most = self._settings.max_runs_per_connection
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
        opened = await logs.open(record.connection, owner, run, place)
        if opened is None:
            raise unknown_connection()
        connection = self._connections.hold(record.connection, owner, page, opened)
        return Placement(record.connection, opened, connection)

    async def resume(
        self, connection_id: ConnectionId, owner: str, page: PageId, after: str
    ) -> Reply:
        """What follows an event of a connection, which this worker holds from now on.

        Raises:
            Refused: the connection is unknown or foreign, or no longer has what follows, or this
                worker holds too many.
        """
        held = self._connections.get(connection_id)
        if held is None:
            self._check_room()
        elif held.owner == owner and held.log.is_given_up:
            message = "The server's broker was away for too long."
            raise Refused(HTTPStatus.GONE, "lost", message)
        self.require_broker()
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
        """Those held here come first: their events need not travel."""
        here = [one for one in connections if self._connections.get(one) is not None]
        elsewhere = [one for one in connections if one not in here and self._broker.is_shared]
        return tuple((here + elsewhere)[:JOIN_TRIES])


def unknown_connection() -> Refused:
    """What is foreign is refused in the same words."""
    return Refused(HTTPStatus.NOT_FOUND, "lost", "No such connection.")
