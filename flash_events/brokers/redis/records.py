"""Records of the run directory as JSON, which scripts read, too."""

import json
from typing import Any

from flash_events.brokers.directory import RunRecord
from flash_events.brokers.place import decode_place, encode_place

_NAMES = ("run", "connection", "owner", "kept_by", "callback", "is_ended")


def encode_record(record: RunRecord, nonce: str = "") -> str:
    """Return a record as JSON, with the nonce of its claim if it has just been claimed."""
    fields: dict[str, Any] = {name: getattr(record, name) for name in _NAMES}
    fields["worker"] = encode_place(record.place)
    if nonce:
        fields["nonce"] = nonce
    return json.dumps(fields)


def decode_record(text: bytes | str) -> RunRecord:
    """Return a record from its JSON."""
    fields = json.loads(text)
    return RunRecord(
        place=decode_place(fields["worker"]), **{name: fields[name] for name in _NAMES}
    )
