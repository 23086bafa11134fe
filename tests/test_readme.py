"""What the README shows is what is there."""

import re

from tests.conftest import ROOT

README = (ROOT / "README.md").read_text("utf-8")


def test_the_first_listing_is_the_quickstart() -> None:
    [listing] = re.findall(r"<!-- examples/quickstart.py -->\n```python\n(.*?)```", README, re.S)
    quickstart = (ROOT / "examples/quickstart.py").read_text("utf-8")
    assert listing == quickstart
    assert len(quickstart.splitlines()) <= 30


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", README)
    assert links
    missing = [one for one in links if "://" not in one and not (ROOT / one).exists()]
    assert not missing


def test_every_option_is_in_the_table() -> None:
    import inspect

    from flash_events import event_callback

    options = set(inspect.signature(event_callback).parameters)
    options -= {"dependencies", "inputs", "state", "registry", "unknown"}
    assert options <= set(re.findall(r"^\| `(\w+)` \|", README, re.M))
