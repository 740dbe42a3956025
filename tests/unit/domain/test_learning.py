"""Learning the ages: as little waiting as the asks allow."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from reconciler.domain.learning import FIRST_AGE, PAYMENTS_MIN, POINTS, Payments, learned_ages
from reconciler.domain.policy import DEFAULT_AGES

LAST = DEFAULT_AGES[-1]
MINUTE = timedelta(minutes=1)


def seen(*delays: timedelta, times: int = 200, orders: int = 1000, paid: int = 750) -> Payments:
    return Payments(delays * (times // len(delays)), orders, paid)


def asks(ages: Sequence[timedelta], payments: Payments) -> float:
    """Count the asks an order, as plainly as can be: who has not paid by an age is asked about."""
    share, count = payments.paid / payments.orders, len(payments.delays)
    return sum(1 - share * sum(delay <= age for delay in payments.delays) / count for age in ages)


def waited(ages: Sequence[timedelta], payments: Payments) -> timedelta:
    """Sum up how long the payments seen would have waited."""
    waits = (next(age for age in ages if age >= delay) - delay for delay in payments.delays)
    return sum(waits, timedelta(0))


MIXED = seen(*(timedelta(seconds=20 + 3 * number) for number in range(100)), 20 * MINUTE, 90 * MINUTE, times=102)


@pytest.mark.parametrize("count", [0, PAYMENTS_MIN - 1])
def test_too_few_payments_teach_nothing(count: int) -> None:
    assert learned_ages(Payments((MINUTE,) * count, 1000, 750), 4.0, LAST) is None
    assert learned_ages(Payments((MINUTE,) * PAYMENTS_MIN, 1000, 750), 4.0, LAST) is not None


@pytest.mark.parametrize("per_order", [0.5, 1.0, 2.0, 4.0, 8.0, 20.0])
def test_the_ages_ascend_from_the_first_to_the_last_that_there_may_be(per_order: float) -> None:
    ages = learned_ages(MIXED, per_order, LAST)
    assert ages
    assert list(ages) == sorted(set(ages))
    assert ages[0] >= FIRST_AGE
    assert ages[-1] == LAST
    assert len(ages) <= POINTS


@pytest.mark.parametrize(("per_order", "used"), [(1.0, 0.75), (2.0, 0.85), (4.0, 0.93), (8.0, 0.93)])
def test_they_cost_no_more_than_is_allowed_and_use_most_of_it(per_order: float, used: float) -> None:
    ages = learned_ages(MIXED, per_order, LAST)
    assert ages
    assert used * per_order <= asks(ages, MIXED) <= 1.05 * per_order  # what is unseen, and the spread, move it a little


def test_the_last_age_stays_even_where_it_costs_more_than_is_allowed() -> None:
    nobody_pays = seen(MINUTE, paid=10)
    assert learned_ages(nobody_pays, 0.5, LAST) == (LAST,)


def test_more_asks_let_payments_wait_less() -> None:
    lists = [learned_ages(MIXED, per_order, LAST) for per_order in (1.0, 2.0, 4.0, 8.0)]
    waits = [waited(ages, MIXED) for ages in lists if ages]
    assert len(waits) == 4
    assert waits == sorted(waits, reverse=True)


def test_it_waits_less_than_the_default_list_for_as_many_asks() -> None:
    ages = learned_ages(MIXED, asks(DEFAULT_AGES, MIXED), LAST)
    assert ages
    assert waited(ages, MIXED) < waited(DEFAULT_AGES, MIXED)


@pytest.mark.parametrize("at", [timedelta(seconds=40), 7 * MINUTE, 50 * MINUTE])
def test_it_asks_soon_after_buyers_pay(at: timedelta) -> None:
    ages = learned_ages(seen(at), 3.0, LAST)
    assert ages
    assert min(age - at for age in ages if age >= at) <= at * 0.2


def test_where_nobody_was_seen_paying_it_still_looks_now_and_then() -> None:
    ages = learned_ages(seen(MINUTE), 4.0, LAST)
    assert ages
    assert any(timedelta(hours=1) < age < timedelta(hours=30) for age in ages)


def test_the_order_in_which_payments_were_seen_makes_no_difference() -> None:
    turned = Payments(MIXED.delays[::-1], MIXED.orders, MIXED.paid)
    assert learned_ages(turned, 4.0, LAST) == learned_ages(MIXED, 4.0, LAST)


def test_of_very_many_payments_those_in_even_steps_are_weighed() -> None:
    many = Payments(MIXED.delays * 100, MIXED.orders, MIXED.paid)
    few = learned_ages(MIXED, 4.0, LAST)
    assert few
    ages = learned_ages(many, 4.0, LAST)
    assert ages
    assert asks(ages, MIXED) == pytest.approx(asks(few, MIXED), rel=0.2)
