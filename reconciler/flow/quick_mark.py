"""The mark of the quick selector: where it looks from next, and when it last noted what was newest."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self

from reconciler.ports import Ledger, Position

_NAME: Final = "find.quick"


@dataclass(frozen=True, slots=True)
class QuickMark:
    """What the ledger keeps of the quick selector."""

    from_: Position
    """Rows behind it are to be looked at."""
    seen: Position
    """What was newest at `seen_at`: `from_`, one overlap later."""
    seen_at: datetime

    @classmethod
    async def read(cls, ledger: Ledger) -> Self | None:
        """Give what was kept last; None before the first walk has begun. Raises LedgerUnavailable."""
        kept = await ledger.mark(_NAME)
        if kept is None:
            return None
        mark = json.loads(kept)
        return cls(Position(mark["from"]), Position(mark["seen"]), datetime.fromisoformat(mark["seen_at"]))

    async def keep(self, ledger: Ledger) -> None:
        """Write it. Raises LedgerUnavailable, Overtaken."""
        mark = {"from": self.from_, "seen": self.seen, "seen_at": self.seen_at.isoformat()}
        await ledger.set_mark(_NAME, json.dumps(mark))
