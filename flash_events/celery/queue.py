"""The task queue of a Celery app, which sends event callbacks to Celery workers."""

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
    """The task queue of one Celery app; its workers must import the modules of the callbacks.

    Args:
        app: the Celery app. It gets one more task, named TASK, which drives runs; Celery's routes
            and options can be set for this name.
    """

    def __init__(self, app: Celery) -> None:
        self._control = Control(app)
        self._callbacks: dict[str, tuple[EventCallback, Any]] = {}
        self._ids_by_short_id: dict[str, set[str]] = {}

        # A shared task would replace the task of the same name of other apps in this process.
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
        """Return a registered event callback, and Dash's grouping of its arguments.

        Raises:
            ConfigurationError: if the id is unknown, or is the short id of several callbacks.
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
                f"This worker has several event callbacks of that name: {', '.join(names)}. "
                "Start the web server as `python -m package.module`, not as "
                "`python package/module.py`, so that it knows the full name."
            )
        raise ConfigurationError(
            f"No event callback {callback_id!r} in this worker. Make it import the module that "
            "defines the callback, under the same name as the web server: "
            "celery -A <that module>, or include=[...]. If the web server is started as a "
            "program, use `python -m package.module`."
        )


def has_queue(app: Celery) -> bool:
    """Return whether event callbacks run in the workers of a Celery app."""
    return hasattr(app, _QUEUE)


def queue_of_app(app: Any) -> CeleryQueue:
    """Return the task queue of a Celery app.

    Raises:
        CallbackError: if `app` is not a Celery app.
    """
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
