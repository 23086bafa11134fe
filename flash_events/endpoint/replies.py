"""HTTP responses of the endpoint, independent of the web framework."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from flash_events.endpoint.connections import Connection
from flash_events.errors import Refused
from flash_events.wire.json import to_json

JSON_HEADERS = {"Content-Type": "application/json"}
STREAM_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",
}


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP response, with either content or a stream."""

    status: int = 200
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    stream: AsyncGenerator[bytes, None] | None = None


def accepted(**fields: Any) -> Reply:
    """Return a 202 with these fields as JSON."""
    return Reply(HTTPStatus.ACCEPTED, to_json(fields), JSON_HEADERS)


def streamed(connection: Connection, after: str = "") -> Reply:
    """Return a stream of a connection's events after the event `after`."""
    return Reply(headers=STREAM_HEADERS, stream=connection.stream(after))


def refused(refusal: Refused, body: bytes | None = None) -> Reply:
    """Return a refusal as JSON with its status.

    Args:
        refusal: the refusal.
        body: the update of `on_error`, encoded by `encode_update`.
    """
    fields = {"error": refusal.code, "message": refusal.message}
    if refusal.limit is not None:
        fields["limit"] = refusal.limit
    seconds = refusal.retry_after_seconds
    headers = JSON_HEADERS if seconds is None else JSON_HEADERS | {"Retry-After": str(seconds)}
    content = to_json(fields)
    if body is not None:
        content = b"%b,%b}" % (content.removesuffix(b"}"), body)
    return Reply(refusal.status, content, headers)
