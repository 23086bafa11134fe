"""One of two processes that share messages and values; it does what the lines of its input say.

    watch N             subscribes to N further topics
    read COUNT          subscribes, answers, and answers again when so many have come
    publish COUNT PAUSE publishes so many messages, each with its time
    set MEGABYTES, get  sets and gets a value

Run: python -m benchmarks.side MODULE URL
Prints the answer to each line as JSON.
"""

import asyncio
import json
import sys
import time
from importlib import import_module
from typing import Any

TEXT = 39 * "."
SETTLE_SECONDS = 0.5
"""Time after which a new subscription certainly counts."""
SILENCE_SECONDS = 3.0
"""Time without a message after which the rest counts as lost."""


def answer(value: object) -> None:
    print(json.dumps(value), flush=True)


async def watch(side: Any, count: int, watching: list[asyncio.Task[None]]) -> None:
    async def one(topic: str) -> None:
        async for _ in side.subscribe(topic):
            pass

    watching += [asyncio.create_task(one(f"other {number}")) for number in range(count)]
    await asyncio.sleep(SETTLE_SECONDS)
    answer("watching")


async def read(side: Any, count: int) -> None:
    seconds: list[float] = []
    note = ""

    async def collect() -> None:
        async for [sent, _] in side.subscribe("news"):
            seconds.append(time.monotonic() - sent)
            if len(seconds) == count:
                return

    reading = asyncio.create_task(collect())
    await asyncio.sleep(SETTLE_SECONDS)
    answer("reading")
    before = -1
    while not reading.done() and len(seconds) > before:
        before = len(seconds) if seconds else -1
        await asyncio.wait({reading}, timeout=SILENCE_SECONDS)
    reading.cancel()
    try:
        await reading
    except asyncio.CancelledError:
        note = "the rest never came"
    except Exception as error:  # of the side's library
        note = type(error).__name__
    answer({"seconds": seconds, "note": note})


async def publish(side: Any, count: int, pause: float) -> None:
    begun = time.perf_counter()
    for _ in range(count):
        await side.publish("news", [time.monotonic(), TEXT])
        if pause:
            await asyncio.sleep(pause)
    answer(time.perf_counter() - begun)


async def main(module: str, url: str) -> None:
    side = await import_module(f"benchmarks.sides.{module}").connect(url)
    watching: list[asyncio.Task[None]] = []
    answer("connected")
    while line := await asyncio.to_thread(sys.stdin.readline):
        begun = time.perf_counter()
        match line.split():
            case ["watch", count]:
                await watch(side, int(count), watching)
            case ["read", count]:
                await read(side, int(count))
            case ["publish", count, pause]:
                await publish(side, int(count), float(pause))
            case ["set", megabytes]:
                value = int(megabytes) * 1_000_000 * "x"
                begun = time.perf_counter()
                await side.set("large", value)
                answer(time.perf_counter() - begun)
            case ["get"]:
                value = await side.get("large")
                answer([time.perf_counter() - begun, len(value)])


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
