"""Messages and values from one worker process to another, over each store.

Two processes of each contender share a topic and a value; see benchmarks/side.py. Dash's shared
storage keeps the last 32 messages of a topic by default, and flash_events 100.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.environments import NATIVE_STORAGE, Absent, Environment
from benchmarks.figures import Figure
from tests.support.redis_server import redis_server
from tests.support.server import ROOT

MESSAGES = 200
PAUSE_SECONDS = 0.003
OTHERS = 1000
BURST = 2000
MEGABYTES = 10

LATENCY = "A message of 60 bytes to a reader in another process"
WATCHED = f"The same, with {OTHERS:,} other topics watched"
BURSTS = f"{BURST:,} messages as fast as they can be published"
VALUES = f"A value of {MEGABYTES} MB"
TITLE = "Between two workers"
REFERENCE = "flash_events, Redis"

MS = "ms, median"


@dataclass(frozen=True, eq=False)
class Contender:
    """A way to share.

    Attributes:
        name: in the tables.
        module: in benchmarks/sides.
        url: of its store; HOME and REDIS are replaced.
        environment: where it runs, if not in this one.
        is_watching: whether the reader watches many topics.
    """

    name: str
    module: str
    url: str
    environment: Environment | None = None
    is_watching: bool = False


CONTENDERS = (
    Contender("flash_events, Redis", "ours", "REDIS"),
    Contender("flash_events, Redis", "ours", "REDIS", is_watching=True),
    Contender("Dash 4.5.0rc2, Redis", "dash_storage", "REDIS", NATIVE_STORAGE),
    Contender("Dash 4.5.0rc2, Redis", "dash_storage", "REDIS", NATIVE_STORAGE, is_watching=True),
    Contender("Redis PUBLISH", "redis_publish", "REDIS"),
    Contender("flash_events, SQLite", "ours", "sqlite:///HOME/store"),
    Contender("flash_events, SQLite", "ours", "sqlite:///HOME/store", is_watching=True),
    Contender("Dash 4.5.0rc2, local", "dash_storage", "HOME", NATIVE_STORAGE),
)


class Side:
    """One of two processes."""

    def __init__(self, program: str, module: str, url: str) -> None:
        self._process = subprocess.Popen(
            [program, "-m", "benchmarks.side", module, url],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.answer()

    def ask(self, line: str) -> Any:
        """Returns the answer to a line."""
        assert self._process.stdin
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return self.answer()

    def answer(self) -> Any:
        """Returns the next answer."""
        assert self._process.stdout
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@dataclass(frozen=True)
class Pair:
    """The two processes of a contender."""

    publisher: Side
    reader: Side

    def publish(self, count: int, pause: float) -> tuple[list[float], str]:
        """Returns the seconds of each message that has come, and a note."""
        self.reader.ask(f"read {count}")
        self.publisher.ask(f"publish {count} {pause}")
        got = self.reader.answer()
        return got["seconds"], got["note"]


def measure(rounds: int) -> Iterator[Figure]:
    samples: defaultdict[tuple[str, str, str], list[float]] = defaultdict(list)
    notes: dict[tuple[str, str], str] = {}
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        pairs = _pairs(stack, home, notes)
        for _ in range(rounds):
            for contender, pair in pairs.items():
                seconds, note = pair.publish(MESSAGES, PAUSE_SECONDS)
                work = WATCHED if contender.is_watching else LATENCY
                samples[work, contender.name, MS].append(1000 * statistics.median(seconds))
                if note:
                    notes[work, contender.name] = f"{len(seconds)} of {MESSAGES} arrive: {note}"
        alone = {one: pair for one, pair in pairs.items() if not one.is_watching}
        for _ in range(rounds):
            for contender, pair in alone.items():
                seconds, note = pair.publish(BURST, 0)
                samples[BURSTS, contender.name, "arrive"].append(len(seconds))
                if note:
                    notes[BURSTS, contender.name] = note
            for contender, pair in alone.items():
                stored = pair.publisher.ask(f"set {MEGABYTES}")
                got, size = pair.reader.ask("get")
                assert size == MEGABYTES * 1_000_000
                samples[VALUES, contender.name, "ms to set"].append(1000 * stored)
                samples[VALUES, contender.name, "ms to get in the other"].append(1000 * got)
    for work, quantities in (
        (LATENCY, [MS]),
        (WATCHED, [MS]),
        (BURSTS, ["arrive"]),
        (VALUES, ["ms to set", "ms to get in the other"]),
    ):
        for quantity in quantities:
            for name in dict.fromkeys(contender.name for contender in CONTENDERS):
                found, note = samples[work, name, quantity], notes.get((work, name), "")
                if found or note:
                    yield Figure(work, name, quantity, tuple(found), note)


def _pairs(
    stack: ExitStack, home: Path, notes: dict[tuple[str, str], str]
) -> dict[Contender, Pair]:
    pairs: dict[Contender, Pair] = {}
    for number, contender in enumerate(CONTENDERS):
        directory = home / str(number)
        directory.mkdir()
        redis = stack.enter_context(redis_server(directory)).url
        url = contender.url.replace("HOME", str(directory)).replace("REDIS", redis)
        try:
            environment = contender.environment
            program = sys.executable if environment is None else environment.program()
        except Absent as reason:
            notes[LATENCY, contender.name] = str(reason)
            continue
        sides = []
        for _ in range(2):
            side = Side(program, contender.module, url)
            stack.callback(side.close)
            sides.append(side)
        pair = pairs[contender] = Pair(*sides)
        if contender.is_watching:
            pair.reader.ask(f"watch {OTHERS}")
    return pairs
