"""Packages that pages and messages tell people to install exist."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from flash_events.extras import EXTRAS
from tests.support.listings import text_of
from tests.support.server import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
OWN = {"bench", "docs", "e2e", "test"}
"""The extras for work on flash_events itself."""

TEXTS = [
    ROOT / name
    for pattern in (
        "*.md", "benchmarks/**/*.md", "docs/**/*.md", "examples/**/*.py", "flash_events/**/*.py",
    )
    for name in sorted(ROOT.glob(pattern))
]  # fmt: skip


def packages_of(extra: str) -> tuple[str, ...]:
    """Returns the requirements of an extra, including those of the extras that it names."""
    found: list[str] = []
    for written in PROJECT["optional-dependencies"][extra]:
        requirement = Requirement(written)
        if requirement.name == PROJECT["name"]:
            found += [p for other in sorted(requirement.extras) for p in packages_of(other)]
        else:
            found.append(written)
    return tuple(found)


KNOWN = {package for extra in PROJECT["optional-dependencies"] for package in packages_of(extra)}
KNOWN |= {"dash[async]"}  # Dash's requirement for a page with an async layout


def installed_by(text: str) -> list[str]:
    """Returns the arguments of the `pip install` commands in a text, without options."""
    commands = re.findall(r"pip install ([^`)\n]*)", text)
    words = [word for command in commands for word in shlex.split(command, comments=True)]
    return [word for word in words if not word.startswith("-")]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_text_installs_flash_events_from_an_index(path: Path) -> None:
    text = path.read_text("utf-8")
    assert "flash-events[" not in text
    if path == ROOT / "flash_events/extras.py":
        return  # its packages are compared below
    for word in installed_by(text):
        if re.match(r"\.|dist/", word):
            continue  # a clone, or a wheel that was built in it
        requirement = Requirement(word)
        assert requirement.name != PROJECT["name"]
        if requirement.extras or requirement.specifier:
            assert word in KNOWN


def test_messages_name_the_packages_of_the_extras() -> None:
    assert {extra: packages_of(extra) for extra in EXTRAS} == EXTRAS


def test_the_install_page_has_each_extra_with_its_packages() -> None:
    rows = re.findall(r"^\| `(\w+)` \|.*\| `(pip install .*)` \|$", text_of("install.md"), re.M)
    shown = {extra: tuple(installed_by(command)) for extra, command in rows}
    offered = set(PROJECT["optional-dependencies"]) - OWN
    assert shown == {extra: packages_of(extra) for extra in offered}
