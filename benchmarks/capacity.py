"""Capacity plans for larger deployments, computed from the measured cost of single operations.

The formulas stand in docs/performance.md, above the table that this makes.
"""

import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from benchmarks.figures import Figure
from benchmarks.results import Result
from benchmarks.works import costs, idle

DEPLOYMENTS = (1_000, 100_000, 10_000_000)
"""Numbers of open pages."""

UPDATES_PER_SECOND = 1.0
"""Update rate of each page, which has one connection and one run."""

HEARTBEAT_SECONDS = 15.0

SECONDS_BETWEEN_CUTS = 600.0
"""Time between two losses of a page's network (sleep, reload)."""

DEPLOY_SECONDS = 60.0
"""Time within which all pages resume when new servers replace the old ones."""

BUSY = 0.6
"""Planned share of a core; the rest is for peaks."""

WORKER_BYTES = 2 * 1024**3
"""Maximum memory of a worker for its connections and runs."""


@dataclass(frozen=True)
class Costs:
    """Costs of single operations.

    Attributes:
        update: worker's CPU, in seconds.
        resume: worker's CPU, in seconds.
        idle: worker's CPU of a connection that waits, in seconds a second: heartbeats.
        answer: worker's CPU of an answer to one of them, in seconds.
        redis_update: Redis' CPU, in seconds.
        redis_resume: Redis' CPU, in seconds.
        page_bytes: of a worker's memory.
        wire_bytes: of an update on its way to the browser.
        redis_bytes: of an update, to and from Redis.
    """

    update: float
    resume: float
    idle: float
    answer: float
    redis_update: float
    redis_resume: float
    page_bytes: float
    wire_bytes: float
    redis_bytes: float

    @classmethod
    def of(cls, measured: Iterable[Figure], waiting: Iterable[Figure]) -> "Costs":
        """Reads the costs from the figures of the works `costs`, through Redis, and `idle`."""
        redis = {
            (figure.work, figure.quantity): statistics.median(figure.samples)
            for figure in measured
            if figure.contender.startswith("Redis")
        }
        size = max(idle.SIZES)
        held = {
            figure.quantity: statistics.median(figure.samples)
            for figure in waiting
            if figure.work == idle.work_of(size)
            and figure.contender in (idle.BARE.name, idle.OURS[0].name)
        }  # the last figure of a quantity is ours
        update = costs.update_of(costs.PAGES[0])
        return cls(
            update=redis[update, costs.WORKER] / 1e6,
            resume=redis[costs.RESUME, costs.WORKER] / 1e6,
            idle=held[idle.CPU] / 100 / size,
            answer=redis[costs.ANSWER, costs.WORKER] / 1e6,
            redis_update=redis[update, costs.REDIS] / 1e6,
            redis_resume=redis[costs.RESUME, costs.REDIS] / 1e6,
            page_bytes=held[idle.PER_CONNECTION] + held[idle.PER_RUN],
            wire_bytes=redis[update, costs.WIRE],
            redis_bytes=redis[update, costs.TRAFFIC],
        )


@dataclass(frozen=True)
class Plan:
    """Needs of a number of open pages, in cores, bytes or bytes a second.

    Attributes:
        steady: cores of the workers while all goes well.
        deploy: cores of the workers while all pages resume.
        memory: bytes of the workers.
        redis: cores of Redis.
        wire: bytes a second to the browsers.
        redis_wire: bytes a second to and from Redis.
    """

    pages: int
    steady: float
    deploy: float
    memory: float
    redis: float
    wire: float
    redis_wire: float

    @classmethod
    def of(cls, pages: int, one: Costs) -> "Plan":
        """The formulas."""
        updates, cuts = UPDATES_PER_SECOND, 1 / SECONDS_BETWEEN_CUTS
        heartbeats = one.idle + one.answer / HEARTBEAT_SECONDS
        steady = pages * (updates * one.update + heartbeats + cuts * one.resume)
        return cls(
            pages=pages,
            steady=steady,
            deploy=steady + pages * one.resume / DEPLOY_SECONDS,
            memory=pages * one.page_bytes,
            redis=pages * (updates * one.redis_update + cuts * one.redis_resume),
            wire=pages * updates * one.wire_bytes,
            redis_wire=pages * updates * one.redis_bytes,
        )

    @property
    def workers(self) -> int:
        """Returns the number of processes, each on a core of its own."""
        return max(math.ceil(self.deploy / BUSY), math.ceil(self.memory / WORKER_BYTES))

    @property
    def shards(self) -> int:
        """Returns the number of Redis servers; each forms a cell with its workers."""
        return math.ceil(self.redis / BUSY)


def section(results: Mapping[str, Result]) -> str | None:
    """Returns the tables, if their figures have been measured."""
    if not {"costs", "idle"} <= results.keys():
        return None
    measured = results["costs"].figures
    one = Costs.of(measured, results["idle"].figures)
    return f"{plans(Plan.of(pages, one) for pages in DEPLOYMENTS)}\n\n{checks(measured)}"


def plans(rows: Iterable[Plan]) -> str:
    """Returns the table of the needs of deployments."""
    head = (
        "open pages | cores, steady | cores, all resume | memory of workers | workers | "
        "cores of Redis | Redis servers | to browsers | to and from Redis"
    )
    lines = [f"| {head} |", f"|{' --: |' * 9}"]
    for plan in rows:
        cells = (
            f"{plan.pages:,}",
            _cores(plan.steady),
            _cores(plan.deploy),
            f"{plan.memory / 1e9:,.2f} GB",
            f"{plan.workers:,}",
            _cores(plan.redis),
            f"{plan.shards:,}",
            f"{8 * plan.wire / 1e6:,.0f} Mbit/s",
            f"{8 * plan.redis_wire / 1e6:,.0f} Mbit/s",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def checks(measured: Iterable[Figure]) -> str:
    """Returns the table that shows whether the smallest size predicts the cost of larger ones."""
    found = {
        (figure.work, figure.quantity): statistics.median(figure.samples)
        for figure in measured
        if figure.contender.startswith("Redis")
    }
    lines = [
        "| updates a second here | cores of the worker, reckoned | measured | "
        "cores of Redis, reckoned | measured |",
        "| --: | --: | --: | --: | --: |",
    ]
    for pages in costs.PAGES:
        rate = pages * costs.PER_SECOND
        cells = [f"{rate:,}"]
        for quantity in (costs.WORKER, costs.REDIS):
            reckoned = found[costs.update_of(costs.PAGES[0]), quantity]
            cells += [
                _cores(rate * cost / 1e6)
                for cost in (reckoned, found[costs.update_of(pages), quantity])
            ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _cores(cores: float) -> str:
    return f"{cores:,.0f}" if cores >= 10 else f"{cores:.2f}"
