"""Times that docs/semantics.md promises to users, and that several modules use."""

STOP_SECONDS = 1.0
"""Maximum time for the `finally` of a cancelled run or task."""

KEPT_SECONDS = 300.0
"""Time after the end of a kept run during which pages can still attach to it."""
