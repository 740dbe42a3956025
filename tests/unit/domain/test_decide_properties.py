"""What holds for any order, any answer, any history: an order moves when everything allows it, and only then."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar, get_args

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
from reconciler.domain.case import APPROVABLE, CaseKind
from reconciler.domain.decide import Subject, before_asking, decide, when_next
from reconciler.domain.decision import AskAgain, AskAt, CloseOrder, Decision, Done, OpenCase, Pace, Settle, Stop
from reconciler.domain.decision import name_of as name_of_decision
from reconciler.domain.history import History, KnownAttempt, Settlement
from reconciler.domain.money import Money
from reconciler.domain.order import Attempt, ChannelName, Order, OrderKey, OrderState, Row, UnreadableOrder
from reconciler.domain.policy import LatePayment, Policy

BORN = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
LAST_AGE = timedelta(hours=48)
MERCHANT = (("appid", "wx1"), ("mchid", "19"))
OURS, OTHER = ChannelName("wechat-main"), ChannelName("alipay-main")
MUCH = settings(max_examples=600, deadline=None, database=None)


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


T = TypeVar("T")


class Draw(random.Random):
    """Draws a world from one seed: far quicker than strategies all the way down, and the seed replays it."""

    def mostly(self, usual: T, *others: T) -> T:
        """Give the usual value four times out of five, so that whole agreement is not rare."""
        return self.choice(others) if self.random() < 0.2 else usual

    def maybe(self, value: T) -> T | None:
        return value if self.random() < 0.2 else None

    def span(self) -> timedelta:
        edges = (0, 9, 10, 60, 300, 599, 600, 601, 12 * 3600, 24 * 3600, 48 * 3600)
        ranges = (self.choice(edges), self.randint(-1200, 3600), self.randint(-1200, 20 * 86400))
        return timedelta(seconds=self.choice(ranges))

    def kinds(self) -> frozenset[CaseKind]:
        return frozenset(self.sample([*APPROVABLE, CaseKind.AMOUNT_MISMATCH], self.choice((0, 0, 1, 2, 4))))

    def text(self) -> str:
        return self.choice(("reset by peer", "状态", "x" * 300, "::", "0"))

    def row(self, key: str, fen: int) -> Row:
        state = self.mostly(OrderState.PENDING, OrderState.CLOSED, OrderState.CLOSED, *OrderState)
        if self.random() < 0.05:
            return UnreadableOrder(OrderKey(key), f"A{key}", state, "0", "total: NULL")
        transaction, paid_at = self.mostly(None, "T1", "T0"), self.mostly(None, BORN)
        return Order(OrderKey(key), f"A{key}", state, "0", Money(fen), BORN, transaction, paid_at)

    def trade(self, now: datetime) -> Trade:
        strangers = ((), (("appid", "wx2"), ("mchid", "19")), MERCHANT[1:], (*MERCHANT, ("sub_mchid", "20")))
        return Trade(
            self.mostly("A1-1", "A1-2", "a1-1", ""),
            self.mostly("T1", "T0", "", None),
            self.mostly(Money(9900), Money(10000), Money(10000), Money(9899), Money(0), Money(9900, "USD"), None),
            self.choice((now - timedelta(minutes=4), now - timedelta(minutes=4), now - self.span(), None)),
            self.mostly(MERCHANT, *strangers),
            self.mostly((), ("credit_pay_mode",)),
        )

    def answer(self, now: datetime) -> Answer:
        trade = self.trade(now)
        others: tuple[Answer, ...] = (
            Refunded(trade, self.choice((True, False, None))),
            Unpaid(trade),
            NotCreated(),
            Closed(trade),
            Unavailable(self.text()),
            Throttled(self.maybe(self.span())),
            Untrusted(self.text(), self.maybe(self.text())),
            Misconfigured(self.text()),
            Rejected(self.text()),
            Unrecognised(self.text()),
        )
        return Paid(trade) if self.random() < 0.6 else self.choice(others)

    def sibling(self) -> KnownAttempt:
        last = self.choice((None, "Closed", "Closed", "Unpaid", "Paid"))
        return KnownAttempt(OTHER, self.choice(("A1-2", "A1-3")), last, self.choice((None, "T0", "T1")))

    def history(self) -> History:
        return History(
            others=tuple(self.sibling() for _ in range(self.choice((0, 0, 1, 2)))),
            settled=self.maybe(Settlement(OURS, "A1-1", self.choice(("T0", "T1")))),
            transaction_moved=self.maybe(OrderKey("9")),
            was_paid=self.mostly(False, True),
            untrusted_run=self.randint(0, 7),
            resolved_for_good=self.random() < 0.1,
            open_cases=self.kinds(),
            channel_in_doubt=self.mostly(False, True),
        )

    def policy(self) -> Policy:
        return Policy(
            late_payment=self.choice((LatePayment.REVIVE, LatePayment.CASE)),
            review_over=self.choice((None, None, Money(9899), Money(9900), Money(10000))),
            review_after=self.choice((timedelta(hours=12), timedelta(minutes=3), timedelta(minutes=4))),
            revive_within=self.choice((timedelta(hours=24), timedelta(minutes=3), timedelta(minutes=4))),
            closes_orders=self.mostly(True, False),
            shared_payment=self.mostly(True, False),
            keeps_transaction_id=self.mostly(True, False),
            keeps_paid_at=self.mostly(True, False),
            merchants=self.mostly({OURS: MERCHANT}, {}, {OTHER: MERCHANT}),
        )

    def world(self) -> World:
        now = BORN + timedelta(minutes=20) + self.span()
        row = None if self.random() < 0.05 else self.row("1", 9900)
        others = (self.row("2", 100),) if self.random() < 0.3 else ()
        amount = self.mostly(None, Money(9900), Money(9899))
        attempt = Attempt(OrderKey("1"), "A1", OURS, "A1-1", BORN, amount)
        verified = self.mostly(True, False)
        reply = Reply(self.answer(now), verified, now, now)
        holders = (*(() if row is None else (row,)), *others)
        return World(Subject(attempt, row, holders), reply, self.history(), self.policy(), now)


def worlds() -> st.SearchStrategy[World]:
    """Any order, any answer, any history: worlds that may be, with agreement far likelier than chance."""
    return st.integers(0, 2**64).map(lambda seed: Draw(seed).world())


# -------------------------------------------------------------------------------------------------------- the settling


def _is_proven(world: World) -> bool:
    """Say from design.md's text, without the code under test, whether this payment may move its orders now."""
    answer, history, policy, now = world.reply.answer, world.history, world.policy, world.now
    if not (world.reply.verified and isinstance(answer, Paid)):
        return False
    trade, group = answer.trade, _waiting_group(world)
    if not group:
        return False
    if history.resolved_for_good or history.settled or history.transaction_moved:
        return False
    if history.was_paid and isinstance(world.subject.row, Order) and world.subject.row.state is OrderState.PENDING:
        return False
    if not _facts_agree(world.subject.attempt, group, trade, policy.merchants, now) or trade.paid_at is None:
        return False
    age = now - trade.paid_at
    if age < timedelta(seconds=10):
        return False
    if any(row.state is OrderState.CLOSED for row in group):
        untouched = not any(row.transaction_id or row.paid_at for row in group) and not history.was_paid
        kept = policy.keeps_transaction_id or policy.keeps_paid_at
        if policy.late_payment is LatePayment.CASE or not (untouched and kept and age <= policy.revive_within):
            return False
    small = policy.review_over is None or (trade.amount is not None and trade.amount.fen <= policy.review_over.fen)
    attempt = world.subject.attempt
    in_full = attempt.amount is None or len(group) > 1 or attempt.amount.fen >= group[0].amount.fen
    unclaimed = all(row.transaction_id in {None, trade.transaction_id} for row in group)
    return not trade.flags and small and in_full and unclaimed and age <= policy.review_after


def _waiting_group(world: World) -> list[Order]:
    rows = world.subject.holders
    if world.subject.row is None or (len(rows) > 1 and not world.policy.shared_payment):
        return []
    waiting = {OrderState.PENDING, OrderState.CLOSED}
    group = [row for row in rows if isinstance(row, Order) and row.state in waiting]
    return group if len(group) == len(rows) else []


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


@settings(MUCH, max_examples=3000)
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
        assert decision.pace is Pace.SOON, "about another number, or nobody read who carries it: asked again at once"
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
