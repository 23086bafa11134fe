"""The documentation's listings, by page and name, and servers that run them unchanged."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.server import ROOT, Served, serving

DOCS = ROOT / "docs"
NAMED = re.compile(r"<!-- listing: (\w+) -->\n```python\n(.*?)```", re.S)


def text_of(page: str) -> str:
    """Returns the text of a page."""
    return (DOCS / page).read_text("utf-8")


def shell_blocks(text: str, heading: str = "") -> list[str]:
    """Returns the shell commands of a page, or of a section, block by block."""
    if heading:
        [text] = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    return re.findall(r"```sh\n(.*?)```", text, re.S)


def listing(page: str, name: str) -> str:
    """Returns one listing of a page."""
    listings: dict[str, str] = dict(NAMED.findall(text_of(page)))
    return listings[name]


@contextmanager
def shown(
    program: str, directory: Path, replaced: dict[str, str] | None = None, **environment: str
) -> Iterator[Served]:
    """Serves a listing as `app.py`, with its documented command.

    Args:
        program: the listing.
        directory: where it is written, and served.
        replaced: what is made smaller, so that a test need not wait.
        environment: what else it finds there.
    """
    for written, instead in (replaced or {}).items():
        assert written in program
        program = program.replace(written, instead)
    (directory / "app.py").write_text(program, "utf-8")
    environment |= {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    variables: Any = environment
    with serving("app:server", directory, home=directory, **variables) as served:
        yield served


def said_by_pytest(project: Path, *options: str) -> str:
    """Returns pytest's output for a project that was written from listings."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr
