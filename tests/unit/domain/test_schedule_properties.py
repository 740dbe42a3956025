"""What holds for any list of ages and any moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.domain.schedule import JITTER_MAX, JITTER_SHARE, jittered, later_ages, next_ask, retry_after, share_of

CREATED = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
MUCH = settings(max_examples=150, deadline=None, database=None)
Ages = tuple[timedelta, ...]

AGES = st.lists(st.integers(1, 30 * 86400), min_size=1, max_size=16, unique=True).map(
    lambda seconds: tuple(timedelta(seconds=value) for value in sorted(seconds))
)
MOMENTS = st.integers(-86400, 40 * 86400).map(lambda seconds: CREATED + timedelta(seconds=seconds))
ANSWERED = st.one_of(st.none(), MOMENTS)
NUMBERS = st.text(min_size=1, max_size=64)
NEVER = datetime.max.replace(tzinfo=UTC)


@MUCH
@given(AGES, ANSWERED, MOMENTS, MOMENTS)
def test_the_next_ask_never_goes_back_as_time_passes(
    ages: Ages, answered: datetime | None, one: datetime, other: datetime
) -> None:
    sooner, later = sorted([one, other])
    first, second = (next_ask(CREATED, answered, now, ages) for now in (sooner, later))
    assert (first or NEVER) <= (second or NEVER)
    assert first is None or first >= sooner


@MUCH
@given(AGES, MOMENTS, MOMENTS, MOMENTS)
def test_the_next_ask_never_goes_back_as_answers_come(
    ages: Ages, one: datetime, other: datetime, now: datetime
) -> None:
    asks = [next_ask(CREATED, answered, now, ages) for answered in (None, *sorted([one, other]))]
    assert asks == sorted(asks, key=lambda at: at or NEVER)


@MUCH
@given(AGES, ANSWERED, MOMENTS)
def test_the_last_age_is_asked_for_until_it_is_answered(ages: Ages, answered: datetime | None, now: datetime) -> None:
    answered_the_last = answered is not None and answered >= CREATED + ages[-1]
    assert (next_ask(CREATED, answered, now, ages) is None) == answered_the_last


@MUCH
@given(AGES, ANSWERED, MOMENTS)
def test_what_is_overdue_is_asked_once_and_then_at_its_next_age(
    ages: Ages, answered: datetime | None, now: datetime
) -> None:
    at = next_ask(CREATED, answered, now, ages)
    if at is None or at > now:
        return
    assert at == now
    after = next_ask(CREATED, now, now, ages)
    ahead = [CREATED + age for age in ages if CREATED + age > now]
    assert after == (ahead[0] if ahead else None)


@MUCH
@given(AGES, MOMENTS, st.integers(0, 20 * 86400))
def test_an_outage_uses_up_nothing(ages: Ages, answered: datetime, outage_s: int) -> None:
    """Whatever passed unanswered, the first moment after it is an ask, if an age fell into it."""
    end = max(answered, CREATED) + timedelta(seconds=outage_s)
    passed = [age for age in ages if answered < CREATED + age <= end]
    if passed:
        assert next_ask(CREATED, answered, end, ages) == end


@MUCH
@given(AGES, NUMBERS)
def test_an_attempt_followed_to_its_end_is_asked_at_each_age_once(ages: Ages, number: str) -> None:
    plan = jittered(ages, number)
    asked: list[datetime] = []
    at = next_ask(CREATED, None, CREATED, plan)
    while at is not None:
        asked.append(at)
        assert len(asked) <= len(ages), "an age was asked twice"
        at = next_ask(CREATED, at, at, plan)
    assert asked == [CREATED + age for age in plan]


@MUCH
@given(AGES, NUMBERS)
def test_jitter_keeps_the_order_and_never_asks_before_an_age(ages: Ages, number: str) -> None:
    moved = jittered(ages, number)
    assert list(moved) == sorted(set(moved))
    assert moved[0] == ages[0]
    for age, later in zip(ages, moved, strict=True):
        assert age <= later <= age + min(age * JITTER_SHARE, JITTER_MAX)
    assert jittered(ages, number) == moved


@MUCH
@given(AGES, st.integers(0, 40 * 86400))
def test_later_ages_are_ages_and_hold_the_last(ages: Ages, late_from_s: int) -> None:
    late_from = timedelta(seconds=late_from_s)
    later = later_ages(ages, late_from)
    assert later[-1] == ages[-1]
    assert set(later) == {age for age in ages if age >= late_from} or later == ages[-1:]


@MUCH
@given(st.integers(0, 10**6), NUMBERS)
def test_back_off_only_grows_and_never_passes_its_limit(failures: int, number: str) -> None:
    assert timedelta(seconds=5) <= retry_after(failures, number) <= retry_after(failures + 1, number)
    assert retry_after(failures, number) <= timedelta(minutes=5) * 1.1
    assert 0 <= share_of(number) < 1
