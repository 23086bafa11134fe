"""Shared helpers of the broker tests."""

import re
import secrets

from flash_events.brokers import CallbackId, ConnectionId, LogLimits, RunId

LIMITS = LogLimits(waiting_bytes=10_000, waiting_events=100, replay_bytes=4_000, replay_seconds=60)

RUN = RunId("run")

CALLBACK = CallbackId("callback")


def new_run() -> RunId:
    return RunId(secrets.token_urlsafe(16))


def new_connection() -> ConnectionId:
    return ConnectionId(secrets.token_urlsafe(16))


def event(n: int, size: int = 0) -> bytes:
    return b"data: %d%s\n\n" % (n, b"." * size)


def numbers(data: bytes) -> list[int]:
    return [int(n) for n in re.findall(rb"data: (\d+)", data)]
