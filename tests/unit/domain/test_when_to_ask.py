"""When an attempt is asked next: ages, jitter, back-off, and what each decision does to the watch."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from reconciler.domain.case import CaseKind
from reconciler.domain.decide import when_next
from reconciler.domain.decision import (
    AskAgain,
    AskAt,
    CloseOrder,
    Decision,
    Done,
    OpenCase,
    Pace,
    PauseChannel,
    Settle,
    Stop,
)
from reconciler.domain.policy import DEFAULT_AGES
from reconciler.domain.schedule import JITTER_MAX, jittered, later_ages, next_ask, retry_after, share_of

if TYPE_CHECKING:
    from tests.unit.domain.conftest import Scene

CREATED = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
AGES = (30 * SECOND, MINUTE, 5 * MINUTE, HOUR)
FIRST_RETRY, LONGEST_RETRY = timedelta(seconds=5), timedelta(minutes=5)


@pytest.mark.parametrize(
    ("answered", "now", "due"),
    [
        (None, timedelta(0), 30 * SECOND),
        (None, 10 * SECOND, 30 * SECOND),
        (None, 30 * SECOND, 30 * SECOND),
        (None, 2 * MINUTE, 2 * MINUTE),
        (None, 48 * HOUR, 48 * HOUR),
        (29 * SECOND, 29 * SECOND, 30 * SECOND),
        (30 * SECOND, 30 * SECOND, MINUTE),
        (31 * SECOND, 31 * SECOND, MINUTE),
        (2 * MINUTE, 2 * MINUTE, 5 * MINUTE),
        (2 * MINUTE, 30 * MINUTE, 30 * MINUTE),
        (30 * MINUTE, 30 * MINUTE, HOUR),
        (2 * MINUTE, 20 * HOUR, 20 * HOUR),
        (HOUR - SECOND, 20 * HOUR, 20 * HOUR),
        (HOUR, HOUR, None),
        (HOUR, 20 * HOUR, None),
        (20 * HOUR, 20 * HOUR, None),
    ],
)
def test_the_next_ask_is_the_next_age_that_was_not_answered(
    answered: timedelta | None, now: timedelta, due: timedelta | None
) -> None:
    last_answered = None if answered is None else CREATED + answered
    expected = None if due is None else CREATED + due
    assert next_ask(CREATED, last_answered, CREATED + now, AGES) == expected


def test_an_attempt_from_a_shop_whose_clock_runs_ahead_waits_for_its_first_age() -> None:
    assert next_ask(CREATED, None, CREATED - HOUR, AGES) == CREATED + 30 * SECOND


def test_the_default_ages_are_those_of_the_design() -> None:
    minutes = (0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120, 240, 480, 960, 1440, 2880)
    assert tuple(age / MINUTE for age in DEFAULT_AGES) == minutes


@pytest.mark.parametrize(
    ("late_from", "expected"),
    [
        (timedelta(0), AGES),
        (MINUTE, AGES[1:]),
        (MINUTE + SECOND, AGES[2:]),
        (HOUR, AGES[3:]),
        (HOUR + SECOND, AGES[3:]),
    ],
)
def test_the_later_ages_start_at_their_age_and_always_hold_the_last(
    late_from: timedelta, expected: tuple[timedelta, ...]
) -> None:
    assert later_ages(AGES, late_from) == expected


def test_jitter_leaves_the_first_age_alone_and_moves_the_others_apart() -> None:
    moved = {jittered(AGES, f"A{number}") for number in range(50)}
    assert {ages[0] for ages in moved} == {AGES[0]}
    assert len(moved) == 50
    assert max(ages[-1] for ages in moved) - min(ages[-1] for ages in moved) > JITTER_MAX / 2


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [(0, 5), (1, 5), (2, 10), (3, 20), (4, 40), (5, 80), (6, 160), (7, 300), (8, 300), (10**9, 300)],
)
def test_back_off_doubles_from_five_seconds_to_five_minutes(failures: int, seconds: int) -> None:
    wait = retry_after(failures, "A1")
    assert timedelta(seconds=seconds) <= wait <= timedelta(seconds=seconds * 1.1)


def test_back_off_is_spread_by_the_number_itself() -> None:
    assert len({retry_after(3, f"A{number}") for number in range(50)}) == 50
    assert retry_after(3, "A1") == timedelta(seconds=20) * (1 + 0.1 * share_of("A1"))


# -------------------------------------------------------------------------------------------- what each decision does


def _next(scene: Scene, decision: Decision, failures: int = 1) -> timedelta | None:
    """Say after what wait the attempt is asked again."""
    at = when_next(decision, scene.subject, scene.policy, scene.now, failures)
    return None if at is None else at - scene.now


@pytest.mark.parametrize("decision", [Stop("."), Done("."), CloseOrder(".")])
def test_a_watch_ends_where_nothing_more_can_come(scene: Scene, decision: Decision) -> None:
    assert _next(scene, decision) is None


@pytest.mark.parametrize(
    "decision",
    [AskAgain(".", Pace.SOON), OpenCase(CaseKind.UNANSWERED, ".", (), Pace.SOON), PauseChannel(".")],
)
@pytest.mark.parametrize("age", [40 * MINUTE, 72 * HOUR])
def test_what_could_not_be_asked_is_asked_soon_however_old(scene: Scene, age: timedelta, decision: Decision) -> None:
    old = scene.at_age(age)
    assert FIRST_RETRY <= (_next(old, decision) or timedelta(0)) <= FIRST_RETRY * 1.1
    assert LONGEST_RETRY <= (_next(old, decision, failures=99) or timedelta(0)) <= LONGEST_RETRY * 1.1


@pytest.mark.parametrize("make", [lambda _: AskAgain("."), lambda _: OpenCase(CaseKind.LATE_PAYMENT, "."), None])
def test_the_next_age_of_an_attempt_forty_minutes_old_is_an_hour(scene: Scene, make: object) -> None:
    decision = make(scene) if callable(make) else Settle(scene.trade)
    wait = _next(scene, decision)
    assert wait is not None
    assert 20 * MINUTE <= wait <= 21 * MINUTE


def test_later_ages_skip_the_early_ones(scene: Scene) -> None:
    early = scene.at_age(2.5 * MINUTE)
    soonest, later = _next(early, AskAgain(".")), _next(early, AskAgain(".", Pace.LATER_AGES))
    assert soonest is not None
    assert later is not None
    assert 30 * SECOND <= soonest <= 39 * SECOND
    assert 57.5 * MINUTE <= later <= 58.5 * MINUTE


def test_a_case_with_later_ages_is_asked_at_them(scene: Scene) -> None:
    early = scene.at_age(2 * MINUTE)
    case = OpenCase(CaseKind.DUPLICATE_PAYMENT, ".", (), Pace.LATER_AGES)
    assert _next(early, case) == _next(early, AskAgain(".", Pace.LATER_AGES))


def test_a_fresh_payment_is_asked_about_at_the_moment_named(scene: Scene) -> None:
    moment = scene.now + timedelta(seconds=7)
    assert when_next(AskAt(moment, "."), scene.subject, scene.policy, scene.now, 1) == moment


@pytest.mark.parametrize("answer", ["Unpaid", "NotCreated"])
def test_an_answer_short_of_the_last_age_leads_to_it(scene: Scene, answer: str) -> None:
    late = scene.at_age(timedelta(hours=47, minutes=59))
    assert not late.ends(late.answer_named(answer))
    assert late.at_age(timedelta(hours=48, minutes=2)).ends(late.answer_named(answer))


@pytest.mark.parametrize("answer", ["Unavailable", "Throttled", "Untrusted", "Misconfigured"])
@pytest.mark.parametrize("state", ["pending", "closed", "paid", "refunded", "gone", "unmapped", "unreadable"])
def test_no_watch_ends_without_a_usable_answer(scene: Scene, state: str, answer: str) -> None:
    for age in (40 * MINUTE, 48 * HOUR, 480 * HOUR):
        there = scene.at_age(age).in_state(state)
        assert not there.ends(there.answer_named(answer), verified=False)
