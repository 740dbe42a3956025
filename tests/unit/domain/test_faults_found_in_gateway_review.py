"""What a hostile reading of the gateways' side found, as questions to `decide`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from reconciler.domain.answer import Answer, Closed, Merchant, Refunded, Reply, Trade, Unavailable, Unpaid
from reconciler.domain.case import CaseKind
from reconciler.domain.confirm import Subject
from reconciler.domain.decide import OUTLAST_REFUSAL_FIRST, OUTLAST_REFUSAL_FOR, decide
from reconciler.domain.decision import AskAt, CloseOrder, Decision, OpenCase, Stop
from reconciler.domain.history import History
from reconciler.domain.money import Money
from reconciler.domain.order import Attempt, ChannelName, Order, OrderKey, OrderState
from reconciler.domain.policy import DEFAULT_AGES, Policy

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
CHANNEL = ChannelName("main")
OURS: Merchant = (("appid", "wx1"), ("mchid", "1900000001"))
REFUSED = History(close_begun=True, close_outcome="not closed at the gateway: paid", close_refused=True)


def decided(answer: Answer, history: History | None = None, *, age: timedelta = DEFAULT_AGES[-1]) -> Decision:
    created = NOW - age
    order = Order(OrderKey("1"), "A1", OrderState.PENDING, "1", Money(9900), created)
    attempt = Attempt(order.key, "A1", CHANNEL, "A1", created)
    policy = Policy(merchants={CHANNEL: OURS}, closes_orders=True, closes_at_gateway=True)
    reply = Reply(answer, not isinstance(answer, Unavailable), NOW, NOW)
    return decide(Subject(attempt, order, (order,)), reply, history or History(), policy, NOW)


@pytest.mark.parametrize("answer", [Closed, Unpaid, lambda trade: Refunded(trade, in_full=True)])
@pytest.mark.parametrize("merchant", [(("mchid", "1999999999"),), (("sub_mchid", "1900000001"),)])
def test_an_answer_about_another_merchants_trade_closes_and_ends_nothing(answer: type, merchant: Merchant) -> None:
    decision = decided(answer(Trade("A1", merchant=merchant)), age=timedelta(minutes=5))
    assert not isinstance(decision, CloseOrder | Stop)
    assert "another merchant" in decision.why


@pytest.mark.parametrize("merchant", [OURS, (("mchid", "1900000001"), ("appid", "wx2")), ()])
def test_a_close_of_our_own_trade_is_one_whatever_the_application(merchant: Merchant) -> None:
    assert isinstance(decided(Closed(Trade("A1", merchant=merchant))), CloseOrder)


def test_what_was_refunded_when_asked_before_is_not_called_unpaid_now() -> None:
    decision = decided(Closed(Trade("A1")), History(last_verified="Refunded"))
    assert isinstance(decision, OpenCase)
    assert decision.kind is CaseKind.REFUNDED_WHILE_PENDING


def test_a_trade_that_the_gateway_would_not_close_is_asked_about_for_days_less_often_each_time() -> None:
    last = DEFAULT_AGES[-1]
    first = decided(Unpaid(Trade("A1")), REFUSED, age=last + timedelta(minutes=2))
    assert isinstance(first, AskAt)
    assert first.at == NOW + OUTLAST_REFUSAL_FIRST
    later = decided(Unpaid(Trade("A1")), REFUSED, age=last + timedelta(hours=7))
    assert isinstance(later, AskAt)
    assert later.at == NOW + timedelta(hours=7)
    assert isinstance(decided(Unpaid(Trade("A1")), REFUSED, age=last + OUTLAST_REFUSAL_FOR), AskAt)
    over = decided(Unpaid(Trade("A1")), REFUSED, age=last + OUTLAST_REFUSAL_FOR + timedelta(seconds=1))
    assert isinstance(over, Stop)
    assert "although closing was tried" in over.why


def test_a_gateway_that_would_not_close_and_then_never_answers_is_told_of() -> None:
    decision = decided(Unavailable("refused"), REFUSED, age=timedelta(days=30))
    assert isinstance(decision, OpenCase)
    assert decision.kind is CaseKind.UNANSWERED
