"""Signals of one process; those of a server's worker processes reach its siblings, too."""

import logging
import secrets

from flash_events.brokers.family import family
from flash_events.brokers.ids import WorkerId
from flash_events.brokers.memory.siblings import Siblings
from flash_events.brokers.messages import Signal
from flash_events.brokers.signals import OnRequest, OnSignal, Signals

logger = logging.getLogger(__name__)


class MemorySignals(Signals):
    """Signals to this worker itself and, over Unix sockets, to its siblings."""

    def __init__(self) -> None:
        super().__init__(WorkerId(secrets.token_hex(16)))
        self._siblings: Siblings | None = None

    async def open(self, on_signal: OnSignal, on_request: OnRequest) -> None:
        """Join the siblings, if this process has any."""
        self._on_signal, self._on_request = on_signal, on_request
        name = family()
        if name is None:
            return
        siblings = Siblings(name, self.worker, self.hear)
        try:
            await siblings.join()
        except OSError as error:
            logger.warning(
                "This worker cannot reach its siblings (%s): a cancel that another worker hears "
                "does not stop its runs. Set TMPDIR to a short path that this user may write to.",
                error,
            )
        else:
            self._siblings = siblings

    def close(self) -> None:
        """Leave the siblings."""
        if self._siblings is not None:
            self._siblings.leave()

    @property
    def has_siblings(self) -> bool:
        """Whether sibling workers exist in other processes."""
        return self._siblings is not None and self._siblings.exist()

    def siblings(self) -> list[WorkerId]:
        """Return the workers that may have runs that this one does not know."""
        return self._siblings.workers() if self._siblings is not None else []

    def send(self, worker: WorkerId, signal: Signal) -> None:
        if worker == self.worker:
            self.hear(signal)
        elif self._siblings is not None:
            self._siblings.tell(signal, worker)

    def send_to_siblings(self, signal: Signal) -> None:
        """Send a signal to every sibling."""
        if self._siblings is not None:
            self._siblings.tell(signal)

    async def lives(self, worker: WorkerId) -> bool:
        if worker == self.worker:
            return True
        return self._siblings is not None and self._siblings.lives(worker)
