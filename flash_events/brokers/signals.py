"""The contract of signals: a worker tells another one something, or asks it and waits."""

import asyncio
import itertools
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any

from flash_events.background import Background
from flash_events.brokers.ids import WorkerId
from flash_events.brokers.messages import Answer, Question, Signal
from flash_events.errors import NoAnswer, RequestFailed, WorkerGone

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
"""Time between two checks whether a worker that has not answered yet is alive."""

MISSED_TIMES = 2
"""Number of consecutive checks without a sign of life after which a worker is gone."""

OnSignal = Callable[[Signal], object]
OnRequest = Callable[[Signal], Awaitable[Any]]


async def no_requests(request: Signal) -> None:
    """Refuse every request; the default handler."""
    raise NotImplementedError(f"This worker answers no {type(request).__name__}.")


class Signals(ABC):
    """Messages between workers. A signal to a worker that is gone is dropped.

    Args:
        worker: the id of this worker.
    """

    def __init__(self, worker: WorkerId) -> None:
        self.worker = worker
        self._on_signal: OnSignal = lambda _: None
        self._on_request: OnRequest = no_requests
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[Answer]] = {}
        self._background = Background()

    @abstractmethod
    def send(self, worker: WorkerId, signal: Signal) -> None:
        """Send a signal to one worker, which may be this one; it arrives once, or never."""

    @abstractmethod
    async def lives(self, worker: WorkerId) -> bool:
        """Return whether a worker shows a sign of life; one that has just died may still."""

    async def ask(self, worker: WorkerId, request: Signal, timeout_seconds: float) -> Any:
        """Send a request to a worker and return its answer, a JSON value.

        Args:
            worker: may be this one.
            request: is handled there by `on_request` of `Broker.open`.
            timeout_seconds: maximum wait for the answer.

        Raises:
            WorkerGone: the worker has ended, or has died.
            NoAnswer: it has not answered in time; it may still do what was asked.
            RequestFailed: its handler has raised an exception.
        """
        number = next(self._numbers)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout_seconds):
                self.send(worker, Question(number, self.worker, request))
                await self._answered(worker, answer)
        except TimeoutError:
            raise NoAnswer(
                f"A worker has not answered a {type(request).__name__} within {timeout_seconds} s."
            ) from None
        finally:
            del self._asked[number]
        if answer.result().error:
            raise RequestFailed(answer.result().error)
        return answer.result().value

    async def _answered(self, worker: WorkerId, answer: "asyncio.Future[Answer]") -> None:
        missed = 0
        while True:
            await asyncio.wait({answer}, timeout=LOOK_SECONDS)
            if answer.done():
                return
            missed = 0 if await self.lives(worker) else missed + 1
            if missed == MISSED_TIMES:
                raise WorkerGone("The worker that was asked is gone.")

    def hear(self, signal: Signal) -> None:
        """Pass a received signal to its handler, or to the `ask` that waits for it."""
        match signal:
            case Question():
                self._background.start(self._answer(signal))
            case Answer():
                waiting = self._asked.get(signal.number)
                if waiting is not None and not waiting.done():
                    waiting.set_result(signal)
            case _:
                self._on_signal(signal)

    async def _answer(self, question: Question) -> None:
        number, sender = question.number, question.sender
        try:
            self.send(sender, Answer(number, await self._on_request(question.request)))
        except Exception as error:  # whatever the handler raises, the other side must learn it
            logger.exception("A request of another worker has failed")
            self.send(sender, Answer(number, None, repr(error)))
