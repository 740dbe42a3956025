"""The newest orders: whether the mapping reads them as what they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from reconciler.doctor.remark import Remark, fault, warning, well
from reconciler.domain.order import OrderState, UnreadableOrder
from reconciler.settings.model import Settings
from reconciler.shops.sql.bound import BoundShop
from reconciler.shops.sql.inspection import TIMELESS_MAX, Inspection
from reconciler.shops.sql.inspection.access import Sample
from reconciler.shops.sql.rows import ReadRow

SUBJECT = "orders"
STATES = "states"
NUMBERS = "numbers"
TIMES = "time zone"
CHANNELS = "channel values"
WITH_ATTEMPTS_MAX: Final = 1000
"""Orders whose attempts are read, to see which channels those name."""
WEEK: Final = timedelta(days=7)
SHOWN_MAX: Final = 20
HALF_HOUR: Final = timedelta(minutes=30)
NEAR: Final = timedelta(minutes=3)


async def look(
    inspection: Inspection, shop: BoundShop, settings: Settings, now: datetime
) -> tuple[Sample, list[Remark]]:
    """Read the newest orders and judge them. Raises ShopUnavailable."""
    sample = await inspection.sample(shop)
    numbers = await inspection.numbers(shop)
    recent = [row for row in sample.rows if row.created_at is None or row.created_at >= now - WEEK]
    if not sample.rows:
        remedy = (
            "look at shop.orders.where and shop.orders.table; in a shop that is new, come back after its first orders"
        )
        return sample, [warning(SUBJECT, "there is none: the rest of the mapping cannot be tried", remedy)]
    seen = f"the {len(recent)} orders of the last week" if recent else "the newest orders, none of the last week"
    if len(recent) == len(sample.rows) and not sample.is_whole:
        seen = f"the newest {len(recent)} orders"
    rows = recent or list(sample.rows)
    remarks = [
        *_states(rows, shop, seen),
        *_unreadable(rows, seen),
        *_numbers(sample, numbers, shop),
        *_times(sample, shop, settings, now),
        *_timeless(await inspection.timeless(shop), shop),
        *(await _channels(inspection, rows, shop, seen)),
    ]
    return sample, remarks


def _states(rows: Sequence[ReadRow], shop: BoundShop, seen: str) -> Iterator[Remark]:
    counts = Counter((row.row.status, row.row.state) for row in rows)
    known = ", ".join(
        f"{status} {state.value} ({count})"
        for (status, state), count in counts.most_common(SHOWN_MAX)
        if state is not OrderState.UNKNOWN
    )
    for (status, state), count in counts.most_common(SHOWN_MAX):
        if state is OrderState.UNKNOWN:
            said = f"{count} of {seen} have {shop.orders.status.name} {status}, which is mapped to nothing"
            yield warning(STATES, said, "say what it means: put it under one of shop.orders.states")
    if not any(state in {OrderState.PENDING, OrderState.PAID} for _, state in counts):
        said = f"none of {seen} is pending or paid"
        yield fault(
            STATES, said, f"look at shop.orders.status and shop.orders.states: is {shop.orders.status.name} it?"
        )
    elif known:
        yield well(STATES, f"{shop.orders.status.name} of {seen}: {known}")


def _unreadable(rows: Sequence[ReadRow], seen: str) -> Iterator[Remark]:
    problems = [row.row.problem for row in rows if isinstance(row.row, UnreadableOrder)]
    if not problems:
        yield well(SUBJECT, f"each of {seen} can be read")
        return
    (example, _), *_rest = Counter(problems).most_common(1)
    remedy = "correct the mapping of that column, or leave such rows out with shop.orders.where"
    said = f"{len(problems)} of {seen} cannot be read: {example}"
    yield fault(SUBJECT, said, remedy) if len(problems) * 2 > len(rows) else warning(SUBJECT, said, remedy)


def _numbers(sample: Sample, numbers: Sequence[str], shop: BoundShop) -> Iterator[Remark]:
    own = [row.number for row in sample.rows if row.number] if shop.attempts is None else list(numbers)
    twice = [(number, count) for number, count in Counter(own).most_common(SHOWN_MAX) if count > 1]
    if not twice:
        yield well(NUMBERS, f"none of the newest {len(own)} stands twice")
    elif shop.orders.is_shared_payment:
        yield well(NUMBERS, f"{twice[0][0]} and others stand on several rows, which shared_payment says they may")
    else:
        number, count = twice[0]
        said = f"{number} stands on {count} rows, and {len(twice) - 1} more so: no such order is ever moved"
        where = "shop.orders" if shop.attempts is None else "shop.attempts"
        remedy = f"is {where}.out_trade_no the column? Where one payment is for several rows, set shared_payment = true"
        yield warning(NUMBERS, said, remedy)


def _times(sample: Sample, shop: BoundShop, settings: Settings, now: datetime) -> Iterator[Remark]:
    """Find orders of the future: their times are of another zone than `shop.time_zone`, or of another clock."""
    times = [row.created_at for row in sample.rows if row.created_at is not None]
    ahead = [time - now for time in times if time > now + settings.ask.clock_tolerance]
    column = shop.orders.created_at.name
    if ahead:
        most = max(ahead)
        said = f"{len(ahead)} orders are from the future by {column}, by up to {_hours(most)}"
        remedy = (
            f"is shop.time_zone ({shop.zone}) the zone of {column}? A TIMESTAMP column is written in the zone of the "
            "shop's own connections: where that is another, say so by shop.session_time_zone"
        )
        yield fault(TIMES, said, remedy)
    elif times:
        yield well(TIMES, f"the newest order is {_hours(now - max(times))} old by {column}, read as {shop.zone}")


def _timeless(orders: int, shop: BoundShop) -> Iterator[Remark]:
    """Tell of orders that nobody will ever ask about."""
    if orders:
        column = shop.orders.created_at.name
        count = f"{orders} and more" if orders == TIMELESS_MAX else orders
        said = (
            f"{count} of those that wait for a payment, or were closed, have no readable {column}: they are never found"
        )
        remedy = f"have the shop fill {column} in; a table whose key is an integer that grows is walked by that"
        yield warning(TIMES, said, remedy)


async def _channels(inspection: Inspection, rows: Sequence[ReadRow], shop: BoundShop, seen: str) -> list[Remark]:
    """Judge the channel column: the attempts', where they have one of their own, else the orders'."""
    if shop.attempts is not None and shop.attempts.channel is not None:
        keys = [row.row.key for row in rows[:WITH_ATTEMPTS_MAX]]
        found = await inspection.with_attempts(shop, keys)
        strange = Counter(value for each in found for value in each.strangers)
        seen = seen if len(keys) == len(rows) else f"the newest {len(keys)} orders"
        return list(_strangers(strange, shop.attempts.channel.name, "have an attempt with", shop, seen))
    if shop.orders.channel is None:
        return []
    values = (row.channel_value or "NULL" for row in rows)
    strange = Counter(value for value in values if _is_strange(value, shop))
    return list(_strangers(strange, shop.orders.channel.name, "have", shop, seen))


def _strangers(strange: Counter[str], name: str, have: str, shop: BoundShop, seen: str) -> Iterator[Remark]:
    for value, count in strange.most_common(SHOWN_MAX):
        said = f"{count} of {seen} {have} {name} {value}, which no channel claims"
        said += "" if shop.asks_all_channels else ": nobody asks about them"
        yield warning(CHANNELS, said, "put it into a channel's shop_values, or into shop.ignore_channels")
    if not strange:
        yield well(CHANNELS, f"each {name} of {seen} is a channel's, or ignored")


def _is_strange(value: str, shop: BoundShop) -> bool:
    return value not in shop.channel_of and value not in shop.ignored


def _hours(span: timedelta) -> str:
    minutes = int(abs(span) / timedelta(minutes=1))
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"  # noqa: PLR2004 # an hour
