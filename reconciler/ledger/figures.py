"""What came to its end within a time, and what is stuck: counted out of indexes, and never more rows than so many."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from reconciler.domain.case import MISMATCHES
from reconciler.domain.order import ChannelName
from reconciler.ledger.cases import OPEN
from reconciler.ledger.tables import cases, watches
from reconciler.ledger.values import to_us
from reconciler.ports import MOVED_BY_THE_SHOP, MOVED_BY_US, STUCK_MAX, WAITING_TO_SETTLE, Ends

ENDS_MAX = 200_000
CASES_MAX = 5000


async def ends(connection: AsyncConnection, since: datetime, until: datetime) -> dict[ChannelName, Ends]:
    """Count by channel. Of cases the newest few thousand are looked at: their numbers grow."""
    some = (
        select(watches.c.channel, watches.c.last_decision, watches.c.was_paid)
        .where(watches.c.ended_at >= to_us(since), watches.c.ended_at < to_us(until))
        .limit(ENDS_MAX)
        .subquery()
    )
    by_decision = select(some.c.channel, some.c.last_decision, func.count()).where(some.c.was_paid)
    counted: defaultdict[ChannelName, dict[str, int]] = defaultdict(lambda: {"lost": 0, "arrived": 0, "mismatches": 0})
    for channel, decision, count in await connection.execute(
        by_decision.group_by(some.c.channel, some.c.last_decision)
    ):
        if decision in MOVED_BY_US or decision in MOVED_BY_THE_SHOP:
            counted[ChannelName(channel)]["lost" if decision in MOVED_BY_US else "arrived"] += count
    newest = (await connection.execute(select(func.max(cases.c.id)))).scalar() or 0
    by_channel = (
        select(cases.c.channel, func.count())
        .where(cases.c.id > newest - CASES_MAX, cases.c.opened_at >= to_us(since), cases.c.opened_at < to_us(until))
        .where(cases.c.kind.in_([kind.value for kind in MISMATCHES]), cases.c.channel.is_not(None))
        .group_by(cases.c.channel)
    )
    for channel, count in await connection.execute(by_channel):
        counted[ChannelName(channel)]["mismatches"] += count
    return {channel: Ends(**figures) for channel, figures in counted.items()}


async def stuck(connection: AsyncConnection) -> int:
    """Count the open cases, and the open watches that wait to be settled."""
    waiting = select(watches.c.id).where(
        watches.c.last_decision.in_(sorted(WAITING_TO_SETTLE)), watches.c.ended_at.is_(None)
    )
    asked = select(cases.c.id).where(cases.c.open == OPEN)
    total = 0
    for rows in (waiting, asked):
        query = select(func.count()).select_from(rows.limit(STUCK_MAX).subquery())
        total += (await connection.execute(query)).scalar() or 0
    return min(total, STUCK_MAX)
