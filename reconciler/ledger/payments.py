"""When buyers have paid, as far as settlements and ended watches say."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Integer, Select, and_, cast, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from reconciler.domain.learning import Payments
from reconciler.ledger.tables import intentions, watches
from reconciler.ledger.values import to_us
from reconciler.ports import Outcome


def delays(since: datetime, limit: int) -> Select[Any]:
    """Select the time from the attempt's creation to its payment, of the newest settlements."""
    settled = (
        select(intentions.c.order_key, intentions.c.channel, intentions.c.out_trade_no, intentions.c.paid_at)
        .where(intentions.c.outcome == Outcome.SETTLED.value, intentions.c.concluded_at >= to_us(since))
        .order_by(intentions.c.concluded_at.desc())
        .limit(limit)
        .subquery()
    )
    attempt = and_(
        watches.c.order_key == settled.c.order_key,
        watches.c.channel == settled.c.channel,
        watches.c.out_trade_no == settled.c.out_trade_no,
    )
    return select((settled.c.paid_at - watches.c.created_at).label("us")).join(watches, attempt)


def ended(since: datetime, limit: int) -> Select[Any]:
    """Count the newest ended watches, and those of them whose order was seen paid."""
    newest = (
        select(cast(watches.c.was_paid, Integer).label("was_paid"))
        .where(watches.c.ended_at >= to_us(since))
        .order_by(watches.c.ended_at.desc())
        .limit(limit)
        .subquery()
    )
    return select(
        func.count(newest.c.was_paid).label("orders"), func.coalesce(func.sum(newest.c.was_paid), 0).label("paid")
    )


async def payments(connection: AsyncConnection, since: datetime, limit: int) -> Payments:
    """Put both together; who paid "before" his order, by another clock, paid at once."""
    found = (await connection.execute(delays(since, limit))).scalars()
    counted = (await connection.execute(ended(since, limit))).one()
    return Payments(
        tuple(timedelta(microseconds=max(us, 0)) for us in sorted(found)), counted.orders, int(counted.paid)
    )
