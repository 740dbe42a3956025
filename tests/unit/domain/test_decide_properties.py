"""What holds for any order, any answer, any history: an order moves when everything allows it, and only then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.domain.answer import (
    Answer,
    Closed,
    Misconfigured,
    NotCreated,
    Paid,
    Refunded,
    Rejected,
    Reply,
    Throttled,
    Trade,
    Unavailable,
    Unpaid,
    Unrecognised,
    Untrusted,
    name_of,
)
from reconciler.domain.case import CaseKind
from reconciler.domain.decide import Subject, before_asking, decide, when_next
from reconciler.domain.decision import AskAgain, AskAt, CloseOrder, Decision, Done, OpenCase, Settle, Stop
from reconciler.domain.decision import name_of as name_of_decision
from reconciler.domain.history import History, KnownAttempt, Settlement
from reconciler.domain.money import Money
from reconciler.domain.order import Attempt, ChannelName, Order, OrderKey, OrderState, Row, UnreadableOrder
from reconciler.domain.policy import LatePayment, Policy

BORN = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
LAST_AGE = timedelta(hours=48)
MERCHANT = (("appid", "wx1"), ("mchid", "19"))
OURS, OTHER = ChannelName("wechat-main"), ChannelName("alipay-main")
MUCH = settings(max_examples=300, deadline=None, database=None)


@dataclass(frozen=True, slots=True)
class World:
    """Everything that decide() may know."""

    subject: Subject
    reply: Reply
    history: History
    policy: Policy
    now: datetime

    def decide(self) -> Decision:
        return decide(self.subject, self.reply, self.history, self.policy, self.now)


def _mostly(usual: object, *others: object) -> st.SearchStrategy[object]:
    """Draw the usual value three times out of four, so that whole agreement is not rare."""
    return st.integers(0, 3).flatmap(lambda die: st.sampled_from(others) if die == 0 else st.just(usual))


AMOUNTS = _mostly(Money(9900), Money(9899), Money(0), Money(9900, "USD"), Money(10000))
SPANS = st.one_of(
    st.integers(-20 * 60, 60 * 60),
    st.integers(-20 * 60, 20 * 24 * 3600),
    st.sampled_from([0, 10, 600, -600, 12 * 3600, 24 * 3600, 48 * 3600]),
).map(lambda seconds: timedelta(seconds=seconds))
KINDS = st.frozensets(st.sampled_from(list(CaseKind)), max_size=3)


@st.composite
def orders(draw: st.DrawFn, key: str) -> Row:
    state = draw(_mostly(OrderState.PENDING, *OrderState))
    assert isinstance(state, OrderState)
    if draw(st.integers(0, 15)) == 0:
        return UnreadableOrder(OrderKey(key), f"A{key}", state, "0", "total: NULL")
    return Order(
        OrderKey(key),
        f"A{key}",
        state,
        draw(st.sampled_from(["0", "-1"])),
        Money(9900) if key == "1" else Money(100),
        BORN,
        draw(_mostly(None, "T1", "T0")),  # type: ignore[arg-type] # _mostly gives what it was given
        draw(_mostly(None, BORN)),  # type: ignore[arg-type] # the same
    )


@st.composite
def answers(draw: st.DrawFn, now: datetime) -> Answer:
    full = Trade(
        draw(_mostly("A1-1", "A1-2", "a1-1", "")),  # type: ignore[arg-type] # _mostly gives what it was given
        draw(_mostly("T1", "T0", "", None)),  # type: ignore[arg-type] # the same
        draw(st.one_of(AMOUNTS, AMOUNTS, st.none())),  # type: ignore[arg-type] # the same
        draw(st.one_of(st.just(now - timedelta(minutes=5)), SPANS.map(lambda span: now - span), st.none())),
        draw(_mostly(MERCHANT, (), (("appid", "wx2"), ("mchid", "19")), MERCHANT[1:])),  # type: ignore[arg-type] # the same
        draw(_mostly((), ("credit_pay_mode",))),  # type: ignore[arg-type] # the same
    )
    text = st.text(min_size=1, max_size=20)
    return draw(
        st.one_of(
            st.just(Paid(full)),
            st.just(Paid(full)),
            st.just(Paid(full)),
            st.builds(Refunded, st.just(full), st.sampled_from([True, False, None])),
            st.just(Unpaid(full)),
            st.just(NotCreated()),
            st.just(Closed(full)),
            st.builds(Unavailable, text),
            st.builds(Throttled, st.one_of(st.none(), SPANS)),
            st.builds(Untrusted, text, st.one_of(st.none(), text)),
            st.builds(Misconfigured, text),
            st.builds(Rejected, text),
            st.builds(Unrecognised, text),
        )
    )


@st.composite
def histories(draw: st.DrawFn) -> History:
    sibling = st.builds(
        KnownAttempt,
        st.sampled_from([OURS, OTHER]),
        st.sampled_from(["A1-2", "A1-3"]),
        st.sampled_from([None, "Closed", "Unpaid", "Paid"]),
        st.sampled_from([None, "T0", "T1"]),
    )
    settlement = st.builds(Settlement, st.just(OURS), st.just("A1-1"), st.sampled_from(["T0", "T1"]))
    return History(
        others=tuple(draw(st.lists(sibling, max_size=2))),
        settled=draw(st.one_of(st.none(), st.none(), st.none(), settlement)),
        transaction_moved=draw(_mostly(None, OrderKey("9"))),  # type: ignore[arg-type] # _mostly gives what it was given
        was_paid=bool(draw(_mostly(False, True))),
        untrusted_run=draw(st.integers(0, 7)),
        resolved_for_good=bool(draw(_mostly(False, True))),
        open_cases=draw(KINDS),
        waived=draw(KINDS),
        channel_in_doubt=draw(st.booleans()),
    )


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    return Policy(
        late_payment=draw(st.sampled_from(LatePayment)),
        review_over=draw(st.sampled_from([None, None, Money(9899), Money(9900), Money(10000)])),
        review_after=draw(st.sampled_from([timedelta(hours=12), timedelta(minutes=1)])),
        revive_within=draw(st.sampled_from([timedelta(hours=24), timedelta(minutes=5)])),
        closes_orders=draw(st.booleans()),
        shared_payment=draw(st.booleans()),
        keeps_transaction_id=draw(st.booleans()),
        keeps_paid_at=draw(st.booleans()),
        merchants={OURS: MERCHANT} if draw(st.integers(0, 9)) else {},
    )


@st.composite
def worlds(draw: st.DrawFn) -> World:
    now = BORN + draw(SPANS) + timedelta(minutes=20)
    row = draw(orders("1")) if draw(st.integers(0, 9)) else None
    others = [draw(orders("2"))] if draw(st.integers(0, 3)) == 0 else []
    own_amount = draw(_mostly(None, Money(9900), Money(9899)))
    attempt = Attempt(OrderKey("1"), "A1", OURS, "A1-1", BORN, own_amount)  # type: ignore[arg-type] # _mostly gives what it was given
    answer = draw(answers(now))
    reply = Reply(answer, bool(draw(_mostly(True, False))), now, now)
    holders = tuple(holder for holder in (row, *others) if holder is not None)
    return World(Subject(attempt, row, holders), reply, draw(histories()), draw(policies()), now)


# -------------------------------------------------------------------------------------------------------- the settling


def _is_proven(world: World) -> bool:
    """Say from design.md's text, without the code under test, whether this payment may move its orders now."""
    answer, history, policy, now = world.reply.answer, world.history, world.policy, world.now
    if not (world.reply.verified and isinstance(answer, Paid)):
        return False
    trade, rows = answer.trade, world.subject.holders
    if world.subject.row is None or (len(rows) > 1 and not policy.shared_payment):
        return False
    group = [row for row in rows if isinstance(row, Order)]
    if len(group) != len(rows) or any(row.state not in {OrderState.PENDING, OrderState.CLOSED} for row in group):
        return False
    if history.resolved_for_good or history.settled or history.transaction_moved:
        return False
    if not _facts_agree(world.subject.attempt, group, trade, policy.merchants, now) or trade.paid_at is None:
        return False
    age = now - trade.paid_at
    if age < timedelta(seconds=10):
        return False
    if any(row.state is OrderState.CLOSED for row in group) and CaseKind.LATE_PAYMENT not in history.waived:
        untouched = not any(row.transaction_id or row.paid_at for row in group) and not history.was_paid
        kept = policy.keeps_transaction_id or policy.keeps_paid_at
        if policy.late_payment is LatePayment.CASE or not (untouched and kept and age <= policy.revive_within):
            return False
    if CaseKind.NEEDS_REVIEW in history.waived:
        return True
    small = policy.review_over is None or (trade.amount is not None and trade.amount.fen <= policy.review_over.fen)
    return not trade.flags and small and age <= policy.review_after


