"""Pages that check every event while the server processes are killed or restarted."""

import asyncio
import random
import secrets
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from httpx_sse import EventSource, ServerSentEvent
from redis import Redis

from tests.support.machines import EXIT_SECONDS, kill
from tests.support.page import data, new_id
from tests.support.server import Served, serving

PROCESSES = 4
COMPONENTS = 8
LOST_SECONDS = 10.0
RESUMED_SECONDS = 2.0
"""Maximum time until a page that has lost its connection gets the loss, from its resume."""

ALIVE_SECONDS = 10.0
"""Maximum time until every live run has sent more."""

ASK_SECONDS = 8.0
REFUSED = (408, 429, 500, 502, 503, 504)


@dataclass
class Run:
    """State of a run in a page.

    Attributes:
        homes: the processes that were asked to start it; one of them has it.
        number: of its last update.
        reason: why it has ended; "" while it lives.
        is_stopped: whether the page has asked for its end.
    """

    id: str
    homes: list[Served]
    connection: str = ""
    number: int = 0
    reason: str = ""
    ended_at: float = 0.0
    is_stopped: bool = False


class Fleet:
    """Four processes that share a Redis; ended ones are replaced.

    Attributes:
        gone: when each that was killed, or told to stop, was.
    """

    def __init__(self, directory: Path, broker: str) -> None:
        self._directory = directory
        self._broker = broker
        self._stack = ExitStack()
        self.live: list[Served] = []
        self.gone: dict[str, float] = {}
        self.logs: list[Served] = []

    def start(self) -> None:
        home = self._directory / secrets.token_hex(4)
        home.mkdir()
        served = self._stack.enter_context(
            serving("tests.apps.kitchen:server", home, FLASH_EVENTS_BROKER=self._broker)
        )
        self.logs.append(served)
        self.live.append(served)

    def kill(self, served: Served) -> None:
        """Kills one without a warning."""
        self.live.remove(served)
        kill(served)
        self.gone[served.url] = time.monotonic()

    def terminate(self, served: Served) -> None:
        """Stops one gracefully while it still takes requests."""
        self.gone[served.url] = time.monotonic()
        served.process.send_signal(signal.SIGTERM)
        served.process.wait(EXIT_SECONDS)
        self.live.remove(served)

    def close(self) -> None:
        self._stack.close()


@dataclass
class Report:
    """Counters of the run, and violations."""

    faults: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    slowest_lost: float = 0.0

    def __str__(self) -> str:
        counted = ", ".join(f"{count} {name}" for name, count in sorted(self.counts.items()))
        return f"{counted}; slowest lost {self.slowest_lost:.1f} s"


