"""What is unusual, and above all what is not."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from reconciler.domain.unusual import (
    HITS_MIN,
    HOURS_MIN,
    OF_MIN,
    STUCK_MIN,
    Range,
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

DAYS = 14
FORTNIGHT = DAYS * 24
SHARES = st.integers(0, 2000).flatmap(lambda of: st.builds(Share, st.integers(0, of), st.just(of)))
PASTS = st.lists(SHARES, max_size=40)
QUIET = st.integers(0, OF_MIN - 1).flatmap(lambda of: st.builds(Share, st.integers(0, of), st.just(of)))
BUSY = st.integers(OF_MIN, 80).flatmap(lambda of: st.builds(Share, st.integers(0, of), st.just(of)))
BUSY_PASTS = st.lists(BUSY, min_size=HOURS_MIN, max_size=30)
NUMBERS = st.lists(st.integers(0, 500), min_size=HOURS_MIN, max_size=60)


@given(PASTS, QUIET)
def test_an_hour_with_few_payments_is_never_unusual(past: list[Share], now: Share) -> None:
    assert not is_share_unusual(now, usual_share(past))


@given(PASTS, st.integers(0, HITS_MIN - 1), st.integers(0, 10_000))
def test_a_few_are_never_unusual_of_however_many(past: list[Share], hits: int, of: int) -> None:
    assume(hits <= of)
    assert not is_share_unusual(Share(hits, of), usual_share(past))


@given(st.lists(SHARES, max_size=HOURS_MIN - 1), SHARES)
def test_without_a_past_nothing_is_unusual(past: list[Share], now: Share) -> None:
    assert usual_share(past) is None
    assert not is_share_unusual(now, usual_share(past))


@given(st.lists(QUIET, min_size=HOURS_MIN, max_size=40), SHARES)
def test_a_past_of_quiet_hours_is_no_past(past: list[Share], now: Share) -> None:
    assert not is_share_unusual(now, usual_share(past))


@given(BUSY_PASTS, BUSY)
def test_more_lost_of_as_many_is_not_less_unusual(past: list[Share], now: Share) -> None:
    usual = usual_share(past)
    verdicts = [is_share_unusual(Share(hits, now.of), usual) for hits in range(now.of + 1)]
    assert all(later or not earlier for earlier, later in pairwise(verdicts))


@given(BUSY_PASTS, BUSY)
def test_what_is_unusual_is_not_usual_again_at_the_same_time(past: list[Share], now: Share) -> None:
    usual = usual_share(past)
    assert not (is_share_unusual(now, usual) and is_share_usual_again(now, usual))


@given(st.integers(0, 1000), st.integers(OF_MIN, 1000))
def test_where_every_hour_was_alike_one_more_is_not_unusual(hits: int, of: int) -> None:
    assume(hits <= of)
    usual = usual_share([Share(hits, of)] * 100)
    assert not is_share_unusual(Share(min(hits + 1, of), of), usual)


@given(st.integers(0, 5000))
def test_where_the_number_was_always_alike_one_more_is_not_unusual(stuck: int) -> None:
    assert not is_number_unusual(stuck + 1, usual_number([stuck] * 100))


@given(BUSY_PASTS)
def test_the_range_does_not_hang_on_the_worst_tenth(past: list[Share]) -> None:
    """Outliers, as many as a tenth of the hours, move its edge no further than the hours beside them have been."""
    usual = usual_share([Share(2, 100)] * (9 * len(past)) + past)
    assert usual == Range(0.02, 0.02, 0.04)


@given(NUMBERS, st.integers(0, 2000))
def test_a_larger_number_is_not_less_unusual(past: list[int], stuck: int) -> None:
    usual = usual_number(past)
    assert is_number_unusual(stuck + 1, usual) or not is_number_unusual(stuck, usual)
    assert not (is_number_unusual(stuck, usual) and is_number_usual_again(stuck, usual))


@given(NUMBERS, st.integers(0, STUCK_MIN - 1))
def test_few_stuck_orders_are_never_unusual(past: list[int], stuck: int) -> None:
    assert not is_number_unusual(stuck, usual_number(past))


@pytest.mark.parametrize(
    ("hits", "of", "unusual"),
    [(41, 60, True), (9, 60, True), (8, 60, False), (5, 20, False), (6, 20, True), (30, 1000, False), (45, 1000, True)],
)
def test_a_shop_that_loses_none_is_told_when_it_does(hits: int, of: int, unusual: bool) -> None:
    assert is_share_unusual(Share(hits, of), usual_share([Share(0, 60)] * 100)) is unusual


@pytest.mark.parametrize(("stuck", "unusual"), [(9, False), (13, False), (14, True)])
def test_a_shop_where_nothing_is_stuck_is_told_when_it_is(stuck: int, unusual: bool) -> None:
    assert is_number_unusual(stuck, usual_number([0] * 100)) is unusual


@pytest.mark.parametrize(("part", "of"), [(0.02, 30), (0.02, 500), (0.1, 60), (0.3, 200), (0.0, 100)])
def test_a_shop_as_it_always_is_stays_quiet_for_a_year(part: float, of: int) -> None:
    dice = random.Random(7)  # noqa: S311 # a die
    hours = [Share(sum(dice.random() < part for _ in range(of)), of) for _ in range(FORTNIGHT)]
    usual = usual_share(hours)
    year = [Share(sum(dice.random() < part for _ in range(of)), of) for _ in range(500)]
    assert not any(is_share_unusual(hour, usual) for hour in year)


def test_nights_that_are_always_worse_are_usual() -> None:
    hours = [Share(12, 100) if at % 24 < 5 else Share(2, 100) for at in range(FORTNIGHT)]
    assert not is_share_unusual(Share(14, 100), usual_share(hours))
    assert is_share_unusual(Share(40, 100), usual_share(hours))


def test_the_words_have_the_figures() -> None:
    past = [Share(2, 100)] * 80 + [Share(7, 100)] * 20
    assert (
        share_in_words(Share(41, 60), usual_share(past), DAYS)
        == "41 of 60 in the last hour, usually 2.0 %, at most 7.0 % in nine of ten hours of 14 days"
    )
    assert number_in_words(63, usual_number([2] * 100), DAYS) == (
        "63 now, usually 2, at most 2 in nine of ten hours of 14 days"
    )
    assert "too little is known" in share_in_words(Share(1, 2), None, DAYS)
    assert "too little is known" in number_in_words(1, None, DAYS)


def test_what_was_always_lost_is_usual() -> None:
    usual = usual_share([Share(60, 60)] * 100)
    assert not is_share_unusual(Share(60, 60), usual)
    assert is_share_usual_again(Share(60, 60), usual)


def test_too_few_events_do_not_end_what_is_unusual() -> None:
    usual = usual_share([Share(0, 60)] * 100)
    assert not is_share_usual_again(Share(0, OF_MIN // 2 - 1), usual)
    assert is_share_usual_again(Share(0, OF_MIN // 2), usual)
