"""Resource usage of a process, as Linux counts it."""

import os
import resource
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(pid: int) -> float:
    """Returns the CPU time of a process so far, user and kernel, in steps of 10 ms."""
    # The name, in parentheses, may contain blanks; utime and stime are the fields 14 and 15.
    _, _, fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")
    user, system = fields.split()[11:13]
    return (int(user) + int(system)) / TICKS_PER_SECOND


def rss_bytes(pid: int) -> int:
    """Returns the resident memory of a process."""
    _, resident, *_ = Path(f"/proc/{pid}/statm").read_text("utf-8").split()
    return int(resident) * PAGE_BYTES


def allow_files(count: int) -> int:
    """Raises the limit of open files, for children too; returns the new limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = count if hard == resource.RLIM_INFINITY else min(count, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return allowed
