"""Names of keys: under one prefix, with a hash tag per connection, worker, run or owner.

Ids are hashed, never copied into a key, so that nothing from a client gets there, and whoever may
list keys learns no id.
"""

import hashlib

from flash_events.brokers.ids import ConnectionId

PREFIX = "flash_events:"

LogKeys = tuple[str, str, str, str]
"""The keys of a log, as `lua/log.lua` wants them: log, meta, runs, blocked."""


def digest(name: str) -> str:
    """The hash of a name, which may be a part of a key."""
    return hashlib.blake2b(name.encode(), digest_size=16).hexdigest()


def key(name: str, kind: str) -> str:
    """The key of one kind of thing about a name."""
    return f"{PREFIX}{{{digest(name)}}}:{kind}"


def log_keys(connection: ConnectionId) -> LogKeys:
    """The keys of a connection's log."""
    return (
        key(connection, "log"),
        key(connection, "meta"),
        key(connection, "runs"),
        key(connection, "blocked"),
    )
