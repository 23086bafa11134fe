"""The Lua scripts in `lua/`: atomic steps in Redis.

All keys that one script touches are among its KEYS and share a hash tag, so that a Redis Cluster
can carry them. What concerns several tags takes several scripts; `directory.py` says why each order
of them is safe when a worker dies in between.
"""

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


def _source(name: str) -> str:
    return resources.files(__package__).joinpath("lua", f"{name}.lua").read_text("utf-8")


def _script(name: str, before: str = "") -> Script:
    text = before + _source(name)
    digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    return Script(name, text, digest)


_LOG = _source("log")

OPEN = _script("open", _LOG)
TAKE = _script("take", _LOG)
JOIN = _script("join", _LOG)
OWN = _script("own", _LOG)
WITHDRAW = _script("withdraw", _LOG)
APPEND = _script("append", _LOG)
END_RUN = _script("end_run", _LOG)
ADOPT = _script("adopt", _LOG)
EMIT = _script("emit", _LOG)
CANCEL_WRITERS = _script("cancel_writers", _LOG)
FINISH = _script("finish", _LOG)
READ = _script("read", _LOG)
DROP = _script("drop", _LOG)
RENEW = _script("renew", _LOG)

CLAIM = _script("claim")
UNCLAIM = _script("unclaim")
MOVE = _script("move")
WRITE = _script("write")
GIVE_UP = _script("give_up")
COUNT_SNAPSHOT = _script("count_snapshot")
KEEP_SNAPSHOT = _script("keep_snapshot")
