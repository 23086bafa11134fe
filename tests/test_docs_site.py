"""The documentation is a site without dead ends, and every listing in it has a test."""

import ast
import html
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from flash_events import Settings, event_callback
from tests.support.listings import DOCS, NAMED, text_of
from tests.support.server import ROOT

PAGES = sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md"))
TESTED_BY = {
    "background_callbacks.md": ["test_docs_background.py"],
    "deployment.md": ["test_docs.py"],
    "how-to/authentication.md": ["test_docs_how_to.py"],
    "how-to/chat.md": ["browser/test_docs_site.py"],
    "how-to/dashboards.md": ["test_docs_how_to.py"],
    "how-to/database.md": ["browser/test_docs_site.py"],
    "how-to/log_tail.md": ["test_docs_how_to.py"],
    "how-to/multi_page.md": ["browser/test_docs_site.py"],
    "how-to/progress.md": ["test_docs_how_to.py"],
    "how-to/sharing.md": ["browser/test_docs_sharing.py"],
    "how-to/upload.md": ["browser/test_docs_site.py"],
    "index.md": ["test_docs_how_to.py"],
    "how-to/proxies.md": ["test_docs_how_to.py"],
    "migration.md": ["test_docs_migration.py"],
    "testing.md": ["browser/test_docs_testing.py"],
    "troubleshooting.md": ["test_docs_how_to.py", "browser/test_docs_site.py"],
    "tutorial.md": ["test_docs_tutorial.py", "browser/test_docs_site.py"],
}
"""Modules below tests/ that run the listings of a page."""

QUIET = {"NO_MKDOCS_2_WARNING": "1"}


