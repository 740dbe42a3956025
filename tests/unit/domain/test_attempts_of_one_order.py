"""Several attempts of one order, closing, and what needs no asking."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.domain.case import CaseKind
from reconciler.domain.decide import before_asking
from reconciler.domain.decision import CloseOrder, Done, OpenCase, Stop
from reconciler.domain.history import History, KnownAttempt, Settlement
from reconciler.domain.order import ChannelName

if TYPE_CHECKING:
    from tests.unit.domain.conftest import Scene

WECHAT, ALIPAY = ChannelName("wechat-main"), ChannelName("alipay-main")
CLOSED_SIBLING = KnownAttempt(ALIPAY, "A1-2", "Closed")
PAID_SIBLING = KnownAttempt(ALIPAY, "A1-2", "Paid", "T0")


# ------------------------------------------------------------------------------------------------------------- closing


@pytest.fixture
def closing(scene: Scene) -> Scene:
    return scene.with_policy(closes_orders=True)


def test_an_order_whose_only_attempt_is_closed_is_closed(closing: Scene) -> None:
    assert isinstance(closing.decide(closing.answer_named("Closed")), CloseOrder)


def test_an_order_whose_every_attempt_is_closed_is_closed(closing: Scene) -> None:
    siblings = (CLOSED_SIBLING, KnownAttempt(WECHAT, "A1-3", "Closed"))
    assert closing.with_history(others=siblings).word(closing.answer_named("Closed")) == "CloseOrder"


@pytest.mark.parametrize("last", [None, "Unpaid", "NotCreated", "Paid", "Refunded", "Unrecognised"])
def test_one_attempt_that_is_not_known_to_be_closed_keeps_the_order_open(closing: Scene, last: str | None) -> None:
    siblings = (CLOSED_SIBLING, KnownAttempt(ALIPAY, "A1-3", last))
    decision = closing.with_history(others=siblings).decide(closing.answer_named("Closed"))
    assert isinstance(decision, Stop)
    assert "A1-3" in decision.why


def test_a_shop_that_does_not_close_has_the_watch_stopped(scene: Scene) -> None:
    assert scene.word(scene.answer_named("Closed")) == "Stop"


def test_an_unsigned_closed_closes_nothing(closing: Scene) -> None:
    assert closing.word(closing.answer_named("Closed"), verified=False) == "soon"


@pytest.mark.parametrize("state", ["closed", "paid", "paid, other", "refunded", "gone", "unmapped", "unreadable"])
def test_only_a_pending_order_is_closed(closing: Scene, state: str) -> None:
    assert not isinstance(closing.in_state(state).decide(closing.answer_named("Closed")), CloseOrder)


@pytest.mark.parametrize("answer", ["Unpaid", "NotCreated", "Refunded in full", "Rejected"])
def test_nothing_but_closed_closes_an_order(closing: Scene, answer: str) -> None:
    assert not isinstance(closing.decide(closing.answer_named(answer)), CloseOrder)


# ----------------------------------------------------------------------------------------------------- a paid order


def test_a_paid_order_without_its_transaction_is_compared_with_our_settlement(scene: Scene) -> None:
    paid = scene.in_state("paid").with_order(transaction_id=None)
    assert paid.with_history(settled=Settlement(WECHAT, "A1-1", "T1")).word() == "Done"
    assert paid.with_history(settled=Settlement(ALIPAY, "A1-2", "T0")).word() == "duplicate_payment"


def test_the_shops_own_transaction_goes_before_our_settlement(scene: Scene) -> None:
    settled = Settlement(ALIPAY, "A1-2", "T0")
    assert scene.in_state("paid").with_history(settled=settled).word() == "Done"
    settled = Settlement(WECHAT, "A1-1", "T1")
    assert scene.in_state("paid, other").with_history(settled=settled).word() == "duplicate_payment"


def test_a_second_payment_is_found_by_what_the_ledger_knows_of_the_siblings(scene: Scene) -> None:
    paid = scene.in_state("paid").with_order(transaction_id=None)
    decision = paid.with_history(others=(KnownAttempt(ALIPAY, "A1-3"), PAID_SIBLING)).decide()
    assert isinstance(decision, OpenCase)
    assert decision.kind is CaseKind.DUPLICATE_PAYMENT
    assert (decision.facts[0].theirs, decision.facts[0].ours) == ("T1", "T0")
    assert decision.facts[1].agrees


def test_a_recorded_transaction_that_is_this_one_ends_the_question_whatever_the_siblings_paid(scene: Scene) -> None:
    """The sibling's own watch finds it, as a duplicate."""
    assert scene.in_state("paid").with_history(others=(PAID_SIBLING,)).word() == "Done"


def test_a_paid_order_with_one_known_attempt_is_done_winner_unknown(scene: Scene) -> None:
    paid = scene.in_state("paid").with_order(transaction_id=None)
    assert paid.decide() == Done("paid in the shop; winner unknown")
    assert paid.with_history(others=(KnownAttempt(ALIPAY, "A1-2", "Unpaid"),)).word() == "Done"


def test_a_second_payment_without_a_transaction_is_still_a_case(scene: Scene) -> None:
    assert scene.in_state("paid").with_trade(transaction_id=None).word() == "duplicate_payment"


def test_a_refunded_order_is_compared_with_our_settlement_where_the_row_keeps_none(scene: Scene) -> None:
    refunded = scene.in_state("refunded").with_order(transaction_id=None)
    assert refunded.word() == "Done"
    assert refunded.with_history(settled=Settlement(WECHAT, "A1-1", "T1")).word() == "Done"
    assert refunded.with_history(settled=Settlement(ALIPAY, "A1-2", "T0")).word() == "paid_after_refund"


# ------------------------------------------------------------------------------------------------------- before asking


@pytest.mark.parametrize("state", ["paid", "paid, other", "refunded", "refunded, other"])
def test_an_order_that_the_shop_has_moved_on_need_not_be_asked_about(scene: Scene, state: str) -> None:
    assert isinstance(before_asking(scene.in_state(state).subject, History()), Done)


@pytest.mark.parametrize("state", ["pending", "closed", "gone", "unmapped", "unreadable"])
def test_an_order_that_still_waits_is_asked_about(scene: Scene, state: str) -> None:
    assert before_asking(scene.in_state(state).subject, History()) is None


@pytest.mark.parametrize("state", ["paid", "refunded"])
def test_another_attempt_or_an_open_case_is_reason_enough_to_ask(scene: Scene, state: str) -> None:
    subject = scene.in_state(state).subject
    assert before_asking(subject, History(others=(CLOSED_SIBLING,))) is None
    assert before_asking(subject, History(open_cases=frozenset({CaseKind.AMOUNT_MISMATCH}))) is None