def _facts_agree(
    attempt: Attempt, group: Sequence[Order], trade: Trade, merchants: Mapping[ChannelName, object], now: datetime
) -> bool:
    due = attempt.amount.fen if attempt.amount and len(group) == 1 else sum(order.amount.fen for order in group)
    return (
        trade.out_trade_no == attempt.out_trade_no
        and bool(trade.transaction_id)
        and trade.amount == Money(due, "CNY")
        and trade.merchant == merchants.get(attempt.channel, ())
        and trade.paid_at is not None
        and BORN - timedelta(minutes=10) <= trade.paid_at <= now + timedelta(minutes=10)
    )


@settings(MUCH, max_examples=500)
@given(worlds())
def test_an_order_moves_where_everything_is_proven_and_nowhere_else(world: World) -> None:
    decision = world.decide()
    assert isinstance(decision, Settle) == _is_proven(world)
    if isinstance(decision, Settle):
        assert isinstance(world.reply.answer, Paid)
        assert decision.trade is world.reply.answer.trade
        assert decision.revives == any(row.state is OrderState.CLOSED for row in world.subject.holders)


@MUCH
@given(worlds())
def test_an_unverified_answer_neither_moves_nor_closes_nor_ends_a_watch_early(world: World) -> None:
    decision = replace(world, reply=replace(world.reply, verified=False)).decide()
    assert not isinstance(decision, Settle | CloseOrder)
    if isinstance(decision, Stop | Done) and world.now - BORN < LAST_AGE:
        assert isinstance(world.subject.row, Order)
        assert world.subject.row.state is OrderState.REFUNDED


