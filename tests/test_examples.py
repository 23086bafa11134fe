"""Each example is a complete app in one file."""

import subprocess
import sys

from tests.support.server import ROOT

PROGRAM = """
import asyncio, json, sys
from importlib import import_module

async def ids_of(app):
    client = app.server.test_client()
    layout = json.loads(await (await client.get("/_dash-layout")).get_data())
    callbacks = json.loads(await (await client.get("/_dash-dependencies")).get_data())
    return json.dumps(layout), callbacks

for name in sys.argv[1:]:
    # The first app that is asked takes the callbacks that no app has: those of this module.
    layout, callbacks = asyncio.run(ids_of(import_module(f"examples.{name}").app))
    assert callbacks, name
    for callback in callbacks:
        for part in callback["inputs"] + callback["state"]:
            key = json.loads(part["id"])["type"] if part["id"][0] == "{" else part["id"]
            assert f'"{key}"' in layout, (name, key)
    print(name)
"""


def test_each_example_is_an_independent_app() -> None:
    names = {file.stem for file in (ROOT / "examples").glob("*.py")} - {"__init__", "gallery"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *sorted(names)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert set(done.stdout.split()) == names, done.stderr
