"""The facts of each case, both sides: what a person reads, and what tells one question from another.

A case that was resolved stays silent while its facts are the same (`digest_of`), and an approval holds for the facts
that were shown. So the figures below are more than words: where one is missing, two questions look like one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta, timezone

import pytest

from reconciler.domain.case import CaseKind, Fact
from reconciler.domain.decision import OpenCase, Pace
from reconciler.domain.facts import compare
from reconciler.domain.history import Settlement
from reconciler.domain.money import Money
from reconciler.domain.order import Order, OrderKey, OrderState
from tests.unit.domain.conftest import Scene, digests_of

Change = Callable[["Scene"], "Scene"]
PROBLEM = "total: NULL where an amount is due"
AMOUNT = Fact("amount", "CNY 99.00", "CNY 99.00", agrees=True)
OTHER_AMOUNT = Fact("amount", "CNY 1.00", "CNY 99.00")
NO_AMOUNT = Fact("amount", "missing", "CNY 99.00")
TRANSACTION = Fact("transaction_id", "T1", "of A1-1", agrees=True)
PAID_AT = Fact("paid_at", "2026-11-23T04:30:00+00:00", "created 2026-11-23T04:00:00+00:00", agrees=True)


def _second(scene: Scene, state: OrderState = OrderState.PENDING) -> Order:
    return replace(scene.order, key=OrderKey("2"), order_no="A2", amount=Money(100), state=state)


def _shared(scene: Scene, state: OrderState) -> Scene:
    shared = scene.with_policy(shared_payment=True).with_trade(amount=Money(10000))
    return shared.with_holders(scene.order, _second(scene, state))


def _settled_by(scene: Scene, transaction_id: str) -> Scene:
    return scene.with_history(settled=Settlement(scene.attempt.channel, "A1-1", transaction_id))


CASES: dict[str, tuple[Change, str, CaseKind, tuple[Fact, ...]]] = {
    "refunded while the shop waits": (
        lambda s: s,
        "Refunded in full",
        CaseKind.REFUNDED_WHILE_PENDING,
        (AMOUNT,),
    ),
    "refunded of another amount": (
        lambda s: s.with_trade(amount=Money(100)),
        "Refunded in full",
        CaseKind.REFUNDED_WHILE_PENDING,
        (OTHER_AMOUNT,),
    ),
    "refunded, of no amount named": (
        lambda s: s.with_trade(amount=None),
        "Refunded, unknown",
        CaseKind.REFUNDED_WHILE_PENDING,
        (NO_AMOUNT,),
    ),
    "closed and refunded in part": (
        lambda s: s.in_state("closed"),
        "Refunded in part",
        CaseKind.REFUND_UNCLEAR,
        (AMOUNT,),
    ),
    "paid, and closed since": (
        lambda s: s.with_history(last_verified="Paid"),
        "Closed",
        CaseKind.REFUNDED_WHILE_PENDING,
        (Fact("state", "closed, and paid when asked before", "pending"),),
    ),
    "paid, and closed since on both sides": (
        lambda s: s.in_state("closed").with_history(last_verified="Paid"),
        "Closed",
        CaseKind.REFUND_UNCLEAR,
        (Fact("state", "closed, and paid when asked before", "closed"),),
    ),
    "paid, by an answer older than its refund": (
        lambda s: s.with_history(last_verified="Refunded"),
        "Paid",
        CaseKind.REFUNDED_WHILE_PENDING,
        (AMOUNT,),
    ),
    "paid, and not paid since": (
        lambda s: s.with_history(last_verified="Paid").at_age(timedelta(days=3)),
        "Unpaid",
        CaseKind.NEEDS_REVIEW,
        (Fact("state", "not paid, and paid when asked before", "pending"),),
    ),
    "paid twice": (
        lambda s: s.in_state("paid, other"),
        "Paid",
        CaseKind.DUPLICATE_PAYMENT,
        (Fact("transaction_id", "T1", "T0"), AMOUNT),
    ),
    "paid twice, the second without a transaction": (
        lambda s: s.in_state("paid, other").with_trade(transaction_id=None, amount=None),
        "Paid",
        CaseKind.DUPLICATE_PAYMENT,
        (Fact("transaction_id", "missing", "T0"), NO_AMOUNT),
    ),
    "paid by a payment that moved another order": (
        lambda s: s.in_state("paid").with_history(transaction_moved=OrderKey("9")),
        "Paid",
        CaseKind.AMBIGUOUS_NUMBER,
        (Fact("transaction_id", "T1", "moved the order with key 9"),),
    ),
    "paid by a payment without a transaction that moved another order": (
        lambda s: s.in_state("paid").with_trade(transaction_id=None).with_history(transaction_moved=OrderKey("9")),
        "Paid",
        CaseKind.AMBIGUOUS_NUMBER,
        (Fact("transaction_id", "missing", "moved the order with key 9"),),
    ),
    "paid after a refund": (
        lambda s: s.in_state("refunded, other"),
        "Paid",
        CaseKind.PAID_AFTER_REFUND,
        (Fact("transaction_id", "T1", "T0"), AMOUNT),
    ),
    "paid after a refund, without a transaction": (
        lambda s: s.in_state("refunded, other").with_trade(transaction_id=None),
        "Paid",
        CaseKind.PAID_AFTER_REFUND,
        (Fact("transaction_id", "missing", "T0"), AMOUNT),
    ),
    "paid, and gone from the table": (
        lambda s: s.vanished(),
        "Paid",
        CaseKind.ORDER_VANISHED,
        (Fact("order", "paid CNY 99.00, transaction T1", "no such row"),),
    ),
    "paid, and cannot be read": (
        lambda s: s.in_state("unreadable"),
        "Paid",
        CaseKind.UNREADABLE_ORDER,
        (Fact("order", "paid CNY 99.00, transaction T1", PROBLEM),),
    ),
    "a state that we do not know": (
        lambda s: s,
        "Unrecognised",
        CaseKind.UNRECOGNISED_STATE,
        (Fact("state", "ACCEPT", "unknown to us"),),
    ),
    "one number on two orders": (
        lambda s: s.with_holders(s.order, _second(s, OrderState.CLOSED)),
        "Paid",
        CaseKind.AMBIGUOUS_NUMBER,
        (Fact("order A1", "one payment", "pending"), Fact("order A2", "one payment", "closed")),
    ),
    "a payment shared with an order that cannot be read": (
        lambda s: s.with_policy(shared_payment=True).with_holders(s.order, replace(s.unreadable(), order_no="A2")),
        "Paid",
        CaseKind.UNREADABLE_ORDER,
        (Fact("order A2", "paid", PROBLEM),),
    ),
    "a payment shared with an order that was moved": (
        lambda s: _shared(s, OrderState.PAID),
        "Paid",
        CaseKind.AMBIGUOUS_NUMBER,
        (Fact("order A1", "paid together", "pending"), Fact("order A2", "paid together", "paid")),
    ),
    "a payment that moved another order": (
        lambda s: s.with_history(transaction_moved=OrderKey("9")),
        "Paid",
        CaseKind.AMBIGUOUS_NUMBER,
        (Fact("transaction_id", "T1", "moved the order with key 9"),),
    ),
    "a payment without a transaction that moved another order": (
        lambda s: s.with_trade(transaction_id=None).with_history(transaction_moved=OrderKey("9")),
        "Paid",
        CaseKind.AMBIGUOUS_NUMBER,
        (Fact("transaction_id", "missing", "moved the order with key 9"),),
    ),
    "another payment moved the order": (
        lambda s: _settled_by(s, "T0"),
        "Paid",
        CaseKind.DUPLICATE_PAYMENT,
        (Fact("transaction_id", "T1", "T0"),),
    ),
    "this payment moved the order, and it waits again": (
        lambda s: _settled_by(s, "T1"),
        "Paid",
        CaseKind.NEEDS_REVIEW,
        (Fact("state", "paid, and settled once", "pending"),),
    ),
    "seen paid, and waiting again": (
        lambda s: s.with_history(was_paid=True),
        "Paid",
        CaseKind.NEEDS_REVIEW,
        (Fact("state", "paid", "pending, and seen paid before"), AMOUNT, TRANSACTION, PAID_AT),
    ),
    "resolved for good": (
        lambda s: s.with_history(resolved_for_good=True),
        "Paid",
        CaseKind.NEEDS_REVIEW,
        (Fact("transaction_id", "T1", "resolved for good"),),
    ),
    "a late payment": (
        lambda s: s.in_state("closed"),
        "Paid",
        CaseKind.LATE_PAYMENT,
        (
            Fact("state", "paid", "closed (status 0): settle.late_payment leaves it to a person"),
            AMOUNT,
            TRANSACTION,
            PAID_AT,
        ),
    ),
    "a late payment for two orders": (
        lambda s: _shared(s, OrderState.CLOSED),
        "Paid",
        CaseKind.LATE_PAYMENT,
        (
            Fact("state", "paid", "closed (status 0): settle.late_payment leaves it to a person"),
            Fact("amount", "CNY 100.00", "CNY 100.00", agrees=True),
            TRANSACTION,
            PAID_AT,
        ),
    ),
    "a flag": (
        lambda s: s.with_trade(flags=("credit_pay_mode",)),
        "Paid",
        CaseKind.NEEDS_REVIEW,
        (Fact("credit_pay_mode", "present", "absent"), AMOUNT, TRANSACTION, PAID_AT),
    ),
    "a large payment": (
        lambda s: s.with_policy(review_over=Money(5000)),
        "Paid",
        CaseKind.NEEDS_REVIEW,
        (Fact("amount", "CNY 99.00", "settle.review_over CNY 50.00"), TRANSACTION, PAID_AT),
    ),
    "an old payment": (
        lambda s: s.with_policy(review_after=timedelta(minutes=6)),
        "Paid",
        CaseKind.NEEDS_REVIEW,
        (Fact("paid_at", "2026-11-23T04:30:00+00:00", "settle.review_after 0.1 h"), AMOUNT, TRANSACTION),
    ),
    "a payment of a part": (
        lambda s: s.with_attempt(amount=Money(100)).with_trade(amount=Money(100)),
        "Paid",
        CaseKind.NEEDS_REVIEW,
        (
            Fact("attempt's amount", "CNY 1.00", "CNY 99.00"),
            Fact("amount", "CNY 1.00", "CNY 1.00", agrees=True),
            TRANSACTION,
            PAID_AT,
        ),
    ),
    "a row that carries another transaction": (
        lambda s: s.with_order(transaction_id="T0"),
        "Paid",
        CaseKind.NEEDS_REVIEW,
        (Fact("transaction_id", "T1", "T0"), AMOUNT, PAID_AT),
    ),
    "paid without an amount": (
        lambda s: s.with_trade(amount=None),
        "Paid",
        CaseKind.AMOUNT_MISMATCH,
        (NO_AMOUNT, Fact("currency", "missing", "CNY"), TRANSACTION, PAID_AT),
    ),
    "paid in another currency": (
        lambda s: s.with_trade(amount=Money(9900, "USD")),
        "Paid",
        CaseKind.CURRENCY_MISMATCH,
        (Fact("currency", "USD", "CNY"), TRANSACTION, PAID_AT),
    ),
}


@pytest.mark.parametrize(("change", "answer", "kind", "facts"), CASES.values(), ids=CASES)
def test_a_case_shows_its_facts_from_both_sides(
    scene: Scene, change: Change, answer: str, kind: CaseKind, facts: tuple[Fact, ...]
) -> None:
    changed = change(scene)
    decision = changed.decide(changed.answer_named(answer))
    assert isinstance(decision, OpenCase)
    assert (decision.kind, decision.facts) == (kind, facts)


ASKED: dict[str, Change] = {
    "amount_mismatch": lambda s: s.with_trade(amount=Money(1)),
    "needs_review": lambda s: s.with_policy(review_over=Money(1)),
    "late_payment": lambda s: s.in_state("closed"),
}


@pytest.mark.parametrize("kind", ASKED)
def test_a_question_that_a_person_resolved_is_the_same_at_every_later_ask(scene: Scene, kind: str) -> None:
    asked = ASKED[kind](scene)
    assert asked.word() == kind
    later = replace(asked, now=asked.now + timedelta(hours=3))
    assert digests_of(later) == digests_of(asked)


def test_what_staff_write_into_the_row_by_hand_makes_no_new_question_of_it(scene: Scene) -> None:
    asked = ASKED["amount_mismatch"](scene)
    by_hand = asked.with_order(transaction_id="T1", paid_at=scene.trade.paid_at)
    assert digests_of(by_hand) == digests_of(asked)


@pytest.mark.parametrize("kind", ASKED)
def test_another_payment_of_the_same_amount_is_another_question(scene: Scene, kind: str) -> None:
    asked = ASKED[kind](scene)
    assert digests_of(asked.with_trade(transaction_id="T2")) != digests_of(asked)


@pytest.mark.parametrize(
    ("answer", "kind", "pace", "age"),
    [
        ("Rejected", CaseKind.UNASKABLE, Pace.PROBE, timedelta(minutes=40)),
        ("Unrecognised", CaseKind.UNRECOGNISED_STATE, Pace.PROBE, timedelta(minutes=40)),
        ("Unavailable", CaseKind.UNANSWERED, Pace.SOON, timedelta(hours=49)),
        ("Refunded in full", CaseKind.REFUNDED_WHILE_PENDING, Pace.PROBE, timedelta(minutes=40)),
    ],
)
def test_the_watch_of_a_case_goes_on_as_its_answer_allows(
    scene: Scene, answer: str, kind: CaseKind, pace: Pace, age: timedelta
) -> None:
    there = scene.at_age(age)
    decision = there.decide(there.answer_named(answer))
    assert isinstance(decision, OpenCase)
    assert (decision.kind, decision.pace) == (kind, pace)


# ------------------------------------------------------------------------------------------------ what the words name


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda s: s.with_trade(merchant=()), "[channels.wechat-main]"),
        (lambda s: s.with_trade(amount=Money(1)), "CNY 99.00 in the shop"),
    ],
    ids=["the merchant", "the amount"],
)
def test_a_disagreement_says_where_our_side_of_it_stands(scene: Scene, change: Change, place: str) -> None:
    why = change(scene).decide().why
    assert place in why
    assert ("[channels." in why) == place.startswith("[channels.")


@pytest.mark.parametrize("answer", ["Paid", "Unpaid", "Closed"])
def test_an_answer_that_proves_nothing_is_still_called_by_its_name(scene: Scene, answer: str) -> None:
    unsigned = scene.decide(scene.answer_named(answer), verified=False).why
    stale = replace(scene, age_of_reply=timedelta(minutes=3)).decide(scene.answer_named(answer)).why
    assert unsigned.startswith(answer)
    assert stale.startswith(answer)


def test_an_answer_about_another_number_names_it(scene: Scene) -> None:
    assert "A1-2" in scene.with_trade(out_trade_no="A1-2").decide().why


def test_a_paid_order_says_whether_it_is_known_by_which_payment(scene: Scene) -> None:
    known = scene.in_state("paid").decide().why
    unknown = scene.in_state("paid").with_order(transaction_id=None).decide().why
    assert "this very payment" in known
    assert "winner unknown" in unknown


# ------------------------------------------------------------------------------------------------------ side by side


def _shown(scene: Scene, name: str, *orders: Order) -> Fact:
    facts = compare(scene.attempt, orders or (scene.order,), scene.trade, scene.policy, scene.now)
    return next(fact for fact in facts if fact.name == name)


def test_the_transactions_that_the_rows_carry_stand_beside_the_payments(scene: Scene) -> None:
    carrying = replace(scene.order, transaction_id="T8"), replace(_second(scene), transaction_id="T9")
    assert _shown(scene, "transaction_id") == Fact("transaction_id", "T1", "none yet", agrees=True)
    assert _shown(scene, "transaction_id", *carrying).ours == "T8, T9"


def test_a_sum_is_shown_in_the_currency_of_its_orders(scene: Scene) -> None:
    dollars = replace(scene.order, amount=Money(9900, "USD")), replace(_second(scene), amount=Money(100, "USD"))
    assert _shown(scene, "amount", *dollars).ours == "USD 100.00"
    assert _shown(scene, "currency", *dollars).ours == "USD"


def test_an_attempt_in_another_currency_than_its_order_agrees_with_no_payment(scene: Scene) -> None:
    mixed = scene.with_attempt(amount=Money(9900, "USD"))
    for currency in ("CNY", "USD"):
        paid = mixed.with_trade(amount=Money(9900, currency))
        assert paid.word() == "currency_mismatch"
        assert _shown(paid, "currency").ours == "CNY+USD"


def test_the_two_times_are_shown_with_one_offset(scene: Scene) -> None:
    kathmandu = timezone(timedelta(hours=5, minutes=45))
    there = scene.with_order(created_at=scene.order.created_at.astimezone(kathmandu))
    fact = _shown(there, "paid_at")
    assert (fact.theirs, fact.ours) == ("2026-11-23T10:15:00+05:45", "created 2026-11-23T09:45:00+05:45")


def test_a_time_in_the_future_is_named_as_such(scene: Scene) -> None:
    fact = _shown(scene.with_trade(paid_at=scene.now + timedelta(hours=1)), "paid_at")
    assert not fact.agrees
    assert "future" in fact.theirs


def test_an_old_payments_time_is_in_the_shops_zone_as_every_time_of_a_case(scene: Scene) -> None:
    order = scene.subject().row if callable(scene.subject) else scene.subject.row
    assert isinstance(order, Order)
    shanghai = order.created_at.astimezone(timezone(timedelta(hours=8)))
    decision = scene.with_order(created_at=shanghai).with_policy(review_after=timedelta(minutes=6)).decide()
    assert isinstance(decision, OpenCase)
    assert [fact.theirs for fact in decision.facts if fact.name == "paid_at"] == ["2026-11-23T12:30:00+08:00"]


def test_a_case_unanswered_names_the_answer_that_came_last(scene: Scene) -> None:
    there = scene.at_age(timedelta(hours=49))
    why = there.decide(there.answer_named("Unavailable")).why
    assert why.startswith("no usable answer at its last age; the last was: ")
    assert not why.endswith(": ")
