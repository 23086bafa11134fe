"""The programs of how-to/sharing.md: what goes wrong with four workers, and what does not."""

import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import celery as celery_package
import httpx
import pytest
from playwright.sync_api import BrowserContext, Request

from tests.support.celery_worker import together, working
from tests.support.listings import NAMED, listing, text_of
from tests.support.server import ROOT, Served, serving, wait_until
from tests.support.tab import HAS_LOADED, Tab

PAGE = "how-to/sharing.md"
STARTED = re.compile("Running on|Application startup complete")
"""What each worker of hypercorn and of uvicorn writes when it serves."""

ROUND = 12
"""Number of clicks that come at once, each on a connection of its own."""


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The recipes of the page, served by four workers without a store in the settings."""
    home = tmp_path_factory.mktemp("recipes")
    app, path = "tests.apps.recipes:server", str(ROOT)
    with serving(app, home, workers=4, home=home, PYTHONPATH=path) as served:
        # All of them have imported the programs before one refreshes what it has computed then.
        wait_until(lambda: len(STARTED.findall(served.log())) == 4, 30, "all workers")
        yield served


@dataclass
class Recipe:
    """One program of the page, on its own path."""

    served: Served
    name: str

    def __post_init__(self) -> None:
        entries = httpx.get(f"{self.served.url}_dash-dependencies", timeout=15).json()
        self.entries = {entry["output"]: entry for entry in entries}

    def call(self, output: str, value: object = 1) -> list[str]:
        """Calls a callback on a new connection, so by any worker; returns its values."""
        entry = self.entries[output]
        targets = [part.rsplit(".", 1) for part in output.strip(".").split("...")]
        outputs: Any = [{"id": name, "property": prop} for name, prop in targets]
        [first, *_] = entry["inputs"]
        body = {
            "output": output,
            "outputs": outputs if len(outputs) > 1 else outputs[0],
            "inputs": [{**first, "value": value}],
            "changedPropIds": [f"{first['id']}.{first['property']}"],
            "state": [],
        }
        answer = httpx.post(f"{self.served.url}_dash-update-component", json=body, timeout=15)
        if answer.status_code == 500:
            return []
        response = answer.raise_for_status().json()["response"]
        return [str(response[name][prop]) for name, prop in targets]

    def many(self, output: str, times: int = ROUND) -> list[list[str]]:
        """Calls it often at once."""
        with ThreadPoolExecutor(times) as pool:
            return list(pool.map(lambda _: self.call(output), range(times)))

    def tab(self, context: BrowserContext) -> Tab:
        """Opens its page."""
        tab = Tab(context.new_page(), self.served)
        tab.page.goto(self.served.url + self.name)
        tab.wait_until(f"document.querySelector('#_pages_content p') && {HAS_LOADED}")
        return tab


@pytest.fixture
def recipe(request: pytest.FixtureRequest, four: Served) -> Recipe:
    return Recipe(four, request.param)


def shows(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("recipe", [name], indirect=True)


def numbers(answers: list[list[str]]) -> list[int]:
    """Returns the first number of each answer."""
    return [int(found[0]) for [text] in answers if (found := re.findall(r"\d+", text))]


def processes(answers: list[list[str]]) -> set[str]:
    return {found[0] for [text, *_] in answers if (found := re.findall(r"process (\d+)", text))}


@shows("sharing")
def test_all_pages_show_the_votes_of_all(recipe: Recipe, context: BrowserContext) -> None:
    readme = dict(NAMED.findall((ROOT / "README.md").read_text("utf-8")))
    assert readme["sharing"] == listing(PAGE, "sharing")
    one, other = recipe.tab(context), recipe.tab(context)
    one.wait_for("votes", "0 votes")
    for count, tab in ((1, one), (2, other)):
        tab.click("vote")
        for each in (one, other):
            each.wait_for("votes", f"{count} votes")
    for tab in (one, other):
        tab.page.close()
        assert not tab.errors


@shows("global_variable")
def test_a_global_variable_loses_clicks_and_a_shared_value_none(recipe: Recipe) -> None:
    answers: list[list[str]] = []
    while len(processes(answers)) < 2:
        answers += recipe.many("global.children")
    counts = numbers(answers)
    assert max(counts) < len(answers)
    assert len(set(counts)) < len(counts)  # two users saw the same number
    shared = numbers(recipe.many("shared.children", len(answers)))
    assert sorted(shared) == list(range(1, len(answers) + 1))


@shows("file")
def test_a_file_loses_orders_and_a_shared_value_none(recipe: Recipe) -> None:
    sent, in_file = 0, 0
    while in_file == sent:  # until an order is lost
        sent += ROUND
        recipe.many("in-file.children")
        file = recipe.served.log_file.parent / "orders.csv"
        in_file = len(file.read_text("utf-8").splitlines()) - 1
    assert in_file < sent
    orders = numbers(recipe.many("in-value.children"))
    assert sorted(orders) == list(range(1, ROUND + 1))


@shows("dcc_store")
def test_a_store_sends_megabytes_and_a_shared_value_none(
    recipe: Recipe, context: BrowserContext
) -> None:
    tab = recipe.tab(context)
    sent: dict[str, list[int]] = {"from-store": [], "from-value": []}

    def note(request: Request) -> None:
        for name, sizes in sent.items():
            if asks_for(request, f"{name}.children"):
                sizes.append(len(request.post_data_buffer or b""))

    with tab.page.expect_response(lambda response: asks_for(response.request, "rows.data")):
        tab.click("load")
    tab.wait_for("from-value", "Shared value: ")
    tab.wait_until(HAS_LOADED)
    north = tab.text("from-value").removeprefix("Shared value: ")
    tab.page.on("request", note)
    tab.page.click("label:has-text('south')")
    tab.wait_until("!document.getElementById('from-store').textContent.endsWith(' 0 sold')")
    wait_until(lambda: tab.text("from-value") != f"Shared value: {north}", 10, "south")
    south = tab.text("from-value").removeprefix("Shared value: ")
    tab.wait_for("from-store", f"dcc.Store: {south}")
    sold = [int(text.removesuffix(" sold")) for text in (north, south)]
    assert sum(sold) == 20_000
    [[by_store], [by_value]] = sent.values()
    told = f"the browser sends {by_store / 1e6:.1f} MB to the server for `dcc.Store`, and "
    assert told + f"{by_value / 1e3:.1f} kB for the shared value" in text_of(PAGE)
    tab.page.close()


def asks_for(request: Request, output: str) -> bool:
    """Returns whether a request of the page calls the callback with this Output."""
    return f'"{output}"' in (request.post_data or "")


@shows("hidden_div")
def test_a_hidden_div_is_known_to_one_page_and_a_shared_value_to_all(
    recipe: Recipe, context: BrowserContext
) -> None:
    one, other = recipe.tab(context), recipe.tab(context)
    one.page.click("label:has-text('north')")
    for tab in (one, other):
        tab.wait_for("from-subscription", "Shared value: north")
    one.wait_for("from-hidden", "Hidden div: north")
    assert other.text("from-hidden") == "Hidden div: all"
    late = recipe.tab(context)
    late.wait_for("from-subscription", "Shared value: north")
    assert late.text("from-hidden") == "Hidden div: all"
    for tab in (one, other, late):
        tab.page.close()
        assert not tab.errors


@shows("aggregations")
def test_aggregations_of_an_import_are_old_and_a_shared_value_is_not(recipe: Recipe) -> None:
    assert recipe.call("refreshed.children") == ["Refreshed."]
    answers: list[list[str]] = []
    while len(processes(answers)) < 2:
        answers += recipe.many("..from-import.children...from-value.children..")
    old = {text.removeprefix("At import: ").split(",")[0] for text, _ in answers}
    [new] = {text.removeprefix("Shared: ") for _, text in answers}
    assert len(old) >= 2
    assert min(old) < new
    assert max(old) <= new


def program(directory: Path, name: str, text: str) -> None:
    (directory / f"{name}.py").write_text(text, "utf-8")


def ran(directory: Path, name: str, redis_url: str) -> str:
    """Runs a script with the documented command; returns its output."""
    done = subprocess.run(
        [sys.executable, f"{name}.py"],
        cwd=directory,
        env=environment(directory, redis_url),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def environment(directory: Path, redis_url: str) -> Any:
    return {
        "PATH": "",
        "PYTHONPATH": f"{ROOT}:{directory}",
        "FLASH_EVENTS_BROKER": redis_url,
        "FLASH_EVENTS_NAMESPACE": "docs",
        "CELERY_BROKER": redis_url.removesuffix("0") + "15",
    }


def test_a_script_a_thread_and_a_task_publish_to_a_page(
    context: BrowserContext, tmp_path: Path, redis_url: str
) -> None:
    for name, text in (
        ("topics", listing(PAGE, "topics")),
        ("app", listing(PAGE, "app")),
        ("script", listing(PAGE, "script")),
        ("tasks", listing(PAGE, "task")),
        ("ledger", listing(PAGE, "ledger")),
    ):
        program(tmp_path, name, text)
    variables = environment(tmp_path, redis_url)
    server = serving("app:server", tmp_path, home=tmp_path, **variables)
    worker = working(tmp_path, "-P", "solo", app="tasks:celery_app", **variables)
    with together(server, worker) as [served, _]:
        tab = Tab(context.new_page(), served).open()
        tab.click("watch")
        tab.click("follow")
        assert ran(tmp_path, "script", redis_url) == "Message 1\nMessage 2\n"
        tab.wait_for("now", "Now: 2.5")
        tab.click("thread")
        tab.wait_for("now", "Now: 103")
        client = celery_package.Celery(broker=variables["CELERY_BROKER"])
        client.send_task("tasks.measure", [7.5])
        tab.wait_for("now", "Now: 7.5")
        tab.wait_for("kept", "Prices: [1.5, 2.5, 101, 102, 103, 7.5]")
        for reader in ("watched", "followed"):
            tab.wait_for(reader, "6: 7.5")
        tab.page.reload()
        tab.wait_for("kept", "Prices: [1.5, 2.5, 101, 102, 103, 7.5]")
        tab.page.close()
        assert not tab.errors


def test_a_script_without_a_store_is_told_so(tmp_path: Path) -> None:
    program(tmp_path, "topics", listing(PAGE, "topics"))
    program(tmp_path, "script", listing(PAGE, "script"))
    assert "ConfigurationError: This process does not serve an app" in ran(tmp_path, "script", "")


def test_a_program_continues_after_the_last_order_that_it_has_booked(
    tmp_path: Path, redis_url: str
) -> None:
    program(tmp_path, "topics", listing(PAGE, "topics"))
    program(tmp_path, "ledger", listing(PAGE, "ledger"))
    booked: list[str] = []
    for first in (1, 3):
        publish = f"from topics import orders\nfor n in ({first}, {first + 1}): "
        program(tmp_path, "publish", publish + "orders.publish_sync(f'order {n}')\n")
        assert ran(tmp_path, "publish", redis_url) == ""
        with subprocess.Popen(
            [sys.executable, "ledger.py"],
            cwd=tmp_path,
            env=environment(tmp_path, redis_url),
            stdout=subprocess.PIPE,
            text=True,
        ) as ledger:
            assert ledger.stdout
            booked += [ledger.stdout.readline().strip() for _ in range(2)]
            wait_until(lambda n=first: done(tmp_path) == n + 1, 5, "the number of the last order")
            ledger.kill()
    assert booked == [f"Booked: order {n}" for n in (1, 2, 3, 4)]


def done(directory: Path) -> int:
    """Returns how far the ledger has come."""
    return int((directory / "booked.txt").read_text("utf-8") or 0)
