"""The tasks: possible futures of one continent. Celery's workers import this module."""

import os
from typing import Any

import numpy as np
from celery import Celery
from plotly.data import gapminder

from flash_events import stream_props, track
from flash_events.celery import emit

FUTURES = int(os.environ.get("CELERY_REPORT_FUTURES", "4_000_000"))
COUNTRIES = gapminder()
CONTINENTS = sorted(COUNTRIES["continent"].unique())
YEARS = range(2008, 2058)
QUANTILES = {"low": 0.05, "high": 0.95, "median": 0.5}

BROKER = os.environ.get("FLASH_EVENTS_BROKER", "redis://127.0.0.1:6379/0")
celery_app = Celery("celery_report", broker=BROKER, backend=BROKER)
celery_app.conf.update(
    broker_connection_retry_on_startup=True,
    # A busy worker leaves the next task in the queue for a free one.
    worker_disable_prefetch=True,
)


def life_expectancy(continent: str) -> Any:
    """Returns a row for each country, with a column for each fifth year."""
    countries = COUNTRIES[COUNTRIES["continent"] == continent]
    return countries.pivot(index="country", columns="year", values="lifeExp")


@celery_app.task(bind=True)
def simulate(self: Any, continent: str) -> dict[str, float]:
    """Simulates futures year by year; returns their values in the last year.

    In every five years of a future happens what has happened to some country of the continent in
    five of the last twenty years.
    """
    worker, _, _ = self.request.hostname.partition("@")
    emit(stream_props(f"worker-{continent}", {"children": worker}))
    countries = life_expectancy(continent)
    yearly_changes = countries.diff(axis=1).loc[:, 1992:].to_numpy().ravel() / 5
    first_line = len(QUANTILES) * CONTINENTS.index(continent)
    lines = list(range(first_line, first_line + len(QUANTILES)))  # points in the graph
    random = np.random.default_rng()
    lives = np.full(FUTURES, countries[2007].mean())
    values: list[float] = []
    for year in track(YEARS, f"bar-{continent}", label=f"status-{continent}"):
        if (year - YEARS.start) % 5 == 0:
            change = random.choice(yearly_changes, FUTURES)
        lives += change
        values = np.quantile(lives, list(QUANTILES.values())).round(2).tolist()
        points = {"x": [[year]] * len(lines), "y": [[value] for value in values]}
        emit(stream_props("graph", {"extendData": [points, lines]}))
    return dict(zip(QUANTILES, values, strict=True))