@MUCH
@given(worlds())
def test_an_order_that_is_not_waiting_never_moves(world: World) -> None:
    row = world.subject.row
    if isinstance(world.decide(), Settle | CloseOrder):
        assert isinstance(row, Order)
        assert row.state in {OrderState.PENDING, OrderState.CLOSED}


@MUCH
@given(worlds())
def test_every_world_is_decided_in_words_and_the_same_way_twice(world: World) -> None:
    decision = world.decide()
    assert isinstance(decision, get_args(Decision))
    assert decision.why
    assert name_of_decision(decision)
    assert name_of(world.reply.answer)
    assert world.decide() == decision
    if isinstance(decision, OpenCase):
        assert isinstance(decision.kind, CaseKind)


@MUCH
@given(worlds())
def test_a_verified_payment_is_never_passed_over_in_silence(world: World) -> None:
    """It moves the order, becomes a case, waits for its grace, or the shop has it (or a person had the last word)."""
    answer, row = world.reply.answer, world.subject.row
    if not isinstance(answer, Paid) or not world.reply.verified:
        return
    decision = world.decide()
    if isinstance(decision, Settle | OpenCase | AskAt):
        return
    if isinstance(decision, AskAgain):
        assert world.history.resolved_for_good
        return
    assert isinstance(decision, Done)
    assert isinstance(row, Order)
    assert row.state in {OrderState.PAID, OrderState.REFUNDED}


@MUCH
@given(worlds(), st.integers(0, 50))
def test_the_next_ask_is_never_in_the_past(world: World, failures: int) -> None:
    at = when_next(world.decide(), world.subject, world.policy, world.now, failures)
    assert at is None or at > world.now


@MUCH
@given(worlds(), st.integers(1, 50))
def test_a_watch_ends_early_only_by_a_decision_that_says_so(world: World, failures: int) -> None:
    decision = world.decide()
    ends = when_next(decision, world.subject, world.policy, world.now, failures) is None
    if isinstance(decision, Stop | Done | CloseOrder):
        assert ends
    elif ends:
        assert world.now - BORN >= LAST_AGE


@MUCH
@given(worlds())
def test_what_is_not_asked_is_an_order_that_the_shop_moved_on(world: World) -> None:
    decision = before_asking(world.subject, world.history)
    if decision is not None:
        assert isinstance(decision, Done)
        assert decision.why
        assert isinstance(world.subject.row, Order)
        assert world.subject.row.state in {OrderState.PAID, OrderState.REFUNDED}
        assert not world.history.others
        assert not world.history.open_cases
