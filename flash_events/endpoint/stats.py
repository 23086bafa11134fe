"""Counters and gauges of one worker, as a dict and as OpenMetrics text."""

from collections.abc import Iterator, Sequence

from flash_events.endpoint.connections import Connections
from flash_events.runs.local import LocalRuns
from flash_events.sharing.hub import Hub
from flash_events.sharing.process import Namespace

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
    "lost_with_worker": (
        "counter",
        "Runs and subscriptions that were reported lost because their worker died.",
    ),
    "subscriptions": ("gauge", "Live subscriptions of pages in this worker."),
    "subscription_starts": ("counter", "Subscriptions of pages that were started."),
    "subscriptions_lost": (
        "counter",
        "Subscriptions whose messages could no longer reach their page.",
    ),
    "topics": ("gauge", "Topics and shared values that this process watches."),
    "readers": ("gauge", "Loops over topics and shared values in this process."),
    "subscriptions_behind": ("gauge", "Subscriptions with messages that wait for them."),
    "lag": ("gauge", "Messages that wait for the reader or subscription that is furthest behind."),
    "published": ("counter", "Messages that this process has published."),
    "missed": ("counter", "Messages that readers and subscriptions have missed."),
}


class Stats:
    """Counters and gauges of one worker.

    Those from `topics` on are of the namespace: all its apps in this process report the same.

    Args:
        runs: the app's runs and subscriptions.
        connections: the app's connections.
        namespace: the app's namespace.

    Attributes:
        starts, resumes, refusals, lost_with_worker: counters that the server increments.
    """

    def __init__(self, runs: LocalRuns, connections: Connections, namespace: Namespace) -> None:
        self._runs = runs
        self._connections = connections
        self._namespace = namespace
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
            "subscriptions": runs.subscriptions,
            **_of_hubs(self._namespace.hubs()),
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


def _of_hubs(hubs: Sequence[Hub]) -> dict[str, int]:
    watchers = [watcher for hub in hubs for watcher in hub.watchers()]
    relays = [watcher for watcher in watchers if watcher.is_relay]
    return {
        "topics": sum(hub.topics for hub in hubs),
        "readers": len(watchers) - len(relays),
        "subscriptions_behind": sum(relay.lag > 0 for relay in relays),
        "lag": max((watcher.lag for watcher in watchers), default=0),
        "published": sum(hub.published for hub in hubs),
        "missed": sum(hub.missed for hub in hubs),
    }


OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
