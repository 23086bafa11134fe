"""One connection to Redis for all that a worker asks: what comes together travels together.

Every command is safe to be sent twice, so all that was not answered is sent again when a connection
breaks, in the same order, until it is answered or nobody waits for it any more.
"""

import asyncio
import contextvars
import hashlib
import logging
from collections import deque
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from flash_events.brokers.redis_client import is_passing

logger = logging.getLogger(__name__)

Part = bytes | str | int
_Asked = tuple[tuple[Part, ...], "asyncio.Future[Any]"]

AT_ONCE = 256
"""Commands of one pipeline."""

RETRY_SECONDS = 0.05
MAX_RETRY_SECONDS = 1.0


class Pipe:
    """Sends commands and scripts in pipelines, one at a time.

    Args:
        redis: a client that does not retry by itself.
    """

    def __init__(self, redis: "Redis") -> None:
        self._redis = redis
        self._queue: deque[_Asked] = deque()
        self._task: asyncio.Task[None] | None = None
        self._scripts: dict[str, str] = {}
        self.is_up = True
        """Whether the last attempt was answered."""

    def call(self, *command: Part) -> "asyncio.Future[Any]":
        """Sends a command. One whose future is cancelled before it is sent is not sent."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._queue.append((command, future))
        if self._task is None or self._task.done():
            # In a context of its own, or the current request would be kept.
            self._task = asyncio.create_task(self._work(), context=contextvars.Context())
        return future

    def tell(self, *command: Part) -> None:
        """Sends a command whose answer does not matter."""
        self.call(*command).add_done_callback(_log_refusal)

    def run(self, script: str, keys: tuple[str, ...], *args: Part) -> "asyncio.Future[Any]":
        """Runs a Lua script."""
        digest = self._scripts.get(script)
        if digest is None:
            digest = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
            self._scripts[script] = digest
        return self.call("EVALSHA", digest, len(keys), *keys, *args)

    async def close(self, within_seconds: float) -> None:
        """Waits until everything was sent, but not for ever."""
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=within_seconds)
            self._task.cancel()

    async def _work(self) -> None:
        retry_seconds = RETRY_SECONDS
        while self._queue:
            batch = [self._queue.popleft() for _ in range(min(AT_ONCE, len(self._queue)))]
            batch = [item for item in batch if not item[1].done()]
            if not batch:
                continue
            try:
                answers = await self._send([command for command, _ in batch])
            except (RedisError, OSError, TimeoutError) as error:
                self._queue.extendleft(reversed(batch))
                if self.is_up:
                    logger.warning("Redis does not answer (%s); trying on.", error)
                self.is_up = False
                await asyncio.sleep(retry_seconds)
                retry_seconds = min(2 * retry_seconds, MAX_RETRY_SECONDS)
                continue
            if not self.is_up:
                logger.warning("Redis answers again.")
            self.is_up = True
            retry_seconds = RETRY_SECONDS
            unknown: list[_Asked] = []
            for (command, future), answer in zip(batch, answers, strict=True):
                if isinstance(answer, NoScriptError):
                    unknown.append((command, future))
                elif future.done():
                    pass  # nobody waits for it any more
                elif isinstance(answer, Exception):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)
            if unknown:
                await self._load_scripts()
                self._queue.extendleft(reversed(unknown))

    async def _send(self, commands: list[tuple[Part, ...]]) -> list[Any]:
        async with self._redis.pipeline(transaction=False) as pipeline:
            for command in commands:
                pipeline.execute_command(*command)
            answers = await pipeline.execute(raise_on_error=False)
        for answer in answers:
            if is_passing(answer):
                raise answer
        return list(answers)

    async def _load_scripts(self) -> None:
        try:
            for script in list(self._scripts):
                await self._redis.script_load(script)
        except (RedisError, OSError, TimeoutError):
            await asyncio.sleep(RETRY_SECONDS)


def _log_refusal(asked: "asyncio.Future[Any]") -> None:
    if not asked.cancelled() and asked.exception() is not None:
        logger.error("Redis has refused a command: %s", asked.exception())
