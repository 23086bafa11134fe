"""A worker hears every signal, from its start on and whatever it has heard before."""

import pytest
from redis import Redis

from flash_events.brokers import LogLimits, open_broker
from flash_events.brokers.redis_keys import key
from flash_events.brokers.signals import Signal, Stopped
from tests.support.server import until

LIMITS = LogLimits(10_000, 100, 4_000, 60)


async def test_a_signal_that_is_sent_as_soon_as_a_worker_has_started_is_heard(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where the thread that renews the lease is slow to run."""
    monkeypatch.setattr("flash_events.brokers.lease.Lease._work", lambda _: None)
    heard: list[Signal] = []
    here, there = open_broker(redis_url, LIMITS), open_broker(redis_url, LIMITS)
    for broker in (here, there):
        await broker.start(heard.append, lambda _: None)
    there.signal(here.worker, Stopped(("run",)))
    await until(lambda: heard == [Stopped(("run",))])
    await here.close()
    await there.close()


async def test_signals_that_cannot_be_followed_do_not_deafen_a_worker(redis_url: str) -> None:
    heard: list[Signal] = []

    def hear(signal: Signal) -> None:
        heard.append(signal)
        if len(heard) == 1:
            raise KeyError("a run that is not there")

    here, there = open_broker(redis_url, LIMITS), open_broker(redis_url, LIMITS)
    for broker, on_signal in ((here, hear), (there, heard.append)):
        await broker.start(on_signal, lambda _: None)
    client: Redis = Redis.from_url(redis_url)
    inbox = key(here.worker, "inbox")
    signals = [Stopped((f"run {n}",)) for n in range(3)]
    there.signal(here.worker, signals[0])
    await until(lambda: len(heard) == 1)
    client.xadd(inbox, {"s": b'{"kind": "OfANewerVersion"}', "k": "once"})
    for signal in signals[1:]:
        there.signal(here.worker, signal)
    await until(lambda: len(heard) == 3)
    assert heard == signals
    await here.close()
    await there.close()
    client.close()
