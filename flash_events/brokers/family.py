"""The name that the workers of one server share."""

import hashlib
import multiprocessing
import os
from pathlib import Path

PREFIX = "flash-events-"

PROC = Path("/proc")


def family() -> str | None:
    """Return the name that the workers of this server share; None without siblings.

    It consists of the user, the parent's process id, and a hash that tells parents apart which have
    the same process id: those of two containers that share a directory, and an earlier process.
    """
    if not hasattr(os, "getuid"):
        return None
    forked_by_gunicorn = os.environ.get("SERVER_SOFTWARE", "").startswith("gunicorn")
    if multiprocessing.parent_process() is None and not forked_by_gunicorn:
        return None
    parent = os.getppid()
    name = f"{PREFIX}{os.getuid()}-{parent}"
    told_apart = _namespace() + _started(parent)
    if not told_apart:  # not on Linux
        return name
    return f"{name}-{hashlib.sha256(told_apart.encode()).hexdigest()[:8]}"


def _namespace() -> str:
    """The namespace of process ids; "" if the system does not tell."""
    try:
        return os.readlink(PROC / "self/ns/pid")
    except OSError:
        return ""


def _started(process: int) -> str:
    """When a process has started, in ticks since the start of the machine; "" if unknown."""
    try:
        status = (PROC / f"{process}/stat").read_text("utf-8", "replace")
    except OSError:
        return ""
    return status.rpartition(")")[2].split()[19]  # the name before it may have spaces
