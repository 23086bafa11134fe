"""Reads events with an independent parser; includes the vectors shared with vitest."""

import json
from pathlib import Path

from httpx_sse import ServerSentEvent
from httpx_sse._decoders import SSEDecoder

VECTORS = json.loads((Path(__file__).parent.parent / "vectors/events.json").read_text("utf-8"))


def parse(wire: bytes) -> list[ServerSentEvent]:
    """Reads with an independent parser; lines end at CR, LF and CRLF only."""
    decoder = SSEDecoder()
    text = wire.decode().replace("\r\n", "\n").replace("\r", "\n")
    return [event for line in text.split("\n")[:-1] if (event := decoder.decode(line)) is not None]
