"""Reviving a closed order needs more than agreement: each condition broken one at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from reconciler.domain.case import CaseKind
from reconciler.domain.decision import OpenCase, Settle
from reconciler.domain.money import Money
from reconciler.domain.order import OrderKey, OrderState
from reconciler.domain.policy import LatePayment

if TYPE_CHECKING:
    from tests.unit.domain.conftest import Scene

SECOND = timedelta(seconds=1)


@pytest.fixture
def closed(scene: Scene) -> Scene:
    """Give a closed order in a shop that revives, where everything allows it."""
    return scene.in_state("closed").with_policy(late_payment=LatePayment.REVIVE)


OBSTACLES: dict[str, tuple[str, Callable[[Scene], Scene]]] = {
    "the setting": ("settle.late_payment", lambda s: s.with_policy(late_payment=LatePayment.CASE)),
    "a shop that keeps neither column": (
        "neither transaction nor paid time",
        lambda s: s.with_policy(keeps_transaction_id=False, keeps_paid_at=False),
    ),
    "a transaction in the row": ("earlier payment", lambda s: s.with_order(transaction_id="T0")),
    "this very transaction in the row": ("earlier payment", lambda s: s.with_order(transaction_id="T1")),
    "a paid time in the row": ("earlier payment", lambda s: s.with_order(paid_at=s.order.created_at)),
    "seen paid before": ("seen paid before", lambda s: s.with_history(was_paid=True)),
    "an old payment": (
        "revive_within",
        lambda s: s.with_trade(paid_at=s.now - timedelta(minutes=20) - SECOND).with_policy(
            revive_within=timedelta(minutes=20)
        ),
    ),
}


def test_a_closed_order_is_revived_where_everything_allows_it(closed: Scene) -> None:
    assert closed.decide() == Settle(closed.trade, revives=True, why="every fact agrees")


@pytest.mark.parametrize(("words", "change"), OBSTACLES.values(), ids=OBSTACLES)
def test_one_obstacle_makes_a_late_payment_a_case(closed: Scene, words: str, change: Callable[[Scene], Scene]) -> None:
    decision = change(closed).decide()
    assert isinstance(decision, OpenCase)
    assert decision.kind is CaseKind.LATE_PAYMENT
    assert words in decision.why


@pytest.mark.parametrize("kept", ["keeps_transaction_id", "keeps_paid_at"])
def test_one_of_the_two_columns_is_enough_to_revive(closed: Scene, kept: str) -> None:
    other = {"keeps_transaction_id": "keeps_paid_at", "keeps_paid_at": "keeps_transaction_id"}[kept]
    assert closed.with_policy(**{other: False}).word() == "Settle"


def test_a_payment_exactly_as_old_as_allowed_is_revived(closed: Scene) -> None:
    assert closed.with_policy(revive_within=timedelta(minutes=10)).word() == "Settle"


def test_a_revived_order_is_reviewed_like_any_other(closed: Scene) -> None:
    assert closed.with_policy(review_over=Money(1)).word() == "needs_review"


def test_the_case_shows_the_shops_own_status_and_both_amounts(closed: Scene) -> None:
    decision = closed.with_order(status="-1").with_policy(late_payment=LatePayment.CASE).decide()
    assert isinstance(decision, OpenCase)
    assert [(fact.name, fact.theirs, fact.ours) for fact in decision.facts] == [
        ("state", "paid", "closed (status -1): settle.late_payment leaves it to a person"),
        ("amount", "CNY 99.00", "CNY 99.00"),
        ("transaction_id", "T1", "of A1-1"),
        ("paid_at", decision.facts[3].theirs, "created 2026-11-23T04:00:00+00:00"),
    ]


@pytest.mark.parametrize("state", [OrderState.PENDING, OrderState.CLOSED])
def test_an_earlier_payment_on_any_row_of_a_group_keeps_it_from_being_revived(closed: Scene, state: OrderState) -> None:
    second = replace(closed.order, key=OrderKey("2"), order_no="A2", state=state, amount=Money(100))
    group = closed.with_policy(shared_payment=True).with_trade(amount=Money(10000))
    assert group.with_holders(closed.order, second).word() == "Settle"
    assert group.with_holders(closed.order, replace(second, transaction_id="T0")).word() == "late_payment"
    assert group.with_holders(closed.order, replace(second, paid_at=closed.now)).word() == "late_payment"


def test_a_group_of_pending_and_closed_orders_is_revived_as_a_whole(closed: Scene) -> None:
    pending = replace(closed.order, key=OrderKey("2"), order_no="A2", state=OrderState.PENDING, amount=Money(100))
    group = closed.with_policy(shared_payment=True).with_trade(amount=Money(10000)).with_holders(pending, closed.order)
    decision = group.decide()
    assert isinstance(decision, Settle)
    assert decision.revives
