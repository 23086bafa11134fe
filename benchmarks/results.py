"""Stored measurements: a repeated work replaces only its own."""

import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

from benchmarks.figures import Figure
from tests.support.chromium import executable

END = "<!-- end -->"
PACKAGES = ("flash-events", "dash", "quart", "hypercorn", "redis")


@dataclass(frozen=True)
class Result:
    """A work's figures, with their date and environment.

    Attributes:
        title: of the work.
        date: on which it was run.
        rounds: how many.
        cores: of the machine.
        load: of the machine right before, as the mean of a minute.
        versions: of everything that takes part.
        reference: to whom the contenders are compared.
        figures: what it yielded.
    """

    title: str
    date: str
    rounds: int
    cores: int
    load: float
    versions: Mapping[str, str]
    reference: str
    figures: tuple[Figure, ...]

    @classmethod
    def load_from(cls, data: Mapping[str, Any]) -> Self:
        figures = tuple(
            Figure(**{**figure, "samples": tuple(figure["samples"])}) for figure in data["figures"]
        )
        return cls(**{**data, "figures": figures})

    @property
    def about(self) -> str:
        """Returns the line below the tables."""
        versions = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        rounds = f"{self.rounds} round{'s' * (self.rounds != 1)}"
        return (
            f"Median (lowest to highest) of {rounds}, {self.date}; {versions}; "
            f"{self.cores} cores, load {self.load:.1f} before."
        )


def surroundings() -> dict[str, Any]:
    """Returns the date and environment of a new measurement."""
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "cores": os.cpu_count() or 1,
        "load": round(os.getloadavg()[0], 2),
        "versions": {
            "Python": platform.python_version(),
            **{name: version(name) for name in PACKAGES},
            "Chromium": _version(executable()),
            "Redis": _version("redis-server"),
        },
    }


def read(path: Path) -> dict[str, Result]:
    """Returns the results of each work, by its name."""
    if not path.exists():
        return {}
    data: Mapping[str, Any] = json.loads(path.read_text("utf-8"))
    return {name: Result.load_from(result) for name, result in data.items()}


def write(path: Path, results: Mapping[str, Result]) -> None:
    data = {name: asdict(result) for name, result in sorted(results.items())}
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", "utf-8")


def insert(path: Path, parts: Iterable[tuple[str, str]]) -> list[str]:
    """Puts text between `<!-- figures: name -->` and `<!-- end -->`.

    Returns the names that have no such place.
    """
    text, missing = path.read_text("utf-8"), []
    for name, part in parts:
        begin = f"<!-- figures: {name} -->\n"
        before, found, rest = text.partition(begin)
        _, end, after = rest.partition(END)
        if end:
            text = f"{before}{found}\n{part}\n\n{end}{after}"
        else:
            missing.append(name)
    path.write_text(text, "utf-8")
    return missing


def _version(program: str) -> str:
    if shutil.which(program) is None:
        return "absent"
    text = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
    found = re.search(r"\d+(\.\d+)+", text)
    return found[0] if found else text.strip()
