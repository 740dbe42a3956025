"""What a hostile reading of the decisions turned up, and what was mended then."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from reconciler.domain.answer import Closed, Misconfigured, Trade, Untrusted
from reconciler.domain.decision import CloseOrder, OpenCase, Settle
from reconciler.domain.history import KnownAttempt
from reconciler.domain.money import AmountError, Money
from reconciler.domain.order import ChannelName, OrderKey
from reconciler.domain.policy import LatePayment
from tests.unit.domain.conftest import Scene, digests_of

LATE = timedelta(hours=49)


# ------------------------------------------------------------------------------------- a wrong order, or an order twice


def test_a_payment_is_not_settled_on_an_answer_that_lay_about_for_a_day(scene: Scene) -> None:
    """Promise 1: fresh. A daemon that was paused between ask and decision knows nothing of a refund since."""
    stale = replace(scene, age_of_reply=timedelta(hours=24), now=scene.now + timedelta(hours=24))
    stale = stale.with_policy(review_after=timedelta(days=9))
    assert not isinstance(stale.decide(), Settle)


def test_an_order_seen_paid_and_waiting_again_goes_to_a_person(scene: Scene) -> None:
    """Promise 2: the shop's callback moved it before; `settled` is empty, since we were not about to."""
    assert not isinstance(scene.with_history(was_paid=True).decide(), Settle)


def test_a_payment_that_moved_a_member_of_its_group_does_not_move_the_group_again(scene: Scene) -> None:
    second = replace(scene.order, key=OrderKey("2"), order_no="A2", amount=Money(100))
    shared = scene.with_policy(shared_payment=True).with_trade(amount=Money(10000)).with_holders(scene.order, second)
    assert not isinstance(shared.with_history(transaction_moved=OrderKey("2")).decide(), Settle)


def test_a_payment_that_moved_this_very_order_does_not_move_it_again(scene: Scene) -> None:
    assert not isinstance(scene.with_history(transaction_moved=scene.order.key).decide(), Settle)


def test_an_order_does_not_move_by_the_amount_of_another_row(scene: Scene) -> None:
    """The holders of the number are not this order: it carries the number no more."""
    stranger = replace(scene.order, key=OrderKey("2"), order_no="A2", amount=Money(1))
    assert not isinstance(scene.with_trade(amount=Money(1)).with_holders(stranger).decide(), Settle)


def test_nothing_moves_where_nobody_looked_who_else_carries_the_number(scene: Scene) -> None:
    assert not isinstance(scene.with_holders().decide(), Settle)


def test_the_row_of_another_order_does_not_move(scene: Scene) -> None:
    assert not isinstance(scene.with_order(key=OrderKey("2")).decide(), Settle)


def test_a_group_in_two_currencies_has_no_sum(scene: Scene) -> None:
    dollars = replace(scene.order, key=OrderKey("2"), order_no="A2", amount=Money(100, "USD"))
    shared = scene.with_policy(shared_payment=True).with_trade(amount=Money(10000)).with_holders(scene.order, dollars)
    assert not isinstance(shared.decide(), Settle)


def test_a_merchant_that_calls_itself_missing_does_not_agree_with_none(scene: Scene) -> None:
    sub = scene.with_trade(merchant=(*scene.trade.merchant, ("sub_mchid", "missing")))
    assert not isinstance(sub.decide(), Settle)


def test_an_approval_for_the_amount_does_not_waive_a_flag_that_came_later(scene: Scene) -> None:
    """A person waives what was shown to him. This flag was not."""
    large = scene.with_policy(review_over=Money(1))
    approved = large.with_history(waived=digests_of(large))
    assert isinstance(approved.decide(), Settle)
    assert not isinstance(approved.with_trade(flags=("additional_status",)).decide(), Settle)


def test_an_approved_late_payment_that_was_meanwhile_paid_otherwise_goes_back_to_the_person(scene: Scene) -> None:
    closed = scene.in_state("closed").with_policy(late_payment=LatePayment.REVIVE)
    late = closed.with_policy(late_payment=LatePayment.CASE)
    approved = late.with_history(waived=digests_of(late))
    assert isinstance(approved.decide(), Settle)
    assert not isinstance(approved.with_history(was_paid=True).decide(), Settle)
    assert not isinstance(approved.with_order(transaction_id="T0").decide(), Settle)


# ------------------------------------------------------------------------------------------------ an order in silence


@pytest.mark.parametrize("answer", ["Rejected", "Unrecognised"])
def test_no_watch_ends_on_an_answer_that_says_nothing_of_the_trade(scene: Scene, answer: str) -> None:
    late = scene.at_age(LATE)
    assert not late.ends(late.answer_named(answer), verified=False)


@pytest.mark.parametrize("state", ["paid", "gone", "unmapped", "unreadable"])
def test_no_watch_of_a_channel_in_doubt_ends_whatever_the_order(scene: Scene, state: str) -> None:
    late = scene.at_age(LATE).in_state(state).with_history(channel_in_doubt=True)
    assert not late.ends(late.answer_named("NotCreated"), verified=False)


def test_a_second_payment_of_a_refunded_order_is_found_by_its_siblings(scene: Scene) -> None:
    """As it is for a paid one: where the row keeps no transaction, the ledger's counts."""
    refunded = scene.in_state("refunded").with_order(transaction_id=None)
    sibling = KnownAttempt(ChannelName("alipay-main"), "A1-2", "Paid", "T0")
    assert refunded.with_history(others=(sibling,)).word() == "paid_after_refund"


def test_new_money_for_an_order_resolved_for_good_is_said_once_more(scene: Scene) -> None:
    """Not moved, and not passed over: what was resolved silences its own facts alone."""
    assert isinstance(scene.with_history(resolved_for_good=True).decide(), OpenCase)


# ------------------------------------------------------------------------------------------------------------- closing


def test_the_closed_of_another_number_closes_nothing(scene: Scene) -> None:
    closing = scene.with_policy(closes_orders=True)
    assert not isinstance(closing.decide(Closed(Trade("A1-2"))), CloseOrder)


@pytest.mark.parametrize("known", [{"resolved_for_good": True}, {"was_paid": True}])
def test_an_order_that_a_person_or_a_payment_had_is_not_closed_by_machine(scene: Scene, known: dict[str, Any]) -> None:
    closing = scene.with_policy(closes_orders=True).with_history(**known)
    assert not isinstance(closing.decide(closing.answer_named("Closed")), CloseOrder)


# --------------------------------------------------------------------------------------------------- words, and money


@pytest.mark.parametrize("answer", [Untrusted(""), Misconfigured("")])
def test_a_decision_says_why_though_the_gateway_did_not(scene: Scene, answer: Untrusted | Misconfigured) -> None:
    assert scene.decide(answer, verified=False).why


@pytest.mark.parametrize(
    "yuan",
    [0.5, True, Decimal("1E+2"), Decimal("1E+999999"), "1.000000000000000000000000000001"],
    ids=["a float", "a bool", "an exponent", "an exponent beyond all", "thirty decimals"],
)
def test_an_amount_that_nobody_should_send_is_refused_by_name(yuan: Any) -> None:  # noqa: ANN401 # what the signature forbids
    with pytest.raises(AmountError):
        Money.from_yuan(yuan)


def test_an_amount_of_five_thousand_digits_is_refused_by_name() -> None:
    with pytest.raises(AmountError):
        Money(10**5000)
