"""Parsing of canvases and messages, and errors for wrong calls."""

import logging
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from celery import Celery, chain, chord, group
from dash import Input

from flash_events import CallbackError, ConfigurationError, Update, bridge
from flash_events.callbacks import event_callback_in
from flash_events.celery import emit, stream_task
from flash_events.celery.canvas import canvas_of, first_of, followers_of, label, parts_of, result_of
from flash_events.celery.messages import Changed, TaskState, TaskUpdate, decode, encode
from flash_events.celery.messages import encode_update as encode_emitted
from flash_events.errors import EncodingError
from flash_events.runs.task_log import TaskLogs, task_logs
from flash_events.updates import stream_props
from flash_events.wire import events
from flash_events.wire.events import encode_update

celery_app = Celery("tests", broker="memory://")


def work(_n: int) -> None: ...


task = celery_app.task(work)
UPDATE = stream_props("out", {"children": "text"})


class TestWrongCalls:
    """Each message says what was expected, what came and how to fix it."""

    async def test_outside_a_run(self) -> None:
        with pytest.raises(ConfigurationError, match="FLASH_EVENTS_BROKER"):
            async with stream_task(task, 1):
                pass

    async def test_a_task_that_is_always_eager(self) -> None:
        task_logs.set(TaskLogs(None))  # type: ignore[arg-type] # it is not asked
        eager = Celery("eager", task_always_eager=True).task(work)
        with pytest.raises(ConfigurationError, match="task_always_eager=False"):
            async with stream_task(eager, 1):
                pass

    def test_no_task(self) -> None:
        with pytest.raises(TypeError, match=r"Expected a Celery task or signature, got function"):
            stream_task(work, 1)

    def test_arguments_beside_a_signature(self) -> None:
        with pytest.raises(TypeError, match="Expected no arguments beside the signature"):
            stream_task(task.s(1), 2)

    def test_a_worker_that_is_no_celery_app(self) -> None:
        with pytest.raises(CallbackError, match="Expected worker to be a Celery app, got str"):

            @event_callback_in(bridge.Registry([], {}), Input("go", "n_clicks"), worker="celery")
            async def run(_n: int) -> AsyncIterator[Update]:
                yield UPDATE

    def test_emit_outside_a_stream_is_logged_once(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.WARNING):
            for _ in range(3):
                emit(UPDATE)
        assert len([one for one in caplog.records if "emit()" in one.message]) <= 1


@pytest.mark.parametrize(
    ("canvas", "parts", "first", "result"),
    [
        (task.s(1), 1, [0], 0),
        (group(task.s(n) for n in range(3)), 3, [0, 1, 2], [0, 1, 2]),
        (chain(task.s(1), task.s(), task.s()), 3, [0], 2),
        (chord([task.s(1), task.s(2)], task.s()), 3, [0, 1], 2),
        (group(chain(task.s(1), task.s()), task.s(2)), 3, [0, 2], [1, 2]),
        (chain(task.s(1), group(task.s(), task.s())), 3, [0], [1, 2]),
    ],
    ids=["task", "group", "chain", "chord", "group of chains", "chain with a group"],
)
def test_a_canvas_is_read_as_its_parts(
    canvas: Any, parts: int, first: list[int], result: Any
) -> None:
    canvas = canvas_of(canvas, (), {})
    label(canvas, "to", {"feed": "f"})
    headers = [part.options["headers"]["to"] for part in parts_of(canvas)]
    assert headers == [{"feed": "f", "part": n} for n in range(parts)]
    assert first_of(canvas) == first
    assert result_of(canvas, {n: n for n in range(parts)}) == result


def test_a_canvas_that_is_streamed_is_a_copy_even_of_its_parts() -> None:
    same = task.s(1)
    original = group([same] * 3)
    canvas = canvas_of(original, (), {})
    label(canvas, "to", {"feed": "f"})
    assert [part.options["headers"]["to"]["part"] for part in parts_of(canvas)] == [0, 1, 2]
    assert all("headers" not in part.options for part in parts_of(original))


def test_the_successors_of_a_part_are_known() -> None:
    """C8: these never run if the part has no result."""
    canvas = group(chain(task.s(1), task.s()), chord([task.s(1), task.s(2)], task.s()), task.s(3))
    assert followers_of(canvas) == {0: {1}, 2: {4}, 3: {4}}


@pytest.mark.parametrize(
    "told",
    [
        Changed(3, 1, TaskState.STARTED, "id", pool="prefork"),
        Changed(0, 2, TaskState.SUCCESS, "id", result='"\\n\\n"'),
        Changed(0, 2, TaskState.FAILURE, "id", error={"exc_message": [UUID(int=1)]}),
    ],
)
def test_state_changes_are_decoded_as_they_were_encoded(told: Changed) -> None:
    message = encode(told)
    assert message.count(b"\n\n") == 1
    assert decode(message.removesuffix(b"\n\n")) == told


def test_updates_are_decoded_as_they_were_encoded() -> None:
    update = stream_props({"type": "bar", "n": 1}, {"children": "line\n\nline"}, alone=True)
    body = encode_update(update, 1000)
    message = encode_emitted(7, 2, body)
    assert message.count(b"\n\n") == 1
    told = decode(message.removesuffix(b"\n\n"))
    assert isinstance(told, TaskUpdate)
    assert (told.part, told.attempt, told.alone) == (7, 2, True)
    assert told.targets == (('{"n":1,"type":"bar"}', {"children": "line\n\nline"}),)
    assert encode_update(told, 1000) == body


@pytest.mark.parametrize(
    "more", ['"run":"another",', '\r\r"x":\r\n1,', '"n":7,"snapshot":true,"reason":"done",']
)
def test_c10_a_foreign_message_in_the_queue_is_encoded_again(more: str) -> None:
    body = b'%b"set":[["out", {"children":\r"hello"}]],"alone":true' % more.encode()
    update = decode(encode_emitted(0, 1, body).removesuffix(b"\n\n"))
    assert isinstance(update, TaskUpdate)
    event = events.encode(events.Updated("R" * 22, 1, encode_update(update, 1000)))
    assert event == (
        b'event: update\ndata: {"run":"%b","n":1,"set":[["out",{"children":"hello"}]],"alone":true}'
        b"\n\n" % (b"R" * 22)
    )


@pytest.mark.parametrize("body", ['"set":7', '"sets":[]', '"set":[[1,{}]]', '"set":[["a",1]]', "x"])
def test_c10_an_invalid_update_is_an_error(body: str) -> None:
    with pytest.raises(EncodingError, match="Expected an update"):
        decode(b"0 1 " + body.encode())


def test_c10_an_encoded_update_has_the_same_size_limit() -> None:
    update = decode(b'0 1 "set":[["out",{"children":"%b"}]]' % (b"x" * 1000))
    assert isinstance(update, TaskUpdate)
    with pytest.raises(EncodingError, match="max_event_bytes=1,000"):
        encode_update(update, 1000)
