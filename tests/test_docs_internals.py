"""The page for engineers names existing modules, classes and functions."""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "internals.md").read_text("utf-8")

NAMED = sorted(set(re.findall(r"`((?:[a-z_]+\.)+[A-Za-z_.]+)`", PAGE)))
"""Functions and classes, as `module.name` below flash_events."""


def found(name: str) -> Any:
    """Returns the object of a dotted name."""
    parts = name.removeprefix("flash_events.").split(".")
    for length in range(len(parts), 0, -1):
        try:
            thing: Any = import_module(".".join(["flash_events", *parts[:length]]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            thing = getattr(thing, part)
        return thing
    raise ModuleNotFoundError(name)


@pytest.mark.parametrize("name", [name for name in NAMED if not name.startswith("dash.")])
def test_a_named_function_exists(name: str) -> None:
    found(name)


def test_every_layer_is_described() -> None:
    table = PAGE[PAGE.index("## The layers") : PAGE.index("## Glossary")]
    described = set(re.findall(r"`(\w+)/?`", table))
    paths = [path for path in (ROOT / "flash_events").iterdir() if path.suffix == ".py"]
    paths += [path.parent for path in (ROOT / "flash_events").glob("*/__init__.py")]
    assert {path.stem for path in paths} - described == {"__init__", "__main__"}