class ChaosPage:
    """A page with several runs, over connections that it resumes at any process."""

    def __init__(
        self,
        fleet: Fleet,
        entries: list[Any],
        report: Report,
        chance: random.Random,
        most_runs: int = 6,
    ) -> None:
        self._fleet = fleet
        self._entries = entries
        self._report = report
        self._chance = chance
        self._most_runs = most_runs
        self._page = new_id()
        self._client = httpx.AsyncClient(timeout=httpx.Timeout(ASK_SECONDS, read=60))
        self._connections: dict[str, str] = {}
        """Open connections, each with its last event id."""
        self.resumed_at: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.runs: dict[str, Run] = {}

    def living(self) -> list[Run]:
        return [run for run in self.runs.values() if not run.reason]

    async def live(self, until: float) -> None:
        """Starts and stops runs, at least two at a time."""
        while time.monotonic() < until:
            living = self.living()
            if len(living) < 2 or (len(living) < self._most_runs and self._chance.random() < 0.6):
                await self.start()
            else:
                await self.stop(self._chance.choice(living))
            await asyncio.sleep(self._chance.uniform(0.3, 1.5))  # a user takes time

    async def start(self) -> None:
        name = f"endless{self._chance.randrange(COMPONENTS)}"
        entry = next(
            one for one in self._entries if "flash_events" in one and one["inputs"][0]["id"] == name
        )
        run, connection = Run(new_id(), []), new_id()
        body = {
            "output": entry["output"],
            "inputs": [{**entry["inputs"][0], "value": 1}],
            "state": [],
            "changedPropIds": [f"{name}.n_clicks"],
        }
        fields = {"run": run.id, "page": self._page, "connection": connection}
        self.runs[run.id] = run
        self._report.counts["runs"] += 1
        for _ in range(4):
            served = self._chance.choice(self._fleet.live)
            run.homes.append(served)
            envelope = {"version": 1, **fields, "connections": list(self._connections)}
            request = self._request(served, "start", {**body, "flash_events": envelope})
            with suppress(httpx.TransportError):
                response = await self._client.send(request, stream=True)
                if response.status_code == 200:
                    run.connection = connection
                    self._connections[connection] = ""
                    self._later(self._follow(connection, response))
                    return
                await response.aread()
                await response.aclose()
                if response.status_code == 202:
                    run.connection = response.json()["connection"]
                    return
                if response.status_code not in REFUSED:
                    break
            await asyncio.sleep(self._chance.uniform(0.1, 0.6))
        self._report.counts["refused starts"] += 1
        self.end(run, "refused")
        await self.stop(run)

    async def stop(self, run: Run) -> None:
        run.is_stopped = True
        fields = {"version": 1, "page": self._page, "runs": [run.id]}
        for _ in range(20):
            request = self._request(
                self._chance.choice(self._fleet.live), "stop", {"flash_events": fields}
            )
            with suppress(httpx.TransportError):
                if (await self._client.send(request)).status_code == 202:
                    return
            await asyncio.sleep(0.2)
        self._report.faults.append(f"no process takes the stop of {run.id}")

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.aclose()

    def end(self, run: Run, reason: str) -> None:
        if run.reason and run.reason != "refused":
            self._report.faults.append(f"{run.id} ends twice: {run.reason}, {reason}")
            return
        run.reason, run.ended_at = reason, time.monotonic()
        self._report.counts[f"ends {reason}"] += 1

    async def _follow(self, connection: str, response: httpx.Response | None) -> None:
        """Reads a connection and resumes it after a cut, until it is closed or lost."""
        while True:
            if response is not None:
                with suppress(httpx.TransportError):
                    async for event in EventSource(response).aiter_sse():
                        self._take(connection, event)
                        if event.event == "close":
                            self._connections.pop(connection, None)
                            self._lose(connection)  # what lives still
                            return
                await response.aclose()
            await asyncio.sleep(self._chance.uniform(0.0, 0.5))
            last = self._connections[connection]
            fields = {"version": 1, "connection": connection, "lastEventId": last}
            served = self._chance.choice(self._fleet.live)
            request = self._request(served, "resume", {"flash_events": fields})
            response = None
            with suppress(httpx.TransportError):
                response = await self._client.send(request, stream=True)
                if response.status_code != 200:
                    await response.aread()
                    if response.status_code not in REFUSED:
                        self._connections.pop(connection, None)
                        self._report.counts["lost connections"] += 1
                        self._lose(connection)
                        return
                    response = None
                else:
                    self._report.counts["resumes"] += 1
                    self.resumed_at[connection] = time.monotonic()

    def _lose(self, connection: str) -> None:
        for run in self.living():
            if run.connection == connection:
                self.end(run, "lost")

    def _take(self, connection: str, event: ServerSentEvent) -> None:
        if event.event in ("update", "end"):
            fields = data(event)
            run = self.runs[fields["run"]]
            if run.reason and run.reason != "refused":
                self._report.faults.append(f"{run.id} {event.event} after {run.reason}")
            elif event.event == "end":
                self.end(run, fields["reason"])
            else:
                self._report.counts["updates"] += 1
                if fields["n"] != run.number + 1:
                    self._report.faults.append(f"{run.id}: {fields['n']} after {run.number}")
                run.number = fields["n"]
        if event.id:
            self._connections[connection] = event.id

    def _request(self, served: Served, action: str, body: Any) -> httpx.Request:
        return self._client.build_request(
            "POST", f"{served.url}_dash-flash-events/{action}", json=body
        )

    def _later(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def check(pages: list[ChaosPage], fleet: Fleet, report: Report) -> None:
    """Adds the violations in the ends of runs."""
    for page in pages:
        for run in page.runs.values():
            gone = [fleet.gone[home.url] for home in run.homes if home.url in fleet.gone]
            if run.reason == "lost" and not gone and run.homes:
                report.faults.append(f"{run.id} is lost, and its process lives")
            elif run.reason == "error":
                report.faults.append(f"{run.id} fails")
            elif run.reason == "lost":
                report.slowest_lost = max(report.slowest_lost, run.ended_at - gone[-1])
            if len(gone) == len(run.homes) and gone and run.reason in ("", "lost"):
                until = run.ended_at if run.reason else time.monotonic()
                resumed_at = page.resumed_at.get(run.connection, 0.0)
                if until > max(gone[-1] + LOST_SECONDS, resumed_at + RESUMED_SECONDS):
                    report.faults.append(f"{run.id} is lost after {until - gone[-1]:.1f} s")


async def all_go_on(pages: list[ChaosPage], report: Report) -> None:
    """Waits until every live run has sent more, and every other one has ended."""
    before = {run.id: run.number for page in pages for run in page.living()}
    deadline = time.monotonic() + LOST_SECONDS + ALIVE_SECONDS

    def waiting() -> list[Run]:
        return [
            run for page in pages for run in page.living() if run.number <= before.get(run.id, 0)
        ]

    while waiting() and time.monotonic() < deadline:  # noqa: ASYNC110 - many pages change it
        await asyncio.sleep(0.1)
    for run in waiting():
        report.faults.append(f"{run.id} waits for ever at {run.number}, stopped {run.is_stopped}")


Disturb = Callable[[Fleet, Report, random.Random, float], Awaitable[None]]


async def chaos(
    directory: Path, redis: str, seconds: float, disturb: Disturb, pages: int = 8, seed: int = 1
) -> Report:
    """Runs pages for a while and disturbs the processes.

    Args:
        directory: for what the processes write.
        redis: the URL of a Redis.
        seconds: how long the pages start and stop runs.
        disturb: does it, until a time.
        pages: their number.
        seed: of all that is random.
    """
    chance = random.Random(seed)
    report = Report()
    fleet = Fleet(directory, redis)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.to_thread, fleet.close)
        await asyncio.gather(*(asyncio.to_thread(fleet.start) for _ in range(PROCESSES)))
        async with httpx.AsyncClient() as client:
            entries = (await client.get(f"{fleet.live[0].url}_dash-dependencies")).json()
        opened = [
            ChaosPage(fleet, entries, report, random.Random(chance.random()), 2 + n % 5)
            for n in range(pages)
        ]
        for page in opened:
            stack.push_async_callback(page.close)
        until = time.monotonic() + seconds
        await asyncio.gather(
            disturb(fleet, report, chance, until), *(page.live(until) for page in opened)
        )
        await all_go_on(opened, report)
        check(opened, fleet, report)
    return report


