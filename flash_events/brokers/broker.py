"""A broker: event logs, run directory and signals of one worker, and how it joins the others."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property

from flash_events.brokers.directory import RunDirectory
from flash_events.brokers.ids import WorkerId
from flash_events.brokers.log import EventLogs
from flash_events.brokers.place import At
from flash_events.brokers.signals import OnRequest, OnSignal, Signals, no_requests


class Broker(ABC):
    """The three stores that the workers of one app share.

    If its store refuses what is asked, or was away for too long, methods raise `BrokerError`.

    Attributes:
        logs: the event logs.
        directory: the run directory.
        signals: messages between workers.
        is_shared: whether other workers reach the same logs and the same directory.
    """

    is_shared: bool = False
    logs: EventLogs
    directory: RunDirectory
    signals: Signals

    @property
    def worker(self) -> WorkerId:
        """The id of this worker."""
        return self.signals.worker

    @cached_property
    def here(self) -> At:
        """The place of the runs that this worker drives."""
        return At(self.worker)

    @property
    def is_away(self) -> bool:
        """Whether its store does not answer now; what is asked waits for it."""
        return False

    @abstractmethod
    async def open(
        self,
        on_signal: OnSignal,
        on_worker_lost: Callable[[WorkerId], object],
        on_request: OnRequest = no_requests,
    ) -> None:
        """Join the other workers.

        Args:
            on_signal: called on the loop with each signal that arrives.
            on_worker_lost: called on the loop with a worker that has died and has runs that write
                to a log that this worker holds, again and again until it has none.
            on_request: called on the loop with each request of `Signals.ask`; returns its answer,
                a JSON value.

        Raises:
            ConfigurationError: the store cannot be reached.
        """

    @abstractmethod
    async def close(self) -> None:
        """Send the pending messages, and leave the other workers."""

    def mute(self) -> None:
        """Send nothing from now on, because another process ends this one and its runs."""
        return
