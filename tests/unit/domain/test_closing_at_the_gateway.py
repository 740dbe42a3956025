"""`settle.close_at_gateway`: what nobody paid by its last age is closed at the gateway, once, and asked about again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.domain.answer import Answer, Closed, NotCreated, Paid, Refunded, Reply, Trade, Unavailable, Unpaid
from reconciler.domain.confirm import Subject
from reconciler.domain.decide import decide, when_next
from reconciler.domain.decision import CloseTrade, Stop, name_of
from reconciler.domain.history import History, KnownAttempt
from reconciler.domain.money import Money
from reconciler.domain.order import Attempt, ChannelName, Order, OrderKey, OrderState, UnreadableOrder
from reconciler.domain.policy import Policy
from tests.unit.domain.test_decision_table import AFTER_LAST_AGE, BEFORE_LAST_AGE, LATE, NOT_USABLE, STATES, _cells

if TYPE_CHECKING:
    from tests.unit.domain.conftest import Scene

CLOSES = {("Unpaid", state): "CloseTrade" for state in ("pending", "closed", "paid", "paid, other")}
"""The only cells that differ, and only after the last age."""


# --------------------------------------------------------------------------------------------------- the table, anew


@pytest.mark.parametrize(("answer", "state", "expected"), _cells(BEFORE_LAST_AGE))
def test_before_the_last_age_closing_at_the_gateway_changes_no_decision(
    scene: Scene, answer: str, state: str, expected: str
) -> None:
    closing = scene.with_policy(closes_at_gateway=True).in_state(state)
    assert closing.word(closing.answer_named(answer)) == expected
    assert closing.decide(closing.answer_named(answer)) == scene.in_state(state).decide(scene.answer_named(answer))


@pytest.mark.parametrize(("answer", "state", "expected"), _cells(AFTER_LAST_AGE))
def test_after_the_last_age_what_is_unpaid_of_a_readable_order_is_closed_at_the_gateway(
    scene: Scene, answer: str, state: str, expected: str
) -> None:
    late = scene.at_age(LATE).in_state(state)
    closing = late.with_policy(closes_at_gateway=True)
    assert closing.word(closing.answer_named(answer)) == CLOSES.get((answer, state), expected)
    assert late.word(late.answer_named(answer)) == expected


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(("answer", "when", "expected"), _cells(NOT_USABLE))
def test_an_answer_that_is_not_usable_closes_nothing(
    scene: Scene, state: str, answer: str, when: str, expected: str
) -> None:
    closing = scene.with_policy(closes_at_gateway=True)
    closing = (closing if when == "before the last age" else closing.at_age(LATE)).in_state(state)
    assert closing.word(closing.answer_named(answer), verified=False) == expected


@pytest.mark.parametrize("state", STATES)
def test_an_unpaid_without_its_signature_closes_nothing(scene: Scene, state: str) -> None:
    closing = scene.at_age(LATE).in_state(state).with_policy(closes_at_gateway=True)
    assert closing.word(closing.answer_named("Unpaid"), verified=False) == "unanswered/soon"


def test_an_unpaid_about_another_number_closes_nothing(scene: Scene) -> None:
    closing = scene.at_age(LATE).with_policy(closes_at_gateway=True)
    assert closing.word(Unpaid(Trade("A1-2"))) == "unanswered/soon"


# -------------------------------------------------------------------------------------------------- what is said, when


@pytest.fixture
def late(scene: Scene) -> Scene:
    return scene.at_age(LATE).with_policy(closes_at_gateway=True)


@pytest.mark.parametrize("state", ["pending", "closed", "paid, other"])
def test_a_trade_that_was_never_made_cannot_be_closed_and_that_is_said(late: Scene, state: str) -> None:
    decision = late.in_state(state).decide(NotCreated())
    assert isinstance(decision, Stop)
    assert "it cannot be closed, and a payment page still open could yet be paid" in decision.why


@pytest.mark.parametrize("state", ["gone", "unmapped", "unreadable"])
def test_nothing_is_said_of_closing_where_nothing_would_be_closed(late: Scene, state: str) -> None:
    assert "closed" not in late.in_state(state).decide(NotCreated()).why
    assert isinstance(late.in_state(state).decide(late.answer_named("Unpaid")), Stop)


def test_a_channel_in_doubt_is_asked_on_whatever_closing_says(late: Scene) -> None:
    assert late.with_history(channel_in_doubt=True).word(NotCreated()) == "probe"


@pytest.mark.parametrize("said", ["closed at the gateway", "not closed at the gateway: ACQ.TRADE_STATUS_ERROR"])
@pytest.mark.parametrize("state", ["pending", "closed", "paid"])
def test_what_is_still_unpaid_after_closing_was_tried_stops_and_says_so(late: Scene, state: str, said: str) -> None:
    tried = late.in_state(state).with_history(close_begun=True, close_outcome=said)
    decision = tried.decide(late.answer_named("Unpaid"))
    assert isinstance(decision, Stop)
    assert f"still unpaid, although closing was tried: {said}" in decision.why


def test_a_close_that_was_begun_and_came_to_nothing_is_begun_again(late: Scene) -> None:
    assert late.with_history(close_begun=True).word(late.answer_named("Unpaid")) == "CloseTrade"


@pytest.mark.parametrize(("answer", "expected"), [("Paid", "Settle"), ("Closed", "CloseOrder")])
def test_after_closing_the_ordinary_table_decides(late: Scene, answer: str, expected: str) -> None:
    tried = late.with_history(close_begun=True, close_outcome="closed at the gateway").with_policy(closes_orders=True)
    assert tried.word(tried.answer_named(answer)) == expected


@pytest.mark.parametrize("answer", ["Unavailable", "Throttled", "Untrusted"])
def test_no_answer_after_closing_is_no_case_since_its_last_age_was_answered(late: Scene, answer: str) -> None:
    begun = late.with_history(close_begun=True)
    assert begun.word(begun.answer_named(answer), verified=False) == "soon"


def test_a_number_on_several_orders_is_closed_for_none_of_them(late: Scene) -> None:
    younger = replace(late.order, key=OrderKey("2"), order_no="A2")
    shared = late.with_holders(late.order, younger)
    decision = shared.decide(late.answer_named("Unpaid"))
    assert isinstance(decision, Stop)
    assert "2 orders carry the number" in decision.why
    assert shared.with_policy(shared_payment=True).word(late.answer_named("Unpaid")) == "CloseTrade"


def test_after_closing_it_is_asked_soon_and_the_watch_goes_on(late: Scene) -> None:
    decision = late.decide(late.answer_named("Unpaid"))
    assert isinstance(decision, CloseTrade)
    assert name_of(decision) == "close_trade"
    first = when_next(decision, late.subject, late.policy, late.now, failures=1)
    ninth = when_next(decision, late.subject, late.policy, late.now, failures=9)
    assert first is not None
    assert ninth is not None
    assert timedelta(seconds=5) <= first - late.now <= timedelta(seconds=5.5)
    assert timedelta(minutes=5) <= ninth - late.now <= timedelta(minutes=5.5)


# ----------------------------------------------------------------------------------------------------------- properties

BORN = datetime.fromisoformat("2026-11-23T04:00:00+00:00")
LAST_AGE = timedelta(hours=48)
OURS = ChannelName("wechat-main")


@dataclass(frozen=True, slots=True)
class World:
    """One attempt of any age, in any state, at any point of being closed."""

    state: OrderState | None
    answer: Answer
    verified: bool
    age_s: int
    readable: bool
    history: History
    policy: Policy

    def decide(self) -> object:
        now = BORN + timedelta(seconds=self.age_s)
        attempt = Attempt(OrderKey("1"), "A1", OURS, "A1", BORN)
        row: Order | UnreadableOrder | None = None
        if self.state is not None:
            row = Order(OrderKey("1"), "A1", self.state, "0", Money(9900), BORN)
            row = row if self.readable else UnreadableOrder(OrderKey("1"), "A1", self.state, "0", "total: NULL")
        reply = Reply(self.answer, self.verified, now, now)
        return decide(Subject(attempt, row, () if row is None else (row,)), reply, self.history, self.policy, now)


HISTORIES = st.builds(
    History,
    others=st.sampled_from([(), (KnownAttempt(OURS, "A1-2", "Unpaid"),), (KnownAttempt(OURS, "A1-2", "Paid", "T0"),)]),
    close_begun=st.booleans(),
    close_outcome=st.sampled_from(["", "", "closed at the gateway", "not closed at the gateway: no"]),
    resolved_for_good=st.booleans(),
    channel_in_doubt=st.booleans(),
    last_verified=st.sampled_from([None, "Unpaid", "Paid", "Closed"]),
)
TRADES = st.sampled_from(["A1", "A1", "A1", "a1", ""]).map(Trade)
ANSWERS = st.one_of(
    TRADES.map(Unpaid),
    TRADES.map(Unpaid),
    TRADES.map(Closed),
    TRADES.map(Paid),
    TRADES.map(lambda trade: Refunded(trade, None)),
    st.just(NotCreated()),
    st.just(Unavailable("reset")),
)
AGES_S = st.one_of(st.integers(0, 60 * 86400), st.sampled_from([172799, 172800, 172861, 200000]))
WORLDS = st.builds(
    World,
    state=st.sampled_from([None, *OrderState]),
    answer=ANSWERS,
    verified=st.booleans(),
    age_s=AGES_S,
    readable=st.booleans(),
    history=HISTORIES,
    policy=st.builds(Policy, closes_at_gateway=st.sampled_from([True, True, False]), closes_orders=st.booleans()),
)


@settings(max_examples=2000, deadline=None, database=None)
@given(WORLDS)
def test_a_trade_is_closed_where_all_of_it_holds_and_nowhere_else(world: World) -> None:
    """Configured and enforcing, verified unpaid about this number, at the last age, never told before, and readable.

    And never paid, as far as its gateway has said, where the shop still waits.
    """
    jitter = timedelta(seconds=60)
    known = world.readable and world.state in {OrderState.PENDING, OrderState.CLOSED, OrderState.PAID}
    may = (
        world.policy.closes_at_gateway
        and isinstance(world.answer, Unpaid)
        and world.answer.trade.out_trade_no == "A1"
        and world.verified
        and not world.history.close_outcome
        and known
        and (world.history.last_verified != "Paid" or world.state is OrderState.PAID)
    )
    closes = isinstance(world.decide(), CloseTrade)
    age = timedelta(seconds=world.age_s)
    if closes:
        assert may
        assert age >= LAST_AGE
    elif may:
        assert age < LAST_AGE + jitter


@settings(max_examples=500, deadline=None, database=None)
@given(WORLDS)
def test_what_was_told_to_close_once_is_never_closed_again(world: World) -> None:
    told = replace(world, history=replace(world.history, close_begun=True, close_outcome="closed at the gateway"))
    assert not isinstance(told.decide(), CloseTrade)


@settings(max_examples=500, deadline=None, database=None)
@given(WORLDS)
def test_observing_closes_no_trade(world: World) -> None:
    observing = replace(world, policy=replace(world.policy, closes_at_gateway=False))
    assert not isinstance(observing.decide(), CloseTrade)
