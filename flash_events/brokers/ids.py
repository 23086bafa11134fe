"""The kinds of ids, so that a type checker finds one that stands where another is expected."""

from typing import NewType

RunId = NewType("RunId", str)
"""Of one run; minted by the browser, unguessable."""

PageId = NewType("PageId", str)
"""Of one tab; survives a reload."""

NO_PAGE = PageId("")
"""Stands for the page where it is not known, or does not matter."""

NO_RUN = RunId("")
"""Stands for the run of an event that belongs to no run, such as the end of a connection."""

ConnectionId = NewType("ConnectionId", str)
"""Of a connection, and of the event log behind it."""

WorkerId = NewType("WorkerId", str)
"""Of one process that drives runs or holds connections, for as long as it lives."""

CallbackId = NewType("CallbackId", str)
"""Of an event callback; the same in every process that imports the app."""

NO_CALLBACK = CallbackId("")
"""Stands for the callback of a run where it does not matter."""
