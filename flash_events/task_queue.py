"""Task queues: where the runs of a callback wait for a worker that is not one of the web's."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker must know to drive a run; the rest stands in the run's record.

    Attributes:
        run: its id.
        callback: the id of its event callback.
        context: what of `dash.ctx` has a JSON form, arguments included.
        debug: whether the web server shows errors with their text.
    """

    run: str
    callback: str
    context: dict[str, Any]
    debug: bool = False


class RunQueue(ABC):
    """Brings runs to workers."""

    @property
    @abstractmethod
    def redelivers(self) -> bool:
        """Whether a run whose worker has died is brought to another one."""

    @abstractmethod
    def register(self, callback: Any, indices: Any, short_id: str) -> None:
        """Makes an event callback known.

        Args:
            callback: the event callback.
            indices: how Dash groups its arguments.
            short_id: its id in a web server that was started as `python package/module.py`, and
                knows only the last part of the module's name.
        """

    @abstractmethod
    async def send(self, order: Order) -> None:
        """Queues a run."""

    @abstractmethod
    async def refused(self, runs: Iterable[str]) -> dict[str, str]:
        """Which of these a worker has taken and cannot drive, each with the reason."""

    @abstractmethod
    async def revoke(self, run: str) -> None:
        """A run that waits shall not be started."""

    @abstractmethod
    async def terminate(self, run: str) -> None:
        """Ends the process that drives a run and has not stopped when it was asked to."""
