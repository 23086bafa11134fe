"""In the web: sends whole runs to the workers of a Celery app, and has them ended."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from celery import Celery

from flash_events.celery.control import Control, redelivers
from flash_events.celery.worker_runs import TASK, drive
from flash_events.errors import CallbackError, ConfigurationError
from flash_events.registration import EventCallback
from flash_events.task_queue import Order, RunQueue

_QUEUE = "_flash_events_queue"
"""The attribute of a Celery app that holds its queue."""


class CeleryQueue(RunQueue):
    """The workers of one Celery app, which know its event callbacks when they have imported them.

    Args:
        app: gets one more task, which drives runs; routes and options may be set for its name.
    """

    def __init__(self, app: Celery) -> None:
        self._control = Control(app)
        self._callbacks: dict[str, tuple[EventCallback, Any]] = {}
        self._ids_by_short_id: dict[str, set[str]] = {}

        # A shared task would take the place of that of each other app of the process.
        def run(order: dict[str, Any]) -> None:  # Celery takes functions, not methods
            self._drive(Order(**order))

        self._task = app.task(run, name=TASK, ignore_result=True, shared=False)

    @property
    def redelivers(self) -> bool:
        return redelivers(self._task)

    def register(self, callback: Any, indices: Any, short_id: str) -> None:
        self._callbacks[callback.id] = (callback, indices)
        if short_id != callback.id:
            self._ids_by_short_id.setdefault(short_id, set()).add(callback.id)

    async def send(self, order: Order) -> None:
        await self._control.send(self._task.s(asdict(order)), task_id=order.run)

    async def refused(self, runs: Iterable[str]) -> dict[str, str]:
        return await self._control.refused(runs)

    async def revoke(self, run: str) -> None:
        await self._control.revoke([run])

    async def terminate(self, run: str) -> None:
        await self._control.revoke([run], terminate=True)

    def _drive(self, order: Order) -> None:
        callback, indices = self.find(order.callback)
        drive(order, callback, indices)

    def find(self, callback_id: str) -> tuple[EventCallback, Any]:
        """A registered event callback, with how Dash groups its arguments.

        Raises:
            ConfigurationError: this worker does not know it, or knows several of that name.
        """
        known = self._callbacks.get(callback_id)
        if known is not None:
            return known
        ids = self._ids_by_short_id.get(callback_id, set())
        if len(ids) == 1:
            return self._callbacks[next(iter(ids))]
        if ids:
            names = sorted(self._callbacks[one][0].name for one in ids)
            raise ConfigurationError(
                f"This worker knows several event callbacks of that name: {', '.join(names)}. "
                "Start the web server as `python -m package.module`, not as "
                "`python package/module.py`, so that it knows the whole name."
            )
        raise ConfigurationError(
            f"No event callback {callback_id!r} in this worker. Let it import the module that "
            "defines the callback, by the name that the web server knows it by: "
            "celery -A <that module>, or include=[...]. Where the web server is started as a "
            "program, write `python -m package.module`."
        )


def has_queue(app: Celery) -> bool:
    """Whether event callbacks run in the workers of a Celery app."""
    return hasattr(app, _QUEUE)


def queue_of_app(app: Any) -> CeleryQueue:
    """The queue of a Celery app; raises `CallbackError` where it is none."""
    if not isinstance(app, Celery):
        raise CallbackError(
            f"Expected worker to be a Celery app, got {type(app).__name__} {app!r:.80}. "
            "Write: worker=celery_app."
        )
    queue: CeleryQueue | None = getattr(app, _QUEUE, None)
    if queue is None:
        queue = CeleryQueue(app)
        setattr(app, _QUEUE, queue)
    return queue
