"""Refusals of a Celery worker: runs in a greenlet pool, and streamed tasks without Redis.

A greenlet pool makes the worker exit at its start. Without Redis, the worker can report a refusal
only through Celery's remote control, when the web server polls for it.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from celery import signals

from flash_events.celery.control import REFUSED
from flash_events.celery.messages import key_of_part
from flash_events.celery.queue import has_queue
from flash_events.celery.tasks import HEADER, worker_settings
from flash_events.celery.worker_runs import TASK
from flash_events.errors import ConfigurationError

GREENLETS = ("gevent", "eventlet")
"""Names of Celery's greenlet pools."""

MAX_REFUSALS = 10_000
"""Maximum number of remembered refusals; the oldest are dropped."""

_refused: OrderedDict[str, str] = OrderedDict()
"""Reasons of refusals, by the id of a run or by `key_of_part`."""


def _on_worker_init(sender: Any, **_: Any) -> None:
    """Register the remote control command; exit if the worker would drive runs in greenlets."""
    from celery.worker.control import inspect_command  # the web server does not need it

    inspect_command(name=REFUSED, visible=False)(_answer)
    module = getattr(sender.pool_cls, "__module__", str(sender.pool_cls)).partition(":")[0]
    pool = module.rpartition(".")[2]
    if pool in GREENLETS and has_queue(sender.app) and _takes_runs(sender.app):
        raise SystemExit(
            f"Event callbacks with worker= cannot run in the pool {pool!r}: each needs an event "
            "loop of its own, and greenlets share a thread. Start the worker with --pool prefork "
            f"or --pool threads, or route the task {TASK!r} to a queue that it does not consume."
        )


def _takes_runs(app: Any) -> bool:
    """Return whether this worker consumes the queue of runs."""
    queue = app.amqp.router.route({}, TASK)["queue"]
    return getattr(queue, "name", queue) in app.amqp.queues.consume_from


def _on_received(request: Any, **_: Any) -> None:
    """Remember a refusal if a run or a streamed task arrives and no Redis is configured."""
    headers = request.request_dict
    note = headers.get(HEADER)
    if headers["task"] == TASK:
        key = request.id
    elif isinstance(note, dict):
        key = key_of_part(note["feed"], note["part"])
    else:
        return
    try:
        worker_settings()
    except ConfigurationError as error:
        _refused[key] = str(error)
        while len(_refused) > MAX_REFUSALS:
            _refused.popitem(last=False)


def _answer(_state: Any, keys: Iterable[str]) -> dict[str, str]:
    """Answer the remote control command with the reasons of those that were refused."""
    return {key: _refused[key] for key in keys if key in _refused}


signals.worker_init.connect(_on_worker_init, weak=False)
signals.task_received.connect(_on_received, weak=False)
