"""The Lua scripts in `lua/`.

All keys that one script touches are among its KEYS and share a hash tag, so that a Redis Cluster
can carry them. What concerns several tags takes several scripts; `directory.py` says why each order
of them is safe when a worker dies in between.
"""

from functools import partial

from flash_events.brokers.redis.script import script, source

_script = partial(script, __package__)
_LOG = source(__package__, "log")

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
