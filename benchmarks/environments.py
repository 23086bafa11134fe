"""Virtual environments of the alternatives, whose requirements conflict with ours."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HOME = Path(__file__).parent.parent / ".bench"


class Absent(Exception):
    """The alternative cannot be run here; has the reason."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment under `.bench/`.

    Attributes:
        name: of its directory.
        requirements: what is installed into it.
        python: the version that it needs, such as "3.12"; this one's where it is empty.
    """

    name: str
    requirements: tuple[str, ...]
    python: str = ""

    def program(self) -> str:
        """Returns its Python; creates the environment on first use and after a change of its
        requirements.

        Raises:
            Absent: there is no such Python, or something could not be installed.
        """
        home = HOME / self.name
        made, wanted = home / "requirements.txt", "\n".join(self.requirements)
        if not made.exists() or made.read_text("utf-8") != wanted:
            print(f"Making the environment {self.name} ...", file=sys.stderr, flush=True)
            _run(_python(self.python), "-m", "venv", "--clear", str(home))
            _run(str(home / "bin" / "python"), *_PIP, *self.requirements)
            made.write_text(wanted, "utf-8")
        return str(home / "bin" / "python")


_PIP = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")


def _python(version: str) -> str:
    """Returns a Python of this version: on the PATH, or from pyenv."""
    if not version:
        return sys.executable
    # pyenv's shims are on the PATH for unselected versions too, and then fail.
    ours = Path.home() / ".pyenv" / "versions"
    installed = sorted(map(str, ours.glob(f"{version}.*/bin/python{version}")), reverse=True)
    for program in (shutil.which(f"python{version}"), *installed):
        if program and subprocess.run([program, "--version"], capture_output=True).returncode == 0:
            return program
    raise Absent(f"needs Python {version}, which is not here")


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Absent(f"could not be installed: {done.stderr.strip().splitlines()[-1]}")


COMMON = ("dash-ag-grid==35.3.0", "hypercorn==0.18.0")
"""Requirements of all alternatives: the same components and the same server."""

NATIVE_STREAMS = Environment("dash-4.5", ("dash[quart]==4.5.0rc2", *COMMON))
NATIVE_STORAGE = Environment("dash-4.5-redis", ("dash[quart]==4.5.0rc2", "redis==8.1.0"))
DASH_FLASH = Environment("dash-flash", ("dash-flash==1.4.0", "pandas", *COMMON), "3.12")
"""With pandas: without it, dash-flash tries to import it at each value, which is twenty times
slower.
"""
