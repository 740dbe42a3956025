"""What is known of orders in a limited status from one walk, one leader and one start to the next: three marks.

No table: none of it is history. A mark that is lost costs a later notice of what has no time of its own, no more.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from reconciler.domain.order import OrderKey
from reconciler.domain.stay import Stay
from reconciler.ports import Ledger, Mark

SEEN_MARK: Final = "limits.seen"
CASES_MARK: Final = "limits.cases"
FIGURES_MARK: Final = "limits.figures"
FIRST_SEEN: Final = "when we first saw it so"


@dataclass(frozen=True, slots=True)
class Stalled:
    """An order whose case is open."""

    order_no: str
    stay: Stay


@dataclass(frozen=True, slots=True)
class Figure:
    """One status after a walk."""

    over: int = 0
    """Orders that are over its limit; at least so many where it is crowded."""
    oldest: datetime | None = None
    """Since when the first of them stands there."""
    crowded: bool = False
    """More orders rest in it than are looked at: they are left alone for an hour."""
    is_flood: bool = False
    """It was said that more are over the limit than become cases."""


class StayBook:
    """One leader's book."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._is_open = False
        self.seen: dict[OrderKey, Stay] = {}
        """Orders whose row does not tell since when: what we know instead."""
        self.cases: dict[OrderKey, Stalled] = {}
        self.figures: Mapping[str, Figure] = {}

    async def open(self) -> None:
        """Read what an earlier leader left."""
        if self._is_open:
            return
        seen, cases = await self._read(SEEN_MARK), await self._read(CASES_MARK)
        self.figures = figures_of(await self._ledger.mark(FIGURES_MARK))
        self.seen = {OrderKey(key): _stay(kept) for key, kept in seen.items()}
        self.cases = {OrderKey(key): Stalled(kept[0], _stay(kept[1:])) for key, kept in cases.items()}
        self._is_open = True

    def open_cases(self) -> Counter[str]:
        """Count the open cases by status."""
        return Counter(item.stay.status for item in self.cases.values())

    async def keep_seen(self, seen: Mapping[OrderKey, Stay]) -> None:
        """Keep these and no others."""
        if seen != self.seen:
            await self._ledger.set_mark(SEEN_MARK, _text({key: _plain(stay) for key, stay in seen.items()}))
            self.seen = dict(seen)

    async def keep_figures(self, figures: Mapping[str, Figure], at: datetime) -> None:
        """Keep what the last walk came to: `status` and the summary read it."""
        statuses = {
            status: {
                "over": figure.over,
                "oldest": figure.oldest.isoformat() if figure.oldest else None,
                "crowded": figure.crowded,
                "is_flood": figure.is_flood,
            }
            for status, figure in figures.items()
        }
        await self._ledger.set_mark(FIGURES_MARK, _text({"at": at.isoformat(), "statuses": statuses}))
        self.figures = dict(figures)

    def cases_mark(self, cases: Mapping[OrderKey, Stalled]) -> Mark:
        """Write these as a mark, to go into the batch that opens or ends them."""
        return Mark(CASES_MARK, _text({key: [item.order_no, *_plain(item.stay)] for key, item in cases.items()}))

    async def _read(self, name: str) -> dict[str, Any]:
        kept: dict[str, Any] = json.loads(await self._ledger.mark(name) or "{}")
        return kept


def figures_of(kept: str | None) -> dict[str, Figure]:
    """Read the mark of the figures."""
    statuses: dict[str, dict[str, Any]] = json.loads(kept)["statuses"] if kept else {}
    return {
        status: replace(Figure(**figure), oldest=datetime.fromisoformat(figure["oldest"]) if figure["oldest"] else None)
        for status, figure in statuses.items()
    }


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _plain(stay: Stay) -> list[object]:
    """Write a stay shortly: most are first seen by us, and many are kept."""
    return [stay.status, stay.since.isoformat(), *([] if stay.by == FIRST_SEEN else [stay.by])]


def _stay(kept: list[str]) -> Stay:
    since = datetime.fromisoformat(kept[1])
    by = kept[2] if len(kept) > 2 else FIRST_SEEN  # noqa: PLR2004 # status and time come first
    return Stay(kept[0], since if by != FIRST_SEEN else since.astimezone(UTC), by)
