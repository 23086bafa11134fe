"""The Lua scripts: a Redis Cluster can carry their keys."""

import secrets

import pytest
from redis import Redis
from redis.crc import key_slot
from redis.exceptions import ResponseError

from flash_events.brokers import RunId, broker_of
from flash_events.brokers.place import QUEUED
from flash_events.brokers.redis import scripts
from flash_events.brokers.redis.client import async_client
from flash_events.brokers.redis.pipe import Pipe
from flash_events.brokers.redis.process import RedisProcess
from flash_events.brokers.redis.script import Script
from flash_events.brokers.redis.task_writer import TaskWriter
from tests.support.broker import LIMITS, new_connection, numbers
from tests.support.lua import check, files

SCRIPTS = [one for one in vars(scripts).values() if isinstance(one, Script)]

KEYS = r"log|meta|runs|blocked"
"""The names that `lua/log.lua` gives to the keys of a log."""


def test_every_file_is_one_script_or_what_scripts_of_a_log_share() -> None:
    assert files(scripts.__file__) == {script.name for script in SCRIPTS} | {"log"}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_says_what_it_gets_and_touches_only_its_keys(script: Script) -> None:
    check(script, scripts._LOG if script.text.startswith(scripts._LOG) else "", KEYS)


def test_the_tests_redis_refuses_keys_of_several_slots(redis_url: str) -> None:
    """Or the contract suites would prove nothing."""
    client: Redis = Redis.from_url(redis_url)
    for script in ("return 1", "return redis.call('DEL', KEYS[1])"):
        with pytest.raises(ResponseError, match="same slot"):
            client.eval(script, 2, "a", "b")
    client.close()


async def test_all_scripts_of_a_run_have_keys_in_one_slot_each(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Besides the cluster's own check: what is sent names its keys."""
    sent: list[tuple[object, ...]] = []
    send = Pipe._send

    async def noting(pipe: Pipe, commands: list[tuple[object, ...]]) -> list[object]:
        sent.extend(commands)
        return await send(pipe, commands)  # type: ignore[arg-type]

    monkeypatch.setattr(Pipe, "_send", noting)
    broker = broker_of(redis_url, LIMITS)
    await broker.open(lambda _: None, lambda _: None)
    task_log, run = new_connection(), RunId("0")
    log = await broker.logs.open(task_log, "", run, QUEUED)
    assert log is not None
    writer = TaskWriter(RedisProcess(redis_url, LIMITS), task_log, run)
    assert writer.adopt()
    writer.emit(b"data: 1\n\n")
    writer.end(b"data: 2\n\n")
    assert numbers((await log.read("")).data) == [1, 2]
    await broker.logs.drop(task_log)
    await broker.close()
    evals = [command for command in sent if command[0] == "EVALSHA"]
    assert {script.digest for script in (scripts.OPEN, scripts.READ, scripts.DROP)} <= {
        str(command[1]) for command in evals
    }
    for _, _, count, *rest in evals:
        slots = {key_slot(str(name).encode()) for name in rest[: int(str(count))]}
        assert len(slots) == 1


async def test_what_follows_the_first_run_of_a_script_is_carried_out_once(redis_url: str) -> None:
    client = async_client(redis_url)
    pipe, key = Pipe(client), f"{{{secrets.token_hex(8)}}}"
    await client.script_flush()
    client.response_callbacks.clear()
    keys = tuple(f"{key}:{n}" for n in range(4))
    run, count = pipe.run(scripts.DROP, keys, "nobody"), pipe.call("INCR", f"{key}:count")
    assert await run == []
    assert await count == 1
    await pipe.close(1)
    await client.aclose()
