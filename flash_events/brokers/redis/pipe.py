"""One connection to Redis for all commands of a worker; concurrent commands are pipelined.

Every command is safe to be sent twice, so all that was not answered is sent again when a connection
breaks, or when Redis refuses everything for a while, in the same order. That ends when it is
answered, when nobody waits for it any more, or when Redis has been away for too long.
"""

import asyncio
import contextvars
import logging
import math
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError, ResponseError

from flash_events.brokers.redis.client import is_passing
from flash_events.brokers.redis.script import Script
from flash_events.errors import BrokerError

logger = logging.getLogger(__name__)

Part = bytes | str | int


class _Asked(NamedTuple):
    """A command to be sent, and the future of its answer.

    One with a `lasts_until` is kept when Redis is given up, and sent again when it is refused.
    """

    command: tuple[Part, ...]
    answer: "asyncio.Future[Any]"
    lasts_until: float | None = None


AT_ONCE = 256
"""Maximum number of commands in one pipeline."""

SILENT_SECONDS = 1.0
"""Timeout after which an unanswered command means that Redis is away."""

RETRY_SECONDS = 0.05
MAX_RETRY_SECONDS = 1.0


class Pipe:
    """Sends commands and scripts in pipelines, one at a time.

    Redis carries them out in the order in which they were asked. Those that write in one slot and
    read in another rely on it; a pipe to a cluster would have to wait between the two.

    A command raises `BrokerError` where Redis refuses it, or was away for too long.

    Args:
        redis: a client that does not retry by itself.
        outage_seconds: how long commands wait for a Redis that does not answer, or refuses all.
        on_outage: called when Redis has been away for so long, before the commands are told.
    """

    def __init__(
        self,
        redis: "Redis",
        outage_seconds: float = math.inf,
        on_outage: Callable[[], object] = lambda: None,
    ) -> None:
        self._redis = redis
        self._outage_seconds = outage_seconds
        self._on_outage = on_outage
        self._queue: deque[_Asked] = deque()
        self._task: asyncio.Task[None] | None = None
        self._scripts: set[Script] = set()
        """Scripts that were loaded, to load them again if Redis has lost them."""
        self._down_since: float | None = None
        self._is_given_up = False
        self._asked_at = math.inf
        """Time of the last command that was not answered yet."""
        self._is_muted = False

    @property
    def is_away(self) -> bool:
        """Whether commands wait for a Redis that does not answer, or refuses them all."""
        if self._task is None or self._task.done():
            return False
        return self._down_since is not None or monotonic() - self._asked_at > SILENT_SECONDS

    def call(self, *command: Part) -> "asyncio.Future[Any]":
        """Send a command. One whose future is cancelled before it is sent is not sent."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._ask(_Asked(command, future))
        return future

    def mute(self) -> None:
        """Send nothing any more; later commands are cancelled."""
        self._is_muted = True
        while self._queue:
            self._queue.popleft().answer.cancel()

    def _ask(self, asked: _Asked) -> None:
        if self._is_muted:
            asked.answer.cancel()
            return
        self._queue.append(asked)
        if self._task is None or self._task.done():
            # In a context of its own, or the current request would be kept.
            self._task = asyncio.create_task(self._work(), context=contextvars.Context())

    def tell(self, *command: Part) -> None:
        """Send a command whose answer does not matter."""
        self.call(*command).add_done_callback(_log_refusal)

    def run(self, script: Script, keys: tuple[str, ...], *args: Part) -> "asyncio.Future[Any]":
        """Run a Lua script."""
        self._load_once(script)
        return self.call("EVALSHA", script.digest, len(keys), *keys, *args)

    def tell_script(self, script: Script, keys: tuple[str, ...], *args: Part) -> None:
        """Run a Lua script whose answer does not matter."""
        self.run(script, keys, *args).add_done_callback(_log_refusal)

    def tell_at_last(
        self, script: Script, keys: tuple[str, ...], *args: Part
    ) -> "asyncio.Future[Any]":
        """Run a Lua script when Redis answers again, however long it is away.

        One that is refused is tried again for as long as an outage may last.
        """
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(_log_refusal)
        self._load_once(script)
        command = ("EVALSHA", script.digest, len(keys), *keys, *args)
        self._ask(_Asked(command, answer, monotonic() + self._outage_seconds))
        return answer

    async def close(self, within_seconds: float) -> None:
        """Wait until everything was sent, or the timeout is over."""
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=within_seconds)
            self._task.cancel()

    async def _work(self) -> None:
        retry_seconds = RETRY_SECONDS
        while self._queue:
            batch = [self._queue.popleft() for _ in range(min(AT_ONCE, len(self._queue)))]
            batch = [asked for asked in batch if not asked.answer.done()]
            if not batch:
                continue
            self._asked_at = monotonic()
            try:
                answers = await self._send([asked.command for asked in batch])
            except (RedisError, OSError, TimeoutError) as error:
                self._queue.extendleft(reversed(batch))
                self._on_silence(error)
                await asyncio.sleep(retry_seconds)
                retry_seconds = min(2 * retry_seconds, MAX_RETRY_SECONDS)
                continue
            self._asked_at = math.inf
            if self._down_since is not None:
                logger.warning("Redis answers again.")
            self._down_since, self._is_given_up = None, False
            retry_seconds = RETRY_SECONDS
            unknown: list[_Asked] = []
            for asked, answer in zip(batch, answers, strict=True):
                if unknown or isinstance(answer, NoScriptError):
                    unknown.append(asked)  # with all that follows, to keep the order
                elif asked.answer.done():
                    pass  # nobody waits for it any more
                elif isinstance(answer, Exception) and monotonic() < (asked.lasts_until or 0):
                    asyncio.get_running_loop().call_later(MAX_RETRY_SECONDS, self._ask, asked)
                elif isinstance(answer, Exception):
                    asked.answer.set_exception(BrokerError(f"Redis has refused it: {answer}"))
                else:
                    asked.answer.set_result(answer)
            if unknown:
                await self._load_scripts()
                self._queue.extendleft(reversed(unknown))

    def _on_silence(self, error: Exception) -> None:
        """Handle a missing answer; give up when the outage lasts too long."""
        if self._down_since is None:
            self._down_since = self._asked_at
            logger.warning("Redis does not answer (%s); trying on.", error)
        if monotonic() - self._down_since < self._outage_seconds:
            return
        if not self._is_given_up:
            self._is_given_up = True
            logger.error("Redis has not answered for %.0f s.", self._outage_seconds)
            self._on_outage()
        waiting, self._queue = self._queue, deque()
        for asked in waiting:
            if asked.lasts_until is not None:
                self._queue.append(asked)
            elif not asked.answer.done():
                asked.answer.set_exception(BrokerError(f"Redis does not answer ({error})."))

    async def _send(self, commands: list[tuple[Part, ...]]) -> list[Any]:
        """Return the answers, with error replies among them; raise one that concerns them all.

        As redis-py's pipeline does it, but with one timeout for all in place of a timer and a task
        for each send and read, which is a third of the time to the answer.
        """
        pool: Any = self._redis.connection_pool  # untyped in parts
        connection = await pool.get_connection()
        connection.socket_timeout, seconds = None, connection.socket_timeout
        try:
            async with asyncio.timeout(seconds):
                await connection.send_packed_command(connection.pack_commands(commands))
                answers = [await self._read(connection, command) for command in commands]
        except BaseException:  # what is left of the answers must not be taken for later ones
            await connection.disconnect(nowait=True)
            raise
        finally:
            connection.socket_timeout = seconds
            await pool.release(connection)
        for answer in answers:
            if is_passing(answer):
                raise answer
        return answers

    async def _read(self, connection: Any, command: tuple[Part, ...]) -> Any:
        try:
            answer = await connection.read_response()
        except ResponseError as error:
            return error
        convert = self._redis.response_callbacks.get(str(command[0]))
        return answer if convert is None else convert(answer)

    def _load_once(self, script: Script) -> None:
        """Load a script before it is run for the first time.

        If Redis did not know it, the commands after it would be carried out twice, and the answers
        of some tell only the first time what they have done.
        """
        if script not in self._scripts:
            self._scripts.add(script)
            self.tell("SCRIPT", "LOAD", script.text)

    async def _load_scripts(self) -> None:
        try:
            for script in list(self._scripts):
                await self._redis.script_load(script.text)
        except (RedisError, OSError, TimeoutError):
            await asyncio.sleep(RETRY_SECONDS)


def _log_refusal(asked: "asyncio.Future[Any]") -> None:
    if not asked.cancelled() and asked.exception() is not None:
        logger.error("A command was not carried out. %s", asked.exception())
