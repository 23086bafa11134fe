"""What happens in one worker, in numbers."""

from collections.abc import Iterator

from flash_events.endpoint.connections import Connections
from flash_events.runs.local import LocalRuns

_HELP = {
    "runs": ("gauge", "Runs that live in this worker."),
    "connections": ("gauge", "Connections that this worker holds."),
    "connections_read": ("gauge", "Connections whose client reads them here."),
    "queued_bytes": ("gauge", "Bytes that wait to be handed to a socket."),
    "starts": ("counter", "Runs that were started."),
    "resumes": ("counter", "Requests to resume a connection."),
    "refusals": ("counter", "Requests that were refused."),
    "updates": ("counter", "Updates that runs have sent."),
    "collapsed_updates": ("counter", "Values that a later one has made needless, in kept runs."),
    "ends_done": ("counter", "Runs that ended by themselves."),
    "ends_cancelled": ("counter", "Runs that were stopped."),
    "ends_error": ("counter", "Runs that failed."),
    "ends_lost": ("counter", "Runs whose updates could no longer reach their page."),
    "lost_with_worker": ("counter", "Runs that were reported lost because their worker died."),
}


class Stats:
    """Counters and gauges of one worker.

    Attributes:
        starts, resumes, refusals, lost_with_worker: counted by the server.
    """

    def __init__(self, runs: LocalRuns, connections: Connections) -> None:
        self._runs = runs
        self._connections = connections
        self.starts = 0
        self.resumes = 0
        self.refusals = 0
        self.lost_with_worker = 0

    def snapshot(self) -> dict[str, int]:
        """All of them by name, as of now."""
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
        """The same as OpenMetrics text (https://openmetrics.io)."""
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        for name, value in self.snapshot().items():
            kind, text = _HELP[name]
            yield f"# TYPE flash_events_{name} {kind}"
            yield f"# HELP flash_events_{name} {text}"
            yield f"flash_events_{name}{'_total' if kind == 'counter' else ''} {value}"
        yield "# EOF"


OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
