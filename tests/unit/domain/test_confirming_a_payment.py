"""What else must hold when every fact agrees: grace, review, one payment for one order, shared payments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.domain.case import CaseKind
from reconciler.domain.decision import AskAt, OpenCase, Settle
from reconciler.domain.history import KnownAttempt, Settlement
from reconciler.domain.money import Money
from reconciler.domain.order import Order, OrderKey, OrderState, UnreadableOrder
from tests.unit.domain.conftest import Scene, digests_of

SECOND = timedelta(seconds=1)
Change = Callable[["Scene"], "Scene"]


def _second(scene: Scene, state: OrderState = OrderState.PENDING) -> Order:
    return replace(scene.order, key=OrderKey("2"), order_no="A2", amount=Money(100), state=state)


def _shared(scene: Scene, state: OrderState = OrderState.PENDING) -> Scene:
    """Two orders, ¥99.00 and ¥1.00, that one payment of ¥100.00 is for."""
    shared = scene.with_policy(shared_payment=True).with_trade(amount=Money(10000))
    return shared.with_holders(scene.order, _second(scene, state))


def test_a_payment_in_full_agreement_settles_with_the_gateways_own_trade(scene: Scene) -> None:
    assert scene.decide() == Settle(scene.trade, revives=False, why="every fact agrees")


# --------------------------------------------------------------------------------------------------------------- grace


@pytest.mark.parametrize("state", ["pending", "closed"])
def test_a_fresh_payment_is_left_to_its_callback_until_the_grace_has_passed(scene: Scene, state: str) -> None:
    paid_at = scene.now - timedelta(seconds=9)
    decision = scene.in_state(state).with_trade(paid_at=paid_at).decide()
    assert isinstance(decision, AskAt)
    assert decision.at == paid_at + timedelta(seconds=10)


def test_the_grace_ends_on_its_second(scene: Scene) -> None:
    assert scene.with_trade(paid_at=scene.now - timedelta(seconds=10)).word() == "Settle"


def test_a_fresh_payment_of_the_wrong_amount_is_a_case_at_once(scene: Scene) -> None:
    assert scene.with_trade(paid_at=scene.now, amount=Money(1)).word() == "amount_mismatch"


# -------------------------------------------------------------------------------------------------------------- review


@pytest.mark.parametrize(("over", "expected"), [(9899, "needs_review"), (9900, "Settle"), (9901, "Settle")])
def test_a_payment_over_the_limit_goes_to_a_person_first(scene: Scene, over: int, expected: str) -> None:
    assert scene.with_policy(review_over=Money(over)).word() == expected


def test_a_limit_of_nothing_reviews_every_payment(scene: Scene) -> None:
    assert scene.with_policy(review_over=Money(0)).word() == "needs_review"


@pytest.mark.parametrize(("late", "expected"), [(SECOND, "needs_review"), (timedelta(0), "Settle")])
def test_an_old_payment_goes_to_a_person_first(scene: Scene, late: timedelta, expected: str) -> None:
    old = scene.at_age(timedelta(hours=13))
    assert old.with_trade(paid_at=old.now - timedelta(hours=12) - late).word() == expected


@pytest.mark.parametrize("flag", ["credit_pay_mode", "additional_status"])
def test_a_flag_that_puts_the_money_in_doubt_goes_to_a_person_first(scene: Scene, flag: str) -> None:
    decision = scene.with_trade(flags=(flag,)).decide()
    assert isinstance(decision, OpenCase)
    assert decision.kind is CaseKind.NEEDS_REVIEW
    assert [fact.name for fact in decision.facts if not fact.agrees] == [flag]


def test_every_reason_for_a_review_is_shown(scene: Scene) -> None:
    old = scene.at_age(timedelta(hours=13)).with_policy(review_over=Money(1))
    decision = old.with_trade(flags=("credit_pay_mode",), paid_at=old.now - timedelta(hours=12, minutes=30)).decide()
    assert isinstance(decision, OpenCase)
    assert [fact.name for fact in decision.facts if not fact.agrees] == ["credit_pay_mode", "amount", "paid_at"]


# -------------------------------------------------------------------------------------------------------------- waived


def test_what_needed_a_review_settles_once_it_is_waived(scene: Scene) -> None:
    reviewed = scene.with_policy(review_over=Money(1))
    assert reviewed.with_history(waived=digests_of(reviewed)).word() == "Settle"


def test_a_late_payment_settles_once_it_is_waived(scene: Scene) -> None:
    closed = scene.in_state("closed")
    approved = closed.with_history(waived=digests_of(closed))
    assert approved.decide() == Settle(scene.trade, revives=True, why="every fact agrees")


def test_waiving_another_question_waives_neither_review_nor_late_payment(scene: Scene) -> None:
    reviewed, closed = scene.with_policy(review_over=Money(1)), scene.in_state("closed")
    assert reviewed.with_history(waived=digests_of(closed)).word() == "needs_review"
    assert closed.with_history(waived=digests_of(reviewed)).word() == "late_payment"


def test_a_late_payment_that_is_waived_may_still_need_a_review(scene: Scene) -> None:
    late = scene.in_state("closed").with_policy(review_over=Money(1))
    assert late.with_history(waived=digests_of(late)).word() == "needs_review"


BEYOND_APPROVAL: dict[str, Change] = {
    "settled once": lambda s: s.with_history(settled=Settlement(s.attempt.channel, "A1-1", "T1")),
    "settled by another": lambda s: s.with_history(settled=Settlement(s.attempt.channel, "A1-2", "T0")),
    "moved another order": lambda s: s.with_history(transaction_moved=OrderKey("9")),
    "resolved for good": lambda s: s.with_history(resolved_for_good=True),
    "two orders": lambda s: s.with_holders(s.order, _second(s)),
    "an unreadable order": lambda s: s.with_holders(s.unreadable()),
    "within the grace": lambda s: s.with_trade(paid_at=s.now),
}


@pytest.mark.parametrize("state", ["pending", "closed"])
@pytest.mark.parametrize("change", BEYOND_APPROVAL.values(), ids=BEYOND_APPROVAL)
def test_an_approval_is_no_blank_cheque(scene: Scene, state: str, change: Change) -> None:
    scene = scene.in_state(state)
    approved = change(scene).with_history(waived=digests_of(change(scene)))
    assert not isinstance(approved.decide(), Settle)


# ---------------------------------------------------------------------------------------------- one payment, one order


def test_an_order_settled_before_and_waiting_again_goes_to_a_person(scene: Scene) -> None:
    before = scene.with_history(settled=Settlement(scene.attempt.channel, "A1-1", "T1"))
    for state in ("pending", "closed"):
        decision = before.in_state(state).decide()
        assert isinstance(decision, OpenCase)
        assert decision.kind is CaseKind.NEEDS_REVIEW
        assert f"now it is {state} again" in decision.why


def test_an_order_that_another_payment_moved_is_not_moved_by_a_second(scene: Scene) -> None:
    decision = scene.with_history(settled=Settlement(scene.attempt.channel, "A1-2", "T0")).decide()
    assert isinstance(decision, OpenCase)
    assert decision.kind is CaseKind.DUPLICATE_PAYMENT
    assert (decision.facts[0].theirs, decision.facts[0].ours) == ("T1", "T0")


def test_a_payment_that_moved_another_order_moves_none_more(scene: Scene) -> None:
    decision = scene.with_history(transaction_moved=OrderKey("9")).decide()
    assert isinstance(decision, OpenCase)
    assert decision.kind is CaseKind.AMBIGUOUS_NUMBER
    assert "9" in decision.facts[0].ours


@pytest.mark.parametrize("state", ["pending", "closed"])
def test_what_a_person_resolved_for_good_is_not_moved(scene: Scene, state: str) -> None:
    decision = scene.in_state(state).with_history(resolved_for_good=True).decide()
    assert isinstance(decision, OpenCase)
    assert decision.kind is CaseKind.NEEDS_REVIEW
    assert "resolved this order for good" in decision.why


def test_open_cases_and_paid_siblings_do_not_hold_up_a_full_agreement(scene: Scene) -> None:
    history = {"open_cases": frozenset({CaseKind.UNANSWERED, CaseKind.AMOUNT_MISMATCH})}
    assert scene.with_history(**history).word() == "Settle"


# ------------------------------------------------------------------------------------------------------ shared numbers


def test_a_number_on_two_rows_is_ambiguous_whatever_their_states(scene: Scene) -> None:
    for state in OrderState:
        decision = scene.with_holders(scene.order, _second(scene, state)).decide()
        assert isinstance(decision, OpenCase)
        assert decision.kind is CaseKind.AMBIGUOUS_NUMBER
        assert [fact.name for fact in decision.facts] == ["order A1", "order A2"]


def test_a_number_shared_with_a_row_that_cannot_be_read_is_ambiguous(scene: Scene) -> None:
    assert scene.with_holders(scene.order, replace(scene.unreadable(), key=OrderKey("2"))).word() == "ambiguous_number"


@pytest.mark.parametrize("reverse", [False, True])
def test_orders_that_share_a_payment_settle_together_for_their_sum(scene: Scene, reverse: bool) -> None:
    shared = _shared(scene)
    holders = shared.holders or ()
    shared = shared.with_holders(*reversed(holders)) if reverse else shared
    assert shared.word() == "Settle"


@pytest.mark.parametrize("fen", [9900, 100, 9999, 10001])
def test_orders_that_share_a_payment_settle_for_nothing_but_their_sum(scene: Scene, fen: int) -> None:
    assert _shared(scene).with_trade(amount=Money(fen)).word() == "amount_mismatch"


@pytest.mark.parametrize("state", [OrderState.PAID, OrderState.REFUNDED, OrderState.UNKNOWN])
def test_a_group_of_which_a_part_was_moved_is_not_settled(scene: Scene, state: OrderState) -> None:
    assert _shared(scene, state).word() == "ambiguous_number"


@pytest.mark.parametrize("reverse", [False, True])
def test_a_group_with_a_row_that_cannot_be_read_is_not_settled(scene: Scene, reverse: bool) -> None:
    second = UnreadableOrder(OrderKey("2"), "A2", OrderState.PENDING, "0", "total: NULL")
    holders = (second, scene.order) if reverse else (scene.order, second)
    assert _shared(scene).with_holders(*holders).word() == "unreadable_order"


def test_a_group_with_a_closed_order_is_a_late_payment_as_a_whole(scene: Scene) -> None:
    assert _shared(scene, OrderState.CLOSED).word() == "late_payment"


def test_a_payment_that_moved_a_stranger_does_not_move_a_group(scene: Scene) -> None:
    assert _shared(scene).with_history(transaction_moved=OrderKey("9")).word() == "ambiguous_number"


def test_a_shop_with_shared_payments_settles_single_orders_as_any_other(scene: Scene) -> None:
    assert scene.with_policy(shared_payment=True).word() == "Settle"


# ------------------------------------------------------------------------------------------------------------ siblings


def test_an_unpaid_sibling_does_not_hold_up_a_payment(scene: Scene) -> None:
    sibling = KnownAttempt(scene.attempt.channel, "A1-2", "Unpaid")
    assert scene.with_history(others=(sibling,)).word() == "Settle"
