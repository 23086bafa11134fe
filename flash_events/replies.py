"""Answers of the endpoint, free of any web framework."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from flash_events.connections import Connection
from flash_events.errors import Refused

STREAM_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",
}


@dataclass(frozen=True, slots=True)
class Reply:
    """JSON fields, or a stream."""

    status: int = 200
    fields: dict[str, Any] | None = None
    stream: AsyncIterator[bytes] | None = None
    headers: dict[str, str] = field(default_factory=dict)


def accepted(**fields: Any) -> Reply:
    """It is being done."""
    return Reply(HTTPStatus.ACCEPTED, fields)


def streamed(connection: Connection, after: str = "") -> Reply:
    """What follows an event of a connection."""
    return Reply(stream=connection.stream(after), headers=STREAM_HEADERS)


def refused(refusal: Refused) -> Reply:
    """A refusal as JSON with its status."""
    fields = {"error": refusal.code, "message": refusal.message}
    seconds = refusal.retry_after_seconds
    headers = {} if seconds is None else {"Retry-After": str(seconds)}
    return Reply(refusal.status, fields, headers=headers)
