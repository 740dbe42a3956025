"""Since when an order stands in a status, and when that is too long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from reconciler.domain.case import CaseKind, digest_of
from reconciler.domain.money import Money
from reconciler.domain.order import Order, OrderKey, OrderState, UnreadableOrder
from reconciler.domain.stay import Stay, StayPolicy, ending_of, fact_of, is_over, told_by

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
POLICY = StayPolicy({"2": 10 * MINUTE, "3": timedelta(days=14), "1": timedelta(days=1)}, "2", "1")
MOMENTS = st.integers(0, 10**6).map(lambda s: NOW + timedelta(seconds=s))


def order(status: str = "2", *, paid: timedelta | None = None, created: timedelta = 60 * MINUTE) -> Order:
    """Make a row, its times as long ago."""
    paid_at = NOW - paid if paid is not None else None
    return Order(OrderKey("1"), "A1", OrderState.PAID, status, Money(100), NOW - created, paid_at=paid_at)


def test_a_paid_order_stands_there_since_its_paid_time() -> None:
    assert told_by(order(paid=9 * MINUTE), POLICY, NOW) == Stay("2", NOW - 9 * MINUTE, "its paid time")


def test_without_a_paid_time_the_row_tells_nothing() -> None:
    assert told_by(order(), POLICY, NOW) is None


def test_the_paid_time_tells_nothing_of_a_later_status() -> None:
    """Paid a week ago, shipped just now."""
    assert told_by(order("3", paid=timedelta(days=7), created=timedelta(days=8)), POLICY, NOW) is None


def test_an_order_that_waits_stands_there_since_its_creation() -> None:
    assert told_by(order("1", created=5 * MINUTE), POLICY, NOW) == Stay("1", NOW - 5 * MINUTE, "its creation")


def test_a_paid_time_before_the_creation_counts_from_the_creation() -> None:
    stay = told_by(order(paid=timedelta(days=400), created=MINUTE), POLICY, NOW)
    assert stay is not None
    assert stay.since == NOW - MINUTE


def test_a_time_to_come_is_believed_within_the_tolerance_alone() -> None:
    assert told_by(order(paid=-10 * MINUTE), POLICY, NOW) == Stay("2", NOW + 10 * MINUTE, "its paid time")
    assert told_by(order(paid=-11 * MINUTE), POLICY, NOW) is None


def test_a_row_that_cannot_be_read_tells_nothing() -> None:
    row = UnreadableOrder(OrderKey("1"), "A1", OrderState.PAID, "2", "amount: NULL", NOW)
    assert told_by(row, POLICY, NOW) is None


def test_an_order_may_stay_for_exactly_as_long_as_the_limit() -> None:
    stay = Stay("2", NOW, "x")
    assert not is_over(stay, POLICY, NOW + 10 * MINUTE)
    assert is_over(stay, POLICY, NOW + 10 * MINUTE + timedelta(microseconds=1))


def test_a_status_without_a_limit_may_last_for_ever() -> None:
    assert not is_over(Stay("9", NOW, "x"), POLICY, NOW + timedelta(days=4000))


@given(MOMENTS, MOMENTS, MOMENTS)
def test_what_is_over_stays_over(since: datetime, now: datetime, later: datetime) -> None:
    stay = Stay("2", since, "x")
    now, later = sorted((now, later))
    assert not is_over(stay, POLICY, now) or is_over(stay, POLICY, later)


@given(MOMENTS, MOMENTS)
def test_a_stay_asks_one_question_whatever_the_limit_and_the_hour(since: datetime, other: datetime) -> None:
    digests = {digest_of(CaseKind.STALLED, (fact_of(Stay("2", at, by)),)) for at in (since, other) for by in "ab"}
    assert len(digests) == (1 if since == other else 2)


def test_what_ends_a_case() -> None:
    stay, later = Stay("2", NOW - 11 * MINUTE, "its paid time"), StayPolicy({"2": 12 * MINUTE}, "2")
    row = order(paid=11 * MINUTE)
    assert ending_of(stay, row, POLICY, NOW) == ""
    assert ending_of(stay, None, POLICY, NOW) == "its row is gone"
    assert ending_of(stay, order("3"), POLICY, NOW) == "it moved on to 3"
    assert ending_of(stay, row, StayPolicy(), NOW) == "processing_limits names 2 no more"
    assert ending_of(stay, row, later, NOW) == "it is within the limit of 2 that holds now"
    assert "within" in ending_of(stay, order(paid=MINUTE), POLICY, NOW), "staff corrected the paid time"