def build(site: Path, home: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Builds the site as `make docs` does; with `--quiet`, mkdocs would count no warnings."""
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(site)],
        cwd=home,
        env={**os.environ, **QUIET},
        capture_output=True,
        text=True,
        check=False,
    )


def names_in_tests_of(module: str) -> set[str]:
    """Returns the listing names that a module's tests are parametrized with, or pass to `listing`
    or `LISTINGS[...]`.

    Other strings, such as component ids, are no listing names.
    """
    names: set[str] = set()
    for function in ast.walk(ast.parse((ROOT / "tests" / module).read_text("utf-8"))):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if not function.name.startswith("test_"):
            continue
        places: list[ast.expr] = [*function.decorator_list]
        for node in ast.walk(function):
            match node:
                case ast.Call(func=ast.Name(id="listing")):
                    places += node.args
                case ast.Subscript(value=ast.Name(id="LISTINGS")):
                    places.append(node.slice)
        constants = (node for place in places for node in ast.walk(place))
        names |= {str(node.value) for node in constants if isinstance(node, ast.Constant)}
    return names


@pytest.mark.parametrize("page", PAGES)
def test_every_python_listing_has_a_name_and_a_test(page: str) -> None:
    names = [name for name, _ in NAMED.findall(text_of(page))]
    assert len(names) == text_of(page).count("```py")
    assert len(names) == len(set(names))
    tested: set[str] = set().union(*map(names_in_tests_of, TESTED_BY[page] if names else []))
    assert set(names) <= tested


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation as it is served."""
    site = tmp_path_factory.mktemp("docs") / "site"
    done = build(site)
    assert done.returncode == 0, done.stderr
    return site


def test_the_site_builds_and_loads_nothing_from_other_hosts(site: Path) -> None:
    assert (site / "nginx.conf").exists()
    pages = list(site.rglob("*.html"))
    assert len(pages) >= len(PAGES)
    asks = re.compile(r'<(?:script|img|iframe|link)\b[^>]*?\b(?:src|href)="?(?:https?:)?//[^>]*>')
    assert [found for page in pages for found in asks.findall(page.read_text("utf-8"))] == []


SOUGHT = {
    "troubleshooting": "troubleshooting/",
    "nothing happens": "troubleshooting/#nothing-happens",
    "dcc.loading": "troubleshooting/#dccloading-shows-no-spinner",
    "jupyter": "troubleshooting/#jupyter-answers-with-500",
    "windows": "troubleshooting/#windows",
    "gunicorn": "troubleshooting/#gunicorn-answers-with-500",
    "upload": "how-to/upload/",
    "413": "troubleshooting/#an-upload-is-refused-with-413",
    "shared state": "troubleshooting/#shared-state-a-global-variable-differs-between-two-workers",
    "global variable": "how-to/sharing/#a-global-variable",
    "two workers": "troubleshooting/#shared-state-a-global-variable-differs-between-two-workers",
    "dcc.store is slow": "troubleshooting/#dccstore-is-slow",
    "openai": "how-to/chat/#with-openais-client",
}
"""Search terms, and the heading that must contain each."""


def test_t10_common_search_terms_are_headings(site: Path) -> None:
    index = json.loads((site / "search/search_index.json").read_text("utf-8"))
    titles = {html.unescape(place["title"]).lower(): place["location"] for place in index["docs"]}
    found = {word: [place for title, place in titles.items() if word in title] for word in SOUGHT}
    assert [word for word, place in SOUGHT.items() if place not in found[word]] == []


DEAD_ENDS = [
    "[nowhere](nowhere.md)",
    "[no such place](deployment.md#no-such-place)",
    "[no such place here](#no-such-place-here)",
    "[out of the site](../README.md)",
    "![no such picture](images/none.png)",
    '<img src="images/gallery_small.png" alt="T10: (images/gallery_small.png) is elsewhere">',
    '<a href="install.md">T10: a page of the sources (install.md)</a>',
]


def test_each_dead_end_fails_the_build(tmp_path: Path) -> None:
    shutil.copytree(DOCS, tmp_path / "docs")
    for name in ("mkdocs.yml", "mkdocs_hooks.py"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "docs/not_in_the_navigation.md").write_text("# A page\n", "utf-8")
    with (tmp_path / "docs/tutorial.md").open("a", encoding="utf-8") as file:
        file.write("\n" + "\n\n".join(DEAD_ENDS))
    done = build(tmp_path / "site", tmp_path)
    assert done.returncode == 1
    ends = [re.search(r"\((.*)\)", end) for end in DEAD_ENDS]
    named = [*(end[1] for end in ends if end), "not_in_the_navigation.md"]
    assert [name for name in named if name not in done.stderr] == []
    assert f"Aborted with {len(named)} warnings in strict mode!" in done.stdout + done.stderr


def cells(page: str, head: str) -> list[str]:
    """Returns the first cells of the tables with this heading in their first column."""
    found: list[str] = []
    for table in re.findall(rf"^\| {head} \|.*?(?=^$|\Z)", text_of(page), re.M | re.S):
        found += re.findall(r"^\| `(\w+)` \|", table, re.M)
    return found


@pytest.mark.parametrize("page", PAGES)
def test_named_options_and_settings_exist(page: str) -> None:
    settings = {field.name for field in fields(Settings)}
    options = set(inspect.signature(event_callback).parameters)
    assert set(cells(page, "option")) <= options | {"concat"}  # accepted, from dash-flash
    assert set(cells(page, "setting")) <= settings
    variables = set(re.findall(r"FLASH_EVENTS_([A-Z_]+[A-Z])", text_of(page)))
    assert {name.lower() for name in variables} <= settings


def test_the_tutorial_names_every_option() -> None:
    options = set(inspect.signature(event_callback).parameters)
    options -= {"dependencies", "inputs", "state", "unknown"}
    assert set(cells("tutorial.md", "option")) == options


@pytest.mark.parametrize("page", PAGES)
def test_named_files_of_the_repository_exist(page: str) -> None:
    named = re.findall(
        r"`((?:benchmarks|docs|examples|flash_events|tests)/[\w/.]+)`", text_of(page)
    )
    assert [name for name in named if not (ROOT / name).exists()] == []
