"""Answers of Redis, for who waits for a store."""

from collections.abc import Awaitable
from typing import TypeVar

from flash_events.errors import BrokerError, StoreUnavailable

T = TypeVar("T")


async def answer(asked: Awaitable[T]) -> T:
    """Return the answer to a command of a pipe.

    Raises:
        StoreUnavailable: if Redis has refused the command, or was away for too long.
    """
    try:
        return await asked
    except BrokerError as error:
        raise StoreUnavailable(f"The store has failed. {error}") from None
