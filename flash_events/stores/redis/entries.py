"""Entries of logs as Redis has them: in replies, and in what it publishes."""

from typing import Any

from flash_events.stores.logs import Entry, Position, Read

MICROSECONDS = 1_000_000


def decode_read(reply: list[Any]) -> Read:
    """Return the reply of `read.lua`."""
    offset, nonce, first, is_known, entries = reply
    head = Position(offset, nonce.decode())
    return Read(tuple(_decode_entry(*one) for one in entries), head, first, is_known == 1)


def _decode_entry(id: bytes, fields: list[bytes]) -> Entry:
    _, nonce, _, time, _, origin, _, _, kind, data = fields
    return Entry(
        offset=int(id.partition(b"-")[0]),
        nonce=nonce.decode(),
        time=int(time) / MICROSECONDS,
        origin=origin.decode(),
        data=data if kind == b"d" else None,
    )


def decode_news(message: bytes) -> Entry:
    """Return the entry that `append.lua` has published.

    A line with the offset, the time in µs, the lengths of nonce and origin, and whether the data is
    included, as numbers; then nonce, origin and data.
    """
    line, _, rest = message.partition(b"\n")
    offset, time, nonce, origin, has_data = map(int, line.split())
    return Entry(
        offset=offset,
        nonce=rest[:nonce].decode(),
        time=time / MICROSECONDS,
        origin=rest[nonce : nonce + origin].decode(),
        data=rest[nonce + origin :] if has_data else None,
    )
