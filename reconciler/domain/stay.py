"""How long an order may stay in a status of the shop's own, and since when it stands there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from reconciler.domain.case import Fact
from reconciler.domain.order import Order, Row


@dataclass(frozen=True, slots=True)
class StayPolicy:
    """The limits, by the shop's own values, and which of those a row itself tells the beginning of."""

    limits: Mapping[str, timedelta] = field(default_factory=dict)
    settled_status: str = ""
    """What a confirmed payment makes of an order: the paid time tells since when. Of a later status it tells nothing:
    an order that was paid a week ago may have been shipped just now."""
    first_status: str = ""
    """What an order begins in, where the shop has one such value alone: its creation tells since when."""
    clock_tolerance: timedelta = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Stay:
    """Since when an order stands in a status, and how that is known."""

    status: str
    since: datetime
    by: str
    """In words: `its paid time`."""


def told_by(row: Row, policy: StayPolicy, now: datetime) -> Stay | None:
    """Give the stay that the row itself tells of; None where it does not, or tells of a time to come."""
    if not isinstance(row, Order):
        return None
    if row.status == policy.settled_status and row.paid_at is not None:
        # paid before it was made: a clock is off, and the later of the two errs to the quiet side
        told = Stay(row.status, max(row.paid_at, row.created_at), "its paid time")
    elif row.status == policy.first_status:
        told = Stay(row.status, row.created_at, "its creation")
    else:
        return None
    return told if told.since <= now + policy.clock_tolerance else None


def is_over(stay: Stay, policy: StayPolicy, now: datetime) -> bool:
    """Whether it has lasted longer than it may; a status without a limit may last for ever."""
    limit = policy.limits.get(stay.status)
    return limit is not None and now - stay.since > limit


def fact_of(stay: Stay) -> Fact:
    """Lay beside each other what is expected and what is: the same for as long as the stay lasts."""
    since = stay.since.isoformat(timespec="seconds")
    return Fact("status", f"moves on from {stay.status}", f"{stay.status} since {since}")


def ending_of(stay: Stay, row: Row | None, policy: StayPolicy, now: datetime) -> str:
    """Say why an order is stalled no more; nothing where it is."""
    if row is None:
        return "its row is gone"
    if row.status != stay.status:
        return f"it moved on to {row.status}"
    if stay.status not in policy.limits:
        return f"processing_limits names {stay.status} no more"
    if not is_over(told_by(row, policy, now) or stay, policy, now):
        return f"it is within the limit of {stay.status} that holds now"
    return ""
