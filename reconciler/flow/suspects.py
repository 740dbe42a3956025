"""Paid orders that were denied, and when: kept as a mark, so that a restart forgets no denial."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from reconciler.domain.order import OrderKey
from reconciler.ports import Ledger

SUSPECTS_MARK: Final = "audit.suspects"
SUSPECTS_MAX: Final = 500
"""So many at once are a wrong mapping or token: nobody new is suspected before some of them are cleared up."""
DENIALS_NEEDED: Final = 3
DENIED_FOR: Final = timedelta(hours=1)
DENIED_EVERY: Final = DENIED_FOR / (DENIALS_NEEDED - 1)


@dataclass(frozen=True, slots=True)
class Suspect:
    """A paid order that was denied, and when."""

    key: OrderKey
    order_no: str
    denied_at: tuple[datetime, ...]
    next_at: datetime

    def is_enough(self) -> bool:
        """Whether it was denied often enough, for long enough."""
        return len(self.denied_at) >= DENIALS_NEEDED and self.denied_at[-1] - self.denied_at[0] >= DENIED_FOR


class Suspects:
    """One leader's suspects."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._known: dict[OrderKey, Suspect] | None = None

    async def all(self) -> Mapping[OrderKey, Suspect]:
        """Give them, by order."""
        if self._known is None:
            kept = await self._ledger.mark(SUSPECTS_MARK)
            self._known = {item.key: item for item in map(_read, json.loads(kept) if kept else ())}
        return self._known

    async def due(self, now: datetime) -> Suspect | None:
        """Give the one that is to be asked about first, if any is by now."""
        waiting = [item for item in (await self.all()).values() if item.next_at <= now]
        return min(waiting, key=lambda item: item.next_at, default=None)

    async def keep(self, suspect: Suspect) -> None:
        """Suspect an order, from now on or still."""
        await self._write({**await self.all(), suspect.key: suspect})

    async def drop(self, key: OrderKey) -> None:
        """Suspect an order no more."""
        known = await self.all()
        if key in known:
            await self._write({other: item for other, item in known.items() if other != key})

    async def _write(self, suspects: Mapping[OrderKey, Suspect]) -> None:
        await self._ledger.set_mark(SUSPECTS_MARK, json.dumps([_plain(item) for item in suspects.values()]))
        self._known = dict(suspects)


def _plain(suspect: Suspect) -> dict[str, object]:
    return {
        "key": suspect.key,
        "order_no": suspect.order_no,
        "denied_at": [at.isoformat() for at in suspect.denied_at],
        "next_at": suspect.next_at.isoformat(),
    }


def _read(kept: Mapping[str, Any]) -> Suspect:
    return Suspect(
        OrderKey(kept["key"]),
        kept["order_no"],
        tuple(datetime.fromisoformat(at) for at in kept["denied_at"]),
        datetime.fromisoformat(kept["next_at"]),
    )
