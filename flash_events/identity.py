"""Whose request it is, as the app says."""

import hashlib
import logging
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any

from flash_events.errors import Refused

Identify = Callable[[Any], str | Awaitable[str | None] | None]

logger = logging.getLogger(__name__)


async def owner_of(request: Any, identify: Identify | None) -> str:
    """The owner of what a request opens and starts; "" where the app does not say.

    Hashed, so that no name gets into a log, a key or a message between workers.

    Raises:
        Refused: 403; `identify` knows nobody, or failed.
    """
    if identify is None:
        return ""
    try:
        user = identify(request)
        if isawaitable(user):
            user = await user
        if user is not None and not isinstance(user, str):
            kind = type(user).__name__  # its value may be a name
            raise TypeError(
                f"Expected identify to return a string or None, got {kind}. Write str(...)."
            )
    except Exception:  # the app's own code; what it raised is no concern of the client
        logger.exception("identify failed")
        user = None
    if not user:
        raise Refused(403, "identity", "Not signed in. Log in, and reload the page.")
    return hashlib.sha256(user.encode()).hexdigest()
