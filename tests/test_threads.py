"""A plain generator runs in one thread, in order, including its `finally`."""

import asyncio
import threading
from collections.abc import Callable, Generator

import pytest

from flash_events.runs.thread import AHEAD, GeneratorThread


def drive(generator: Generator[int, None, None]) -> GeneratorThread[int, int]:
    return GeneratorThread(generator, lambda item: item, "test")


async def test_items_are_complete_and_in_order() -> None:
    async with drive(n for n in range(10 * AHEAD)) as items:
        assert [item async for bunch in items for item in bunch] == list(range(10 * AHEAD))


async def test_one_thread_serves_the_whole_generator() -> None:
    threads = set()

    def generate() -> Generator[int, None, None]:
        try:
            for n in range(200):
                threads.add(threading.get_ident())
                yield n
        finally:
            threads.add(threading.get_ident())

    async with drive(generate()) as items:
        async for _ in items:
            pass
    assert len(threads) == 1
    assert threads != {threading.get_ident()}


async def test_an_exception_is_raised_after_the_items_before_it() -> None:
    def generate() -> Generator[int, None, None]:
        yield 1
        raise LookupError("gone")

    async with drive(generate()) as items:
        assert await anext(items) == [1]
        with pytest.raises(LookupError, match="gone"):
            await anext(items)


async def test_leaving_early_runs_finally_at_the_next_yield() -> None:
    closed = threading.Event()
    async with drive(endless(closed.set)) as items:
        async for bunch in items:
            if 3 in bunch:
                break
    assert closed.is_set()


async def test_a_slow_reader_pauses_the_generator() -> None:
    produced = []

    def generate() -> Generator[int, None, None]:
        for n in range(100 * AHEAD):
            produced.append(n)
            yield n

    full = threading.Event()

    def convert(n: int) -> int:
        if n == AHEAD:
            full.set()
        return n

    async with GeneratorThread(generate(), convert, "test") as items:
        await asyncio.to_thread(full.wait, 5)
        assert len(produced) <= AHEAD + 2
        assert await anext(items) == list(range(AHEAD))


async def test_helper_threads_that_push_do_not_block_the_end() -> None:
    def generate() -> Generator[int, None, None]:
        helpers = [threading.Thread(target=push_many, args=(thread,)) for _ in range(3)]
        for helper in helpers:
            helper.start()
        yield 1
        for helper in helpers:
            helper.join()

    def push_many(thread: GeneratorThread[int, int]) -> None:
        for n in range(5 * AHEAD):
            thread.push(n)

    thread = drive(generate())
    async with thread as items:
        async with asyncio.timeout(5):
            assert sum([len(bunch) async for bunch in items]) == 15 * AHEAD + 1


async def test_helper_threads_that_push_do_not_block_a_stop() -> None:
    pushing = threading.Event()

    def generate() -> Generator[int, None, None]:
        helpers = [threading.Thread(target=push_for_ever, args=(thread,)) for _ in range(3)]
        for helper in helpers:
            helper.start()
        try:
            while True:
                yield 1
        finally:
            pushing.set()
            for helper in helpers:
                helper.join()

    def push_for_ever(thread: GeneratorThread[int, int]) -> None:
        while not pushing.is_set():
            thread.push(2)

    thread = drive(generate())
    async with asyncio.timeout(5), thread as items:
        assert await anext(items)


async def test_cancelling_the_reader_waits_for_finally() -> None:
    closed = threading.Event()
    began = asyncio.Event()

    async def read() -> None:
        async with drive(endless(closed.set)) as items:
            async for _ in items:
                began.set()

    task = asyncio.create_task(read())
    await began.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert closed.is_set()


def endless(on_close: Callable[[], None]) -> Generator[int, None, None]:
    n = 0
    try:
        while True:
            n += 1
            yield n
    finally:
        on_close()
