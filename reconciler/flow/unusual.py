"""Unusual hours: what leaves its usual range is said once, and once more when it is back. It only reads the ledger."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from reconciler.domain.order import ChannelName
from reconciler.domain.unusual import (
    Share,
    is_number_unusual,
    is_number_usual_again,
    is_share_unusual,
    is_share_usual_again,
    number_in_words,
    share_in_words,
    usual_number,
    usual_share,
)
from reconciler.events.unusual import ChannelUnusual, ChannelUsual, OrdersUnusual, OrdersUsual
from reconciler.flow.context import Context
from reconciler.flow.past_hours import DAYS, HOUR, PastHours, lost_of, mismatches_of

SAID_MARK: Final = "unusual.said"
EVERY_S: Final = 300.0
CATCH_UP_S: Final = 0.5
"""Between two days of the past that are counted."""
LOST: Final = "callbacks lost"
MISMATCHES: Final = "mismatches"
STUCK: Final = "orders stuck"


class Unusual:
    """One leader's look at the last hour."""

    def __init__(self, context: Context, channels: Sequence[ChannelName]) -> None:
        self._context = context
        self._channels = channels
        self._past = PastHours(context.ledger)
        self._said: dict[str, datetime] | None = None
        """What was said to be unusual, and since when."""

    async def turn(self) -> float:
        """Count hours of the past, or judge the last one; give the seconds to wait. Raises PortError."""
        now = self._context.clock.now()
        if self._said is None:
            kept = json.loads(await self._context.ledger.mark(SAID_MARK) or "{}")
            self._said = {what: datetime.fromisoformat(since) for what, since in kept.items()}
        if await self._past.catch_up(now, self._said):
            return CATCH_UP_S
        ends = await self._context.ledger.ends(now - HOUR, now)
        for channel in self._channels:
            last = ends.get(channel)
            name = f"{channel} {LOST}"
            await self._judge(channel, LOST, lost_of(last), self._past.lost(channel, name), now)
            name = f"{channel} {MISMATCHES}"
            await self._judge(channel, MISMATCHES, mismatches_of(last), self._past.mismatches(channel, name), now)
        await self._judge_stuck(await self._context.ledger.stuck(), now)
        return EVERY_S

    async def _judge(self, channel: ChannelName, what: str, share: Share, past: Sequence[Share], now: datetime) -> None:
        usual = usual_share(past)
        why = f"{what}: {share_in_words(share, usual, DAYS)}"
        name = f"{channel} {what}"
        if self._since(name) is None:
            if is_share_unusual(share, usual):
                await self._begin(name, now)
                self._context.events.emit(ChannelUnusual(channel=channel, what=what, why=why))
        elif is_share_usual_again(share, usual):
            after = await self._end(name, now)
            self._context.events.emit(ChannelUsual(channel=channel, what=what, after=after, why=why))

    async def _judge_stuck(self, stuck: int, now: datetime) -> None:
        usual = usual_number(self._past.stuck(STUCK))
        why = f"{STUCK}: {number_in_words(stuck, usual, DAYS)}"
        if self._since(STUCK) is None:
            if is_number_unusual(stuck, usual):
                await self._begin(STUCK, now)
                self._context.events.emit(OrdersUnusual(stuck=stuck, why=why))
        elif is_number_usual_again(stuck, usual):
            after = await self._end(STUCK, now)
            self._context.events.emit(OrdersUsual(stuck=stuck, after=after, why=why))

    def _since(self, name: str) -> datetime | None:
        return (self._said or {}).get(name)

    async def _begin(self, name: str, now: datetime) -> None:
        await self._keep({**(self._said or {}), name: now})

    async def _end(self, name: str, now: datetime) -> timedelta:
        since = self._since(name) or now
        await self._keep({other: at for other, at in (self._said or {}).items() if other != name})
        return max(now - since, timedelta(0))

    async def _keep(self, said: dict[str, datetime]) -> None:
        """Write it down before it is said: a crash between the two leaves a line out, and never repeats one."""
        await self._context.ledger.set_mark(SAID_MARK, json.dumps({what: at.isoformat() for what, at in said.items()}))
        self._said = said
