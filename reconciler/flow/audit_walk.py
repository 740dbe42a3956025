"""The walk over paid rows, again and again: what the audit asks about. Its place is kept as a mark."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from reconciler.domain.order import Order, OrderState
from reconciler.flow.context import Context
from reconciler.ports import Found, Position

PAGE_ROWS: Final = 100
PAGES_AT_ONCE_MAX: Final = 20
WALK_MARK: Final = "audit.walk"
WALK_EVERY: Final = timedelta(hours=1)
"""No walk begins sooner after the last one began."""


@dataclass(slots=True)
class _Walk:
    """How far the walk over paid orders has come."""

    began_at: datetime
    at: Position | None
    """Where the page in hand begins, kept as a mark; None once the walk has come to its end."""
    page: deque[Found] | None = None
    """What is left of it; None where it has not been read."""
    after: Position | None = None
    """Where the next page begins."""


class PaidWalk:
    """One leader's walk: the window, page by page, and from its beginning again an hour later."""

    def __init__(self, context: Context, window: timedelta) -> None:
        self._context = context
        self._window = window
        self._walk: _Walk | None = None

    async def next(self) -> Found | None:
        """Give the next row of the walk that may have to be asked about; None where there is none now."""
        walk = await self._present()
        for _ in range(PAGES_AT_ONCE_MAX):
            while walk.page:
                found = walk.page.popleft()
                if is_auditable(found, walk.began_at - self._window):
                    return found
            if walk.page is not None:
                await self._keep(walk, walk.after)
            if walk.at is None:
                return None
            page = await self._context.shop.paid(walk.at, PAGE_ROWS)
            walk.page, walk.after = deque(page.found), page.next
        return None

    async def _present(self) -> _Walk:
        """Give the walk under way, or begin one where it is time."""
        now = self._context.clock.now()
        if self._walk is None and (kept := await self._context.ledger.mark(WALK_MARK)):
            mark = json.loads(kept)
            self._walk = _Walk(datetime.fromisoformat(mark["began_at"]), mark["at"])
        walk = self._walk
        # A walk that began in the future was begun by a clock that has been set back since.
        if walk is None or (walk.at is None and not now - WALK_EVERY < walk.began_at <= now):
            self._walk = walk = _Walk(now, None)
            await self._keep(walk, await self._context.shop.before(now - self._window))
        return walk

    async def _keep(self, walk: _Walk, at: Position | None) -> None:
        walk.at, walk.page = at, None
        kept = json.dumps({"began_at": walk.began_at.isoformat(), "at": at})
        await self._context.ledger.set_mark(WALK_MARK, kept)


def is_auditable(found: Found, since: datetime | None = None) -> bool:
    """Whether a gateway must know of a payment: a paid order of money, all of whose attempts are ours to ask about."""
    order = found.row
    if not isinstance(order, Order) or order.state is not OrderState.PAID or order.amount.fen == 0:
        return False
    return bool(found.attempts) and not found.unwatched and (since is None or order.created_at >= since)
