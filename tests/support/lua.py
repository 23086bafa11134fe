"""What every Lua script for Redis must do, so that a Redis Cluster can carry it."""

import re
from pathlib import Path

from flash_events.brokers.redis.script import Script


def files(package: str) -> set[str]:
    """Returns the names of the files in a package's directory of scripts."""
    return {path.stem for path in (Path(package).parent / "lua").iterdir()}


def check(script: Script, shared: str, names: str) -> None:
    """Checks that a script says what it gets, and touches only its keys.

    Args:
        script: the script.
        shared: what is put before it and others; "" for nothing.
        names: a pattern of what `shared` calls its keys.
    """
    own = script.text.removeprefix(shared)
    assert own.startswith("-- ")
    assert "\n-- ARGV: " in own
    assert "\n-- Returns " in own
    assert shared or "\n-- KEYS: " in own
    key = re.compile(r"KEYS\[\w+\]" + (f"|{names}" if shared else ""))
    calls = re.findall(r"(?=redis\.call\(('\w+'[^()]*))", script.text)
    assert len(calls) == script.text.count("redis.call(") > 0
    for call in calls:
        command, *arguments = (part.strip() for part in call.split(","))
        keys = arguments if command == "'DEL'" else arguments[:1]
        is_ours = command in ("'TIME'", "'PUBLISH'") or all(key.fullmatch(one) for one in keys)
        assert is_ours, call
