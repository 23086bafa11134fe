"""What an app notes for the test in another process, such as that a `finally` ran."""

import json
import os
import time
from pathlib import Path
from typing import Any


def mark(name: str, **details: Any) -> None:
    """Notes that something happened, and when."""
    line = json.dumps({"name": name, "time": time.time(), "pid": os.getpid(), **details})
    with Path(os.environ["MARKS"]).open("a") as file:
        file.write(line + "\n")


def may_end() -> bool:
    """Whether the test has said that what goes on without a viewer may end."""
    return Path(os.environ["MARKS"] + ".end").exists()
