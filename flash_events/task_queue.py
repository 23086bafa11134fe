"""Interface of task queues, whose workers drive runs outside the web server."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Order:
    """The message that makes a worker drive a run; the run's record holds the rest.

    Attributes:
        run: the id of the run.
        callback: the id of the event callback.
        context: the JSON part of `dash.ctx`, with the arguments.
        debug: whether the browser gets error details.
    """

    run: str
    callback: str
    context: dict[str, Any]
    debug: bool = False


class RunQueue(ABC):
    """A queue that delivers runs to workers."""

    @property
    @abstractmethod
    def redelivers(self) -> bool:
        """Whether a run whose worker has died is delivered again, to another worker."""

    @abstractmethod
    def register(self, callback: Any, indices: Any, short_id: str) -> None:
        """Register an event callback, so that workers can find it by its id.

        Args:
            callback: the event callback.
            indices: Dash's grouping of its arguments.
            short_id: its id in a web server that was started as `python package/module.py`, and so
                knows only the last part of the module's name.
        """

    @abstractmethod
    async def send(self, order: Order) -> None:
        """Queue a run."""

    @abstractmethod
    async def refused(self, runs: Iterable[str]) -> dict[str, str]:
        """Return the runs that a worker has refused, each with the reason."""

    @abstractmethod
    async def revoke(self, run: str) -> None:
        """Cancel a queued run."""

    @abstractmethod
    async def terminate(self, run: str) -> None:
        """Terminate the process of a run that did not stop when it was cancelled."""
