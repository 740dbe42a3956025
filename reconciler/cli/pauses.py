"""Which channels are paused, as the ledger keeps it."""

from __future__ import annotations

import json
from collections.abc import Iterable

from reconciler.flow.channel import BY_HAND_MARK
from reconciler.ledger import SqlLedger


async def pauses(ledger: SqlLedger, channels: Iterable[str]) -> dict[str, dict[str, str]]:
    """Read which channels are paused, by themselves or by hand, with since when and why."""
    found = {}
    for name in channels:
        kept = await ledger.mark(f"{BY_HAND_MARK}{name}") or await ledger.mark(f"channel.paused.{name}")
        if kept:
            found[name] = json.loads(kept)
    return found
