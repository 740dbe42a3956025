"""Where one decision ends and the next begins: each limit from both its sides, and what hangs on one fact alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.domain.case import CaseKind
from reconciler.domain.decide import when_next
from reconciler.domain.decision import AskAgain, Decision, Done, OpenCase, Pace
from reconciler.domain.money import Money
from reconciler.domain.order import OrderKey
from reconciler.domain.schedule import PROBE_EVERY
from reconciler.domain.trust import FRESH_WITHIN
from tests.unit.domain.conftest import Scene

SECOND = timedelta(seconds=1)


def _next(scene: Scene, decision: Decision) -> timedelta | None:
    """Say at what age the attempt is asked again."""
    at = when_next(decision, scene.subject, scene.policy, scene.now, 1)
    return None if at is None else at - scene.attempt.created_at


# ----------------------------------------------------------------------------------------------------------- freshness


@pytest.mark.parametrize(("age", "expected"), [(FRESH_WITHIN, "Settle"), (FRESH_WITHIN + SECOND, "soon")])
def test_an_answer_is_fresh_up_to_its_limit(scene: Scene, age: timedelta, expected: str) -> None:
    assert replace(scene, age_of_reply=age).word() == expected


def test_nothing_moves_before_the_rows_are_read_and_they_are_read_soon(scene: Scene) -> None:
    assert scene.with_holders().word() == "soon"
    assert scene.with_order(key=OrderKey("2")).word() == "soon"


# -------------------------------------------------------------------------------------------------------------- review


@pytest.mark.parametrize(("fen", "expected"), [(9899, "needs_review"), (9900, "Settle"), (9901, "Settle")])
def test_an_attempt_for_less_than_its_order_is_reviewed_and_no_other(scene: Scene, fen: int, expected: str) -> None:
    assert scene.with_attempt(amount=Money(fen)).with_trade(amount=Money(fen)).word() == expected


@pytest.mark.parametrize(("carried", "expected"), [(None, "Settle"), ("T1", "Settle"), ("T0", "needs_review")])
def test_a_waiting_order_that_carries_another_transaction_is_reviewed(
    scene: Scene, carried: str | None, expected: str
) -> None:
    assert scene.with_order(transaction_id=carried).word() == expected


# ------------------------------------------------------------------------------------------------------- a paid order


def test_a_paid_order_whose_payment_moved_another_goes_to_a_person(scene: Scene) -> None:
    paid = scene.in_state("paid")
    assert paid.with_history(transaction_moved=OrderKey("9")).word() == "ambiguous_number"
    assert isinstance(paid.with_history(transaction_moved=scene.order.key).decide(), Done)


def test_a_payment_that_is_shared_may_have_moved_the_other_order(scene: Scene) -> None:
    shared = scene.in_state("paid").with_policy(shared_payment=True)
    assert isinstance(shared.with_history(transaction_moved=OrderKey("9")).decide(), Done)


# ------------------------------------------------------------------------------------- paid before, and closed by now


@pytest.mark.parametrize(("state", "expected"), [("pending", "refunded_while_pending"), ("closed", "refund_unclear")])
@pytest.mark.parametrize("closes", [False, True])
def test_a_close_after_a_payment_is_a_refund_not_a_close(scene: Scene, state: str, expected: str, closes: bool) -> None:
    paid_before = scene.in_state(state).with_policy(closes_orders=closes).with_history(last_verified="Paid")
    assert paid_before.word(scene.answer_named("Closed")) == expected


@pytest.mark.parametrize("last", [None, "Unpaid", "NotCreated", "Closed"])
def test_a_close_after_anything_else_is_a_close(scene: Scene, last: str | None) -> None:
    closing = scene.with_policy(closes_orders=True).with_history(last_verified=last)
    assert closing.word(scene.answer_named("Closed")) == "CloseOrder"
    assert closing.in_state("closed").word(scene.answer_named("Closed")) == "Stop"


# --------------------------------------------------------------------------------------------------------- what is next


@pytest.mark.parametrize(
    "decision", [AskAgain(".", Pace.PROBE), OpenCase(CaseKind.UNASKABLE, ".", (), Pace.PROBE)], ids=["again", "a case"]
)
def test_a_probe_keeps_to_the_ages_and_then_comes_once_a_day(scene: Scene, decision: Decision) -> None:
    assert _next(scene, decision) == _next(scene, AskAgain(".", Pace.AGES))
    late = scene.at_age(timedelta(hours=72))
    assert _next(late, decision) == timedelta(hours=72) + PROBE_EVERY


def test_the_first_age_is_kept_to_the_second_and_every_other_is_moved(scene: Scene) -> None:
    new, older = scene.at_age(timedelta(0)), scene.at_age(30 * SECOND)
    numbers = [f"A{number}" for number in range(20)]
    first = {_next(new.with_attempt(out_trade_no=number), AskAgain(".")) for number in numbers}
    second = {_next(older.with_attempt(out_trade_no=number), AskAgain(".")) for number in numbers}
    assert first == {30 * SECOND}
    assert len(second) == len(numbers)


def test_the_first_of_the_later_ages_is_moved_like_any_other(scene: Scene) -> None:
    """Thousands of orders may be closed or paid at one moment: their later asks do not fall on one second."""
    numbers = [f"A{number}" for number in range(20)]
    later = {_next(scene.with_attempt(out_trade_no=number), AskAgain(".", Pace.LATER_AGES)) for number in numbers}
    assert len(later) == len(numbers)
    assert min(age for age in later if age is not None) > timedelta(hours=1)
