"""The chain: each entry carries the hash of the one before. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

NOTHING = "0" * 64
"""The hash before the first entry."""


@dataclass(frozen=True, slots=True)
class Head:
    """The last entry's number and hash."""

    id: int = 0
    hash: str = NOTHING

    def __str__(self) -> str:
        return f"entry {self.id} ({self.hash[:12]}…)" if self.id else "nothing"


@dataclass(frozen=True, slots=True)
class EntryRow:
    """An entry as it stands in its row: what the hash covers, and the hash."""

    id: int
    at: int
    """Microseconds since 1970 UTC."""
    kind: str
    order_key: str | None
    order_no: str
    channel: str | None
    out_trade_no: str
    body: str
    """Canonical JSON; the text itself is hashed, not what it means."""
    evidence_digest: str | None
    previous: str
    hash: str = ""


def hash_of(row: EntryRow) -> str:
    """SHA-256 over everything in the row but the hash itself, hex."""
    material = [
        row.id,
        row.at,
        row.kind,
        row.order_key,
        row.order_no,
        row.channel,
        row.out_trade_no,
        row.body,
        row.evidence_digest,
        row.previous,
    ]
    return hashlib.sha256(json.dumps(material, ensure_ascii=True, separators=(",", ":")).encode()).hexdigest()
