"""The owner of a request, from the app's `identify` function."""

import hashlib
import logging
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any

from flash_events.errors import Refused

Identify = Callable[[Any], str | Awaitable[str | None] | None]

logger = logging.getLogger(__name__)


async def owner_of(request: Any, identify: Identify | None) -> str:
    """Return the owner of a request's connections and runs; "" if the app has no `identify`.

    The owner is a hash of the user, so that no name appears in logs, keys and messages.

    Args:
        request: the request of the web framework.
        identify: the setting `identify`.

    Raises:
        Refused: with status 403, if `identify` returns None or "", or raises.
    """
    if identify is None:
        return ""
    try:
        user = identify(request)
        if isawaitable(user):
            user = await user
        if user is not None and not isinstance(user, str):
            kind = type(user).__name__  # the value itself may be a user's name
            raise TypeError(
                f"Expected identify to return a string or None, got {kind}. Write str(...)."
            )
    except Exception:  # the app's own code may raise anything; the client gets no details
        logger.exception("identify failed")
        user = None
    if not user:
        raise Refused(403, "identity", "Not signed in. Sign in, and reload the page.")
    return hash_of(user)


def hash_of(id: str) -> str:
    """Return the hash of an id, which others may see; "" for none."""
    return hashlib.sha256(id.encode()).hexdigest() if id else ""
