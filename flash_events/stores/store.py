"""A store: logs, values and members, of one client of it on one event loop."""

import secrets
from abc import ABC, abstractmethod

from flash_events.stores.logs import Logs
from flash_events.stores.members import Members
from flash_events.stores.values import Values


class Store(ABC):
    """The client of a store on one event loop.

    Attributes:
        logs: its logs.
        values: its values.
        members: its members.
        worker: random id of this client.
        is_shared: whether other processes reach the same data.
    """

    is_shared: bool = True
    logs: Logs
    values: Values
    members: Members

    def __init__(self) -> None:
        self.worker = secrets.token_hex(16)

    @abstractmethod
    async def open(self) -> None:
        """Connect, and remember the running loop as the one that all methods are called on.

        Raises:
            ConfigurationError: if the store cannot be reached.
        """

    @abstractmethod
    async def close(self) -> None:
        """Store what was appended, and disconnect.

        The members that this client has entered leave, and its leads end.
        """
