"""The Lua scripts in `lua/`.

All keys that one script touches are among its KEYS and share a hash tag, that of a log or of a
group, so that a Redis Cluster can carry them.
"""

from functools import partial

from flash_events.brokers.redis.script import script, source

_script = partial(script, __package__)
_LOG = source(__package__, "log")
_VALUES = source(__package__, "values")

APPEND = _script("append", _LOG)
READ = _script("read", _LOG)
READ_LAST = _script("read_last", _LOG)
LOAD = _script("load", _LOG)
HEAD = _script("head")

PUT = _script("put", _VALUES)
TOUCH = _script("touch", _VALUES)
FORGET = _script("forget", _VALUES)
LEAD = _script("lead")
RELEASE = _script("release")

ENTER = _script("enter")
LEAVE = _script("leave")