def killing(redis: str, pauses: tuple[float, float]) -> Disturb:
    """Kills processes in random order, and connections to Redis.

    Args:
        redis: its URL.
        pauses: the shortest and the longest time between two kills.
    """

    async def disturb(fleet: Fleet, report: Report, chance: random.Random, until: float) -> None:
        client = Redis.from_url(redis)
        due = time.monotonic() + pauses[0]
        starting: set[asyncio.Task[None]] = set()
        while time.monotonic() < until:
            await asyncio.sleep(chance.uniform(0.5, 1.5))
            client.client_kill_filter(_type="normal", skipme=True)
            report.counts["cuts of Redis"] += 1
            if time.monotonic() > due and len(fleet.live) > 1:
                fleet.kill(chance.choice(fleet.live))
                report.counts["kills"] += 1
                due = time.monotonic() + chance.uniform(*pauses)
                starting.add(asyncio.create_task(asyncio.to_thread(fleet.start)))
        await asyncio.gather(*starting)

    return disturb


def restarting() -> Disturb:
    """Restarts one process after the other, as a deploy does."""

    async def disturb(fleet: Fleet, report: Report, _: random.Random, until: float) -> None:
        while time.monotonic() < until:
            for served in list(fleet.live):
                await asyncio.to_thread(fleet.start)
                await asyncio.to_thread(fleet.terminate, served)
                report.counts["restarts"] += 1
                if time.monotonic() > until:
                    return

    return disturb
