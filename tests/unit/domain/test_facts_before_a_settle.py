"""Each fact that must agree before a settle, disagreeing or missing one at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.domain.case import CaseKind, Fact
from reconciler.domain.decision import AskAt, OpenCase, Settle
from reconciler.domain.facts import compare, kind_of
from reconciler.domain.money import Money
from reconciler.domain.order import ChannelName, OrderKey
from tests.unit.domain.conftest import Scene, digests_of

Change = Callable[["Scene"], "Scene"]
TOLERANCE = timedelta(minutes=10)
SECOND = timedelta(seconds=1)

DISAGREEMENTS: dict[str, tuple[CaseKind, str, Change]] = {
    "no transaction": (CaseKind.UNTRUSTED_ANSWER, "transaction_id", lambda s: s.with_trade(transaction_id=None)),
    "an empty transaction": (CaseKind.UNTRUSTED_ANSWER, "transaction_id", lambda s: s.with_trade(transaction_id="")),
    "another mchid": (
        CaseKind.MERCHANT_MISMATCH,
        "merchant mchid",
        lambda s: s.with_trade(merchant=(("appid", "wx0000000000000001"), ("mchid", "1900000002"))),
    ),
    "no mchid": (
        CaseKind.MERCHANT_MISMATCH,
        "merchant mchid",
        lambda s: s.with_trade(merchant=(("appid", "wx0000000000000001"),)),
    ),
    "no merchant at all": (CaseKind.MERCHANT_MISMATCH, "merchant appid", lambda s: s.with_trade(merchant=())),
    "a sub-merchant that is not ours": (
        CaseKind.MERCHANT_MISMATCH,
        "merchant sub_mchid",
        lambda s: s.with_trade(merchant=(*s.trade.merchant, ("sub_mchid", "1900000009"))),
    ),
    "a channel nobody configured": (
        CaseKind.MERCHANT_MISMATCH,
        "merchant appid",
        lambda s: s.with_policy(merchants={}),
    ),
    "another currency": (CaseKind.CURRENCY_MISMATCH, "currency", lambda s: s.with_trade(amount=Money(9900, "USD"))),
    "no amount": (CaseKind.AMOUNT_MISMATCH, "amount", lambda s: s.with_trade(amount=None)),
    "a fen less": (CaseKind.AMOUNT_MISMATCH, "amount", lambda s: s.with_trade(amount=Money(9899))),
    "a fen more": (CaseKind.AMOUNT_MISMATCH, "amount", lambda s: s.with_trade(amount=Money(9901))),
    "a hundredth of it": (CaseKind.AMOUNT_MISMATCH, "amount", lambda s: s.with_trade(amount=Money(99))),
    "nothing": (CaseKind.AMOUNT_MISMATCH, "amount", lambda s: s.with_trade(amount=Money(0))),
    "no time": (CaseKind.TIME_MISMATCH, "paid_at", lambda s: s.with_trade(paid_at=None)),
    "paid before it was ordered": (
        CaseKind.TIME_MISMATCH,
        "paid_at",
        lambda s: s.with_trade(paid_at=s.order.created_at - TOLERANCE - SECOND),
    ),
    "paid in the future": (
        CaseKind.TIME_MISMATCH,
        "paid_at",
        lambda s: s.with_trade(paid_at=s.now + TOLERANCE + SECOND),
    ),
}


@pytest.mark.parametrize("state", ["pending", "closed"])
@pytest.mark.parametrize(("kind", "fact", "change"), DISAGREEMENTS.values(), ids=DISAGREEMENTS)
def test_one_fact_that_does_not_agree_is_a_case_of_its_kind(
    scene: Scene, state: str, kind: CaseKind, fact: str, change: Change
) -> None:
    decision = change(scene.in_state(state)).decide()
    assert isinstance(decision, OpenCase)
    assert decision.kind is kind
    assert decision.facts[0].name == fact
    assert not decision.facts[0].agrees
    assert {shown.name for shown in decision.facts if shown.agrees} <= {"amount", "transaction_id", "paid_at"}
    assert fact in decision.why


@pytest.mark.parametrize("number", ["A1-2", "a1-1", ""])
@pytest.mark.parametrize("state", ["pending", "closed", "paid", "gone"])
def test_a_payment_of_another_number_proves_nothing(scene: Scene, state: str, number: str) -> None:
    stranger = scene.in_state(state).with_trade(out_trade_no=number)
    assert stranger.word() == "soon"
    assert stranger.with_history(untrusted_run=5).word() == "untrusted_answer/soon"


@pytest.mark.parametrize("change", [change for _, _, change in DISAGREEMENTS.values()], ids=DISAGREEMENTS)
def test_no_approval_waves_a_fact_through(scene: Scene, change: Change) -> None:
    approved = change(scene).with_history(waived=digests_of(change(scene)))
    assert not isinstance(approved.decide(), Settle)


@pytest.mark.parametrize(
    "paid_at_age",
    [-TOLERANCE, timedelta(0), timedelta(minutes=40) - timedelta(seconds=10)],
    ids=["as early as the tolerance", "at creation", "just past the grace"],
)
def test_a_time_within_the_tolerance_agrees(scene: Scene, paid_at_age: timedelta) -> None:
    assert scene.with_trade(paid_at=scene.order.created_at + paid_at_age).word() == "Settle"


def test_a_time_at_the_tolerance_in_the_future_waits_for_its_grace(scene: Scene) -> None:
    paid_at = scene.now + TOLERANCE
    decision = scene.with_trade(paid_at=paid_at).decide()
    assert isinstance(decision, AskAt)
    assert decision.at == paid_at + scene.policy.grace


def test_facts_are_named_theirs_and_ours(scene: Scene) -> None:
    decision = scene.with_trade(amount=Money(9899)).decide()
    assert isinstance(decision, OpenCase)
    assert [shown for shown in decision.facts if not shown.agrees] == [Fact("amount", "CNY 98.99", "CNY 99.00")]
    assert str(decision.facts[0]) == "amount: theirs CNY 98.99 ≠ ours CNY 99.00"


def test_every_fact_is_laid_out_even_where_all_agree(scene: Scene) -> None:
    facts = compare(scene.attempt, (scene.order,), scene.trade, scene.policy, scene.now)
    assert [fact.name for fact in facts] == [
        "out_trade_no",
        "transaction_id",
        "merchant appid",
        "merchant mchid",
        "amount",
        "currency",
        "paid_at",
    ]
    assert all(fact.agrees for fact in facts)
    assert str(facts[0]) == "out_trade_no: theirs A1-1 = ours A1-1"


def test_all_that_disagrees_is_shown_and_the_first_names_the_case(scene: Scene) -> None:
    decision = scene.with_trade(amount=Money(1), paid_at=None, merchant=()).decide()
    assert isinstance(decision, OpenCase)
    assert decision.kind is CaseKind.MERCHANT_MISMATCH
    named = [fact.name for fact in decision.facts if not fact.agrees]
    assert named == ["merchant appid", "merchant mchid", "amount", "paid_at"]


@pytest.mark.parametrize("name", ["out_trade_no", "transaction_id"])
def test_a_trade_that_is_not_about_this_number_is_an_answer_not_to_be_trusted(name: str) -> None:
    assert kind_of([Fact(name, "x", "y")]) is CaseKind.UNTRUSTED_ANSWER


def test_a_gateway_that_names_no_seller_is_held_to_none(scene: Scene) -> None:
    alipay = ChannelName("alipay-main")
    nameless = scene.with_attempt(channel=alipay).with_trade(merchant=())
    assert nameless.with_policy(merchants={alipay: ()}).word() == "Settle"


def test_the_merchant_of_another_channel_is_not_this_ones(scene: Scene) -> None:
    other = scene.with_policy(merchants={ChannelName("wechat-other"): scene.trade.merchant})
    assert other.word() == "merchant_mismatch"


def test_an_attempt_that_has_its_own_amount_is_held_to_it(scene: Scene) -> None:
    surcharged = scene.with_attempt(amount=Money(9999))
    assert surcharged.word() == "amount_mismatch"
    assert surcharged.with_trade(amount=Money(9999)).word() == "Settle"


def test_an_attempt_for_less_than_the_order_needs_a_person(scene: Scene) -> None:
    """A deposit, an instalment: whether the order may move on it, the tables do not say."""
    assert scene.with_attempt(amount=Money(100)).with_trade(amount=Money(100)).word() == "needs_review"


def test_orders_that_share_a_payment_are_held_to_their_sum_not_to_an_attempts_amount(scene: Scene) -> None:
    second = replace(scene.order, key=OrderKey("2"), order_no="A2", amount=Money(100))
    shared = scene.with_policy(shared_payment=True).with_attempt(amount=Money(9900)).with_holders(scene.order, second)
    assert shared.word() == "amount_mismatch"
    assert shared.with_trade(amount=Money(10000)).word() == "Settle"


def test_a_shared_payment_is_held_to_the_youngest_of_its_orders(scene: Scene) -> None:
    young = scene.now - timedelta(minutes=10) + TOLERANCE + SECOND
    second = replace(scene.order, key=OrderKey("2"), amount=Money(100), created_at=young)
    for holders in ((scene.order, second), (second, scene.order)):
        shared = scene.with_policy(shared_payment=True).with_trade(amount=Money(10000)).with_holders(*holders)
        assert shared.word() == "time_mismatch"
