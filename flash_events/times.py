"""Times that are promised to users (docs/semantics.md), and that several modules must keep."""

STOP_SECONDS = 1.0
"""Maximum time for the `finally` of a run, or of a task, that was asked to stop."""

KEPT_SECONDS = 300.0
"""Time for which the end of a run is known after it, so that a page can still attach to it."""
