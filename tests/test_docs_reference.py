"""The pages on the semantics and the protocol match the code."""

import ast
import json
import re
from pathlib import Path

import pytest

import flash_events
import flash_events.errors
from flash_events import celery, stream_props, testing
from flash_events.plugin import ACTIONS
from flash_events.wire import events
from flash_events.wire.events import Reason
from tests.support.server import ROOT

REFERENCE = (ROOT / "docs/reference.md").read_text("utf-8")
SEMANTICS = (ROOT / "docs/semantics.md").read_text("utf-8")
PROTOCOL = (ROOT / "docs/protocol.md").read_text("utf-8")
HELD_BY = sorted(set(re.findall(r"`(tests/\S+?\.py::\S+?)`", SEMANTICS)))
VECTORS = json.loads((ROOT / "tests/vectors/events.json").read_text("utf-8"))


def names_in(path: Path) -> set[str]:
    """Returns the tests of a file and their classes, as pytest names them."""
    module = ast.parse(path.read_text("utf-8"))
    classes = [node for node in module.body if isinstance(node, ast.ClassDef)]
    methods = {f"{one.name}::{name}" for one in classes for name in functions(one)}
    return {*functions(module), *methods, *(one.name for one in classes)}


def functions(scope: ast.Module | ast.ClassDef) -> list[str]:
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return [node.name for node in scope.body if isinstance(node, kinds)]


@pytest.mark.parametrize("held_by", HELD_BY)
def test_every_promise_names_an_existing_test(held_by: str) -> None:
    path, _, name = held_by.partition("::")
    assert name in names_in(ROOT / path)


def test_every_row_of_the_promises_names_a_test() -> None:
    tables = [line for line in SEMANTICS.splitlines() if line.startswith("|")]
    rows = [line for line in tables if line.count("|") == 4 and "---" not in line]
    unproven = [row for row in rows if "held by" not in row and "`tests/" not in row]
    assert len(rows) > 25
    assert unproven == []


def cells(heading: str) -> list[list[str]]:
    """Returns the code words in the first cells of a section's tables."""
    section = PROTOCOL.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1:-1] for line in section.splitlines() if line.startswith("| ")]
    return [[word for cell in row[:2] for word in re.findall(r"`(\w+)`", cell)] for row in rows]


def test_every_action_is_described() -> None:
    assert {row[0] for row in cells("Requests") if row} - {"flash_events"} == set(ACTIONS)


def test_every_refusal_is_described() -> None:
    raised = set()
    for path in (ROOT / "flash_events").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Refused":
                raised.add(ast.literal_eval(node.args[1]))
    assert {code for row in cells("Refusals") for code in row} == raised


def test_every_public_name_has_a_place_in_the_reference() -> None:
    described = set(re.findall(r"^::: flash_events\.(?:\w+\.)*(\w+)$", REFERENCE, re.M))
    assert {*flash_events.__all__, *celery.__all__, *testing.__all__} <= described


def test_the_codes_of_errors_are_those_of_the_source() -> None:
    [sentence] = re.findall(r"The codes of an `error`: (.*?)\.", PROTOCOL)
    codes = re.findall(r"`(\w+)`", sentence)
    source = "".join(path.read_text("utf-8") for path in (ROOT / "flash_events").rglob("*.py"))
    assert len(codes) == 6
    assert [code for code in codes if f'"{code}"' not in source] == []


def test_every_event_is_described() -> None:
    names = {vector["event"] for vector in VECTORS}
    assert {row[0] for row in cells("Events") if row} == names
    assert all(f"`{reason}`" in PROTOCOL for reason in Reason)


def test_the_documented_stream_is_the_one_that_is_sent() -> None:
    [stream] = re.findall(r"```text\n(event: open.*?)```", PROTOCOL, re.S)
    run, update = "A" * 22, stream_props("out", {"children": "Hello"})
    sent: tuple[events.Event, ...] = (
        events.Opened("B" * 22),
        events.Started(run),
        events.Updated(run, 1, events.encode_update(update, 1000)),
        events.Ended(run, 1, Reason.DONE),
    )
    assert re.sub(r"id: .*\n", "", stream) == b"".join(map(events.encode, sent)).decode()


def test_every_error_of_users_is_exported_and_has_a_row() -> None:
    asking = {"AskError", "NoAnswer", "RequestFailed", "WorkerGone"}  # between processes
    internal = {"LogFull", "LogGone", "Refused", *asking}
    errors = {
        name
        for name, value in vars(flash_events.errors).items()
        if isinstance(value, type) and issubclass(value, flash_events.FlashEventsError)
    }
    assert errors - internal <= set(flash_events.__all__)
    table = REFERENCE.split("\n## Errors\n")[1].split("\n:::")[0]
    listed = {*re.findall(r"`(\w+)`", table)}
    assert (errors - internal) | {"TaskStopped"} <= listed
