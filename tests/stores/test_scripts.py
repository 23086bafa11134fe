"""The Lua scripts of the store: a Redis Cluster can carry their keys."""

import pytest

from flash_events.brokers.redis.script import Script
from flash_events.stores.redis import scripts
from tests.support.lua import check, files

SCRIPTS = [one for one in vars(scripts).values() if isinstance(one, Script)]

SHARED = {
    scripts._LOG: r"entries|head|large",
    scripts._VALUES: r"values|used|expiring|bytes|puts|leads",
}
"""What scripts share, and the names that it gives to their keys."""


def test_every_file_is_one_script_or_what_scripts_share() -> None:
    assert files(scripts.__file__) == {script.name for script in SCRIPTS} | {"log", "values"}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_says_what_it_gets_and_touches_only_its_keys(script: Script) -> None:
    shared = next((one for one in SHARED if script.text.startswith(one)), "")
    check(script, shared, SHARED.get(shared, ""))
