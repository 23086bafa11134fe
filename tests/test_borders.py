"""The borders between modules: who may import whom."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "flash_events"

MAY_IMPORT = {
    "errors": set(),
    "extras": set(),
    "bridge": {"errors"},
    "encoding": set(),
    "updates": {"bridge", "errors"},
    "current": {"updates"},
    "progress": {"current", "updates", "errors"},
    "culprits": {"encoding", "updates", "errors"},
    "protocol": {"culprits", "updates", "bridge", "encoding", "errors"},
    "queues": {"celery.queue", "errors"},
    "options": {"updates", "bridge", "encoding", "errors"},
    "callbacks": {"options", "queues", "updates", "bridge", "errors"},
    "identity": {"errors"},
    "settings": {"brokers.base", "identity", "errors"},
    "threads": set(),
    "side_updates": {"errors"},
    "brokers.signals": set(),
    "brokers.expiring": set(),
    "brokers.base": {"brokers.signals"},
    "brokers.admission": {"brokers.base", "errors"},
    "brokers.siblings": {"brokers.signals"},
    "brokers.memory_log": {"brokers.admission", "brokers.base", "errors"},
    "brokers.memory": {
        "brokers.base", "brokers.expiring", "brokers.memory_log", "brokers.siblings",
        "brokers.signals", "errors",
    },
    "brokers.redis_client": {"errors"},
    "brokers.lease": {"brokers.redis_client"},
    "brokers.redis_process": {
        "brokers", "brokers.base", "brokers.lease", "brokers.redis_client",
        "brokers.redis_keys", "brokers.redis_records", "brokers.signals",
    },
    "brokers.redis_feed": {
        "brokers", "brokers.base", "brokers.redis_keys", "brokers.redis_process",
        "brokers.redis_scripts", "errors",
    },
    "brokers.redis_scripts": set(),
    "brokers.redis_pipe": {"brokers.redis_client", "errors"},
    "brokers.redis_keys": set(),
    "brokers.redis_inbox": {"brokers.redis_pipe", "brokers.signals"},
    "brokers.redis_records": {
        "brokers.base", "brokers.expiring", "brokers.redis_keys", "brokers.redis_pipe",
        "brokers.redis_scripts",
    },
    "brokers.redis_window": {"brokers.base"},
    "brokers.redis_entries": {"errors"},
    "brokers.redis_log": {
        "brokers", "brokers.admission", "brokers.base", "brokers.redis_entries",
        "brokers.redis_pipe", "brokers.redis_window", "errors",
    },
    "brokers.redis": {
        "brokers", "brokers.base", "brokers.lease", "brokers.redis_client",
        "brokers.redis_inbox", "brokers.redis_keys", "brokers.redis_log", "brokers.redis_pipe",
        "brokers.redis_records", "brokers.signals", "errors",
    },
    "brokers": {"brokers.base", "brokers.memory", "brokers.redis", "errors", "extras"},
    "fold": {"bridge", "encoding"},
    "delivery": {"brokers.base", "errors"},
    "outlet": {"brokers.base", "delivery", "errors", "fold", "protocol"},
    "failures": {"callbacks", "protocol", "bridge", "settings", "updates", "errors"},
    "runs": {
        "callbacks", "current", "failures", "protocol", "bridge", "outlet", "updates", "threads",
        "settings", "side_updates", "errors",
    },
    "feeds": {"brokers.base"},
    "queued": {
        "bridge", "brokers.base", "brokers.signals", "callbacks", "errors", "failures",
        "protocol", "queues", "settings",
    },
    "live": {
        "bridge", "brokers.base", "brokers.expiring", "brokers.signals", "callbacks", "errors",
        "fold", "outlet", "protocol", "runs", "settings",
    },
    "connections": {"protocol", "brokers.base", "settings", "errors"},
    "requests": {"protocol", "settings", "errors"},
    "stats": {"connections", "live"},
    "replies": {"connections", "encoding", "errors"},
    "backends.base": {"replies"},
    "backends.quart": {"backends.base"},
    "backends.fastapi": {"backends.base", "bridge"},
    "backends": {"backends.base", "backends.quart", "backends.fastapi"},
    "probe": {"errors", "protocol", "replies"},
    "doctor": {"probe", "protocol", "settings"},
    "places": {"brokers", "connections", "replies", "settings", "errors"},
    "server": {
        "backends", "live", "queued", "feeds", "connections", "places", "replies", "protocol",
        "bridge",
        "brokers", "brokers.base", "brokers.signals", "requests",
        "identity", "probe", "stats", "loop_watch", "settings", "errors",
    },
    "shutdown": set(),
    "loop_watch": set(),
    "plugin": {
        "backends", "bridge", "brokers", "callbacks", "errors", "replies", "server", "settings",
        "shutdown", "stats",
    },
    "celery.messages": {"protocol"},
    "celery.canvas": set(),
    "celery.control": set(),
    "celery.soft_limit": {"callbacks"},
    "celery.refusals": {
        "celery.control", "celery.messages", "celery.queue", "celery.tasks", "celery.worker_runs",
        "errors",
    },
    "celery.tasks": {
        "brokers.redis_feed", "brokers.redis_process", "celery.messages", "current", "protocol",
        "settings", "updates", "errors",
    },
    "celery.streams": {
        "brokers.base", "celery.canvas", "celery.control", "celery.messages", "celery.tasks",
        "feeds", "updates", "errors",
    },
    "celery.worker_runs": {
        "bridge", "brokers", "brokers.base", "brokers.signals", "callbacks",
        "brokers.redis_feed", "celery.control", "celery.soft_limit", "celery.tasks",
        "current", "feeds", "live", "protocol", "queues", "errors",
    },
    "celery.queue": {
        "callbacks", "celery.control", "celery.worker_runs", "queues", "errors",
    },
    "celery": {
        "celery.messages", "celery.refusals", "celery.streams", "celery.tasks",
        "celery.worker_runs", "extras",
    },
    "components": {"callbacks"},
    "testing.clock": set(),
    "testing.decoding": {"bridge", "protocol", "updates"},
    "testing.streams": {
        "bridge", "brokers.memory_log", "callbacks", "encoding", "fold", "outlet", "protocol",
        "runs", "settings", "testing.clock", "testing.decoding", "updates",
    },
    "testing.recordings": {"testing.decoding", "updates"},
    "testing.page": {"callbacks", "testing.recordings"},
    "testing.fixtures": {"bridge", "testing.page", "testing.streams"},
    "testing": {"testing.clock", "testing.recordings", "testing.streams"},
    "demo": {"extras"},
    "__main__": {"demo", "doctor"},
    "__init__": {"components", "callbacks", "errors", "plugin", "progress", "settings", "updates"},
}  # fmt: skip

PRIVATE_DASH = {"bridge"}

DRIVERS = {"celery": "celery.", "kombu": "celery.", "billiard": "celery.", "redis": "brokers."}
"""Libraries that may be missing, and where alone they are imported."""


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names if node.module == "flash_events" else {node.module}
    return found


def test_every_module_has_its_border() -> None:
    assert set(MODULES) == set(MAY_IMPORT)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_only_what_it_may(name: str) -> None:
    own = {
        module.removeprefix("flash_events.")
        for module in imports_of(MODULES[name])
        if module.startswith("flash_events.")
    }
    assert own <= MAY_IMPORT[name]


@pytest.mark.parametrize("name", MODULES)
def test_what_is_an_extra_is_imported_where_it_is_needed_alone(name: str) -> None:
    used = {module.partition(".")[0] for module in imports_of(MODULES[name])} & set(DRIVERS)
    assert all(name.startswith(DRIVERS[library]) for library in used)


@pytest.mark.parametrize("name", MODULES)
def test_dashs_private_names_are_touched_in_one_file(name: str) -> None:
    tree = ast.parse(MODULES[name].read_text("utf-8"))
    private = {
        module
        for module in imports_of(MODULES[name])
        if module.split(".")[0] in ("dash", "_plotly_utils") and "._" in f".{module}"
    }
    attributes = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and ast.unparse(node.value) in ("app", "self.app", "self._app")
    }
    assert not (private | attributes) or name in PRIVATE_DASH


@pytest.mark.parametrize("name", ["protocol", "updates", "callbacks", "options"])
def test_wire_and_checks_do_no_io(name: str) -> None:
    tree = ast.parse(MODULES[name].read_text("utf-8"))
    assert not any(
        isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith) for node in ast.walk(tree)
    )


def test_no_test_imports_from_another_test() -> None:
    """What tests share is in `tests.support`, or a fixture of a conftest."""
    found = [
        f"{path.name} imports {module}"
        for path in TESTS.rglob("*.py")
        for module in imports_of(path)
        if module.startswith("tests.") and re.search(r"\.(test_\w+|conftest)$", module)
    ]
    assert found == []
