"""Marks that an app writes for the test in another process, such as a `finally` that ran."""

import json
import os
import time
from pathlib import Path
from typing import Any


def mark(name: str, **details: Any) -> None:
    """Writes a mark with its time."""
    line = json.dumps({"name": name, "time": time.time(), "pid": os.getpid(), **details})
    with Path(os.environ["MARKS"]).open("a") as file:
        file.write(line + "\n")


def may_end() -> bool:
    """Returns whether the test has allowed kept runs to end."""
    return Path(os.environ["MARKS"] + ".end").exists()
