"""Lua scripts in files: atomic steps in Redis."""

import hashlib
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True, slots=True, eq=False)
class Script:
    """A Lua script.

    Attributes:
        name: of its file.
        text: Lua.
        digest: what `EVALSHA` takes.
    """

    name: str
    text: str
    digest: str


def source(package: str | None, name: str) -> str:
    """Return the text of a file in the directory `lua` of a package."""
    assert package is not None
    return resources.files(package).joinpath("lua", f"{name}.lua").read_text("utf-8")


def script(package: str | None, name: str, before: str = "") -> Script:
    """Return the script in a file.

    Args:
        package: the package whose directory `lua` has the file.
        name: of the file, without its suffix.
        before: Lua that is put before it.
    """
    text = before + source(package, name)
    digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    return Script(name, text, digest)
