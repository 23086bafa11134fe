"""Counters and gauges of one worker, as a dict and as OpenMetrics text."""

from collections.abc import Iterator

from flash_events.endpoint.connections import Connections
from flash_events.runs.local import LocalRuns

_HELP = {
    "runs": ("gauge", "Live runs in this worker."),
    "connections": ("gauge", "Connections that this worker holds."),
    "connections_read": ("gauge", "Connections with a client that reads from this worker."),
    "queued_bytes": ("gauge", "Bytes that wait to be written to a socket."),
    "starts": ("counter", "Runs that were started."),
    "resumes": ("counter", "Requests to resume a connection."),
    "refusals": ("counter", "Requests that were refused."),
    "updates": ("counter", "Updates that runs have sent."),
    "collapsed_updates": ("counter", "Values in snapshots of kept runs, replaced by later ones."),
    "ends_done": ("counter", "Runs that ended by themselves."),
    "ends_cancelled": ("counter", "Runs that were stopped."),
    "ends_error": ("counter", "Runs that failed."),
    "ends_lost": ("counter", "Runs whose updates could no longer reach their page."),
    "lost_with_worker": ("counter", "Runs that were reported lost because their worker died."),
}


class Stats:
    """Counters and gauges of one worker.

    Attributes:
        starts, resumes, refusals, lost_with_worker: counters that the server increments.
    """

    def __init__(self, runs: LocalRuns, connections: Connections) -> None:
        self._runs = runs
        self._connections = connections
        self.starts = 0
        self.resumes = 0
        self.refusals = 0
        self.lost_with_worker = 0

    def snapshot(self) -> dict[str, int]:
        """Return the current values by name."""
        runs, connections = self._runs, list(self._connections)
        values = {
            "runs": len(runs),
            "connections": len(connections),
            "connections_read": sum(connection.is_read for connection in connections),
            "queued_bytes": sum(connection.log.waiting for connection in connections),
            "starts": self.starts,
            "resumes": self.resumes,
            "refusals": self.refusals,
            "lost_with_worker": self.lost_with_worker,
            **runs.counters(),
        }
        return {name: values[name] for name in _HELP}

    def openmetrics(self) -> str:
        """Return the current values as OpenMetrics text (https://openmetrics.io)."""
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        for name, value in self.snapshot().items():
            kind, text = _HELP[name]
            yield f"# TYPE flash_events_{name} {kind}"
            yield f"# HELP flash_events_{name} {text}"
            yield f"flash_events_{name}{'_total' if kind == 'counter' else ''} {value}"
        yield "# EOF"


OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
