"""A case keeps its watch, however old its order: put right at last, the order settles, and the case ends by itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.domain.answer import (
    Answer,
    Closed,
    NotCreated,
    Paid,
    Refunded,
    Rejected,
    Throttled,
    Trade,
    Unavailable,
    Unpaid,
    Unrecognised,
)
from reconciler.domain.case import CaseKind
from reconciler.domain.money import Money
from reconciler.domain.order import Attempt, OrderKey, OrderState
from reconciler.domain.policy import Policy
from reconciler.domain.schedule import PROBE_EVERY
from reconciler.flow.handle import Desk
from reconciler.flow.rounds import Rounds
from reconciler.ports import Approve, Case, Move, Moved, NotMoved, Resolve, Snooze
from reconciler.testing.clock import ManualClock
from reconciler.testing.shop import MemoryShop
from tests.unit.flow.bench import ALIPAY, CNY_99, NOON, WECHAT, Bench

DAY_S = PROBE_EVERY.total_seconds() + 60


@pytest.fixture
def asks(bench: Bench) -> list[str]:
    """Take down each number that is asked about."""
    numbers: list[str] = []
    bench.clock = ManualClock(NOON)
    bench.policy = Policy(review_after=timedelta(days=30))  # else its age is the next question
    bench.gateway().on_ask = numbers.append
    return numbers


@pytest.fixture
async def rounds(bench: Bench, asks: list[str]) -> Rounds:
    """Ask once about an order past its last age, of which a cent was paid."""
    bench.order("1", minutes=49 * 60)
    bench.gateway().will_answer("N1", paid(bench, Money(1)))
    assert not asks
    return await bench.once()


def paid(bench: Bench, amount: Money = CNY_99) -> Paid:
    return Paid(Trade("N1", "T1", amount, bench.clock.now() - timedelta(minutes=2)))


async def the_case(rounds: Rounds) -> Case:
    (case,) = await rounds.context.ledger.cases()
    return case


async def test_it_is_asked_about_once_a_day_and_settles_when_the_shop_has_put_it_right(
    bench: Bench, rounds: Rounds, asks: list[str]
) -> None:
    assert (await the_case(rounds)).kind is CaseKind.AMOUNT_MISMATCH
    for _ in range(5):
        await bench.clock.advance(DAY_S)
        await bench.once(rounds)
    assert len(asks) == 6
    bench.shop().change("1", amount=Money(1))
    await bench.clock.advance(DAY_S)
    await bench.once(rounds)
    assert bench.table.rows[OrderKey("1")].state is OrderState.PAID
    assert not await rounds.context.ledger.cases()


@pytest.mark.parametrize("denial", [Unpaid(Trade("N1")), NotCreated()], ids=lambda answer: type(answer).__name__)
async def test_a_gateway_that_takes_its_word_back_does_not_end_it(bench: Bench, rounds: Rounds, denial: Answer) -> None:
    for _ in range(2):
        bench.gateway().will_answer("N1", denial)
        await bench.clock.advance(DAY_S)
        await bench.once(rounds)
    assert (await the_case(rounds)).kind is CaseKind.AMOUNT_MISMATCH, "one question is enough"
    bench.gateway().will_answer("N1", paid(bench))
    await bench.clock.advance(DAY_S)
    await bench.once(rounds)
    assert bench.table.rows[OrderKey("1")].state is OrderState.PAID


GIVEN_BACK = (Closed(Trade("N1")), Refunded(Trade("N1", "T1", Money(1), NOON), in_full=True))


@pytest.mark.parametrize("answer", [None, *GIVEN_BACK], ids=["as before", "closed", "refunded"])
@pytest.mark.parametrize("final", [False, True], ids=["resolved", "for good"])
async def test_what_a_person_has_dealt_with_is_asked_about_once_more_and_nothing_new_comes_of_it(
    bench: Bench, rounds: Rounds, asks: list[str], answer: Answer | None, final: bool
) -> None:
    if answer is not None:
        bench.gateway().will_answer("N1", answer)
    case = await the_case(rounds)
    done = [Resolve(case.id, "zhang", "refunded by hand", final=final)]
    await rounds.context.ledger.handle(done, bench.clock.now())
    for _ in range(3):
        await bench.clock.advance(DAY_S)
        await bench.once(rounds)
    assert len(asks) == 2
    assert not await rounds.context.ledger.cases()
    story = await rounds.context.ledger.story(OrderKey("1"))
    assert story.watches[0].ended_at is not None
    (ended,) = [told.entry for told in story.entries if told.entry.kind == "watch_ended"]
    assert str(ended.body["why"]).endswith("a person has looked at it")


async def test_put_right_and_resolved_it_settles(bench: Bench, rounds: Rounds) -> None:
    bench.shop().change("1", amount=Money(1))
    await rounds.context.ledger.handle([Resolve((await the_case(rounds)).id, "zhang", "corrected")], bench.clock.now())
    await bench.clock.advance(DAY_S)
    await bench.once(rounds)
    assert bench.table.rows[OrderKey("1")].state is OrderState.PAID


async def test_resolved_before_its_last_age_it_ends_with_that_one(bench: Bench, asks: list[str]) -> None:
    bench.order("1", minutes=47 * 60)
    bench.gateway().will_answer("N1", paid(bench, Money(1)))
    rounds = await bench.once()
    await rounds.context.ledger.handle([Resolve((await the_case(rounds)).id, "zhang", ".")], bench.clock.now())
    for _ in range(3):
        await bench.clock.advance(3600)
        await bench.once(rounds)
    assert len(asks) == 2
    story = await rounds.context.ledger.story(OrderKey("1"))
    assert story.watches[0].why.endswith("CNY 99.00 in the shop; a person has looked at it")
    assert [told.entry.body["why"] for told in story.entries if told.entry.kind == "watch_ended"] == [
        story.watches[0].why
    ]


class Refusing(MemoryShop):
    """A shop whose database refuses to move an order."""

    async def settle(self, move: Move) -> Moved | NotMoved:
        return NotMoved(await self.read([order.key for order in move.orders]), "a trigger says no")


async def test_an_order_that_could_not_be_moved_is_tried_until_a_person_has_dealt_with_it(
    bench: Bench, asks: list[str]
) -> None:
    shop = Refusing(channels={name: (name,) for name in bench.channels}, table=bench.table)
    bench.order("1", minutes=49 * 60)
    bench.pay("N1")
    rounds = bench.process(shop)
    for _ in range(3):
        await bench.once(rounds)
        await bench.clock.advance(DAY_S)
    case = await the_case(rounds)
    assert case.kind is CaseKind.SETTLE_REFUSED
    await rounds.context.ledger.handle([Resolve(case.id, "zhang", "delivered by hand")], bench.clock.now())
    for _ in range(3):
        await bench.once(rounds)
        await bench.clock.advance(DAY_S)
    assert len(asks) == 4
    story = await rounds.context.ledger.story(OrderKey("1"))
    assert story.watches[0].ended_at is not None
    assert story.entries[-1].entry.kind == "watch_ended"


async def test_one_bad_moment_a_day_later_raises_no_second_question(bench: Bench, rounds: Rounds) -> None:
    bench.gateway().will_answer("N1", Throttled(timedelta(seconds=1)), paid(bench, Money(1)))
    await bench.clock.advance(DAY_S)
    await bench.once(rounds)
    await bench.clock.advance(600)
    await bench.once(rounds)
    assert (await the_case(rounds)).kind is CaseKind.AMOUNT_MISMATCH


async def test_an_order_that_vanished_and_came_back_is_still_asked_about(bench: Bench, rounds: Rounds) -> None:
    row = bench.table.rows.pop(OrderKey("1"))
    for answer in (paid(bench, Money(1)), NotCreated(), Unpaid(Trade("N1"))):
        bench.gateway().will_answer("N1", answer)
        await bench.clock.advance(DAY_S)
        await bench.once(rounds)
    bench.table.rows[row.key] = row
    bench.gateway().will_answer("N1", paid(bench))
    await bench.clock.advance(DAY_S)
    await bench.once(rounds)
    assert bench.table.rows[row.key].state is OrderState.PAID


def with_more_attempts(bench: Bench, *numbers: str) -> None:
    bench.order("1", minutes=49 * 60)
    row = bench.table.rows[OrderKey("1")]
    for number in numbers:
        bench.shop().put_attempt("1", Attempt(row.key, row.order_no, ALIPAY, number, row.created_at))
    for number in ("N1", *numbers):
        bench.pay(number)


async def test_two_questions_of_one_kind_do_not_take_turns(bench: Bench, asks: list[str]) -> None:
    with_more_attempts(bench, "N2", "N3")
    rounds = await bench.once()
    until = bench.clock.now() + timedelta(days=30)
    case = await the_case(rounds)
    assert case.kind is CaseKind.DUPLICATE_PAYMENT
    await rounds.context.ledger.handle([Snooze(case.id, "zhang", until)], bench.clock.now())
    for _ in range(5):
        await bench.clock.advance(DAY_S)
        await bench.once(rounds)
    assert asks.count("N2") == 6
    story = await rounds.context.ledger.story(OrderKey("1"))
    assert [told.entry.kind for told in story.entries].count("case_repeated") <= 1
    assert (await the_case(rounds)).snoozed_until == until


async def test_of_two_second_payments_each_is_told(bench: Bench, asks: list[str]) -> None:
    with_more_attempts(bench, "N2", "N3")
    rounds = await bench.once()
    first = await the_case(rounds)
    done = Resolve(first.id, "zhang", f"refunded {first.out_trade_no}", shown=first.digest)
    await rounds.context.ledger.handle([done], bench.clock.now())
    for _ in range(3):
        await bench.clock.advance(DAY_S)
        await bench.once(rounds)
    other = await the_case(rounds)
    assert first.out_trade_no != other.out_trade_no
    assert asks.count(first.out_trade_no) == 2


async def test_approved_for_one_of_two_payments_the_other_is_a_second_one(bench: Bench, asks: list[str]) -> None:
    bench.policy = replace(bench.policy, review_over=Money(5000))
    with_more_attempts(bench, "N2")
    rounds = await bench.once()
    case = await the_case(rounds)
    assert await rounds.take_charge()
    desk = Desk(rounds.context, bench.inquiry(rounds))
    assert (await desk.approve(Approve(case.id, "zhang", shown=case.digest))).done
    await bench.clock.advance(DAY_S)
    await bench.once(rounds)
    assert (await the_case(rounds)).kind is CaseKind.DUPLICATE_PAYMENT
    assert len(asks) > 2


async def test_an_order_that_was_refunded_here_too_ends_its_case_whatever_is_said_of_it(
    bench: Bench, rounds: Rounds
) -> None:
    bench.shop().change("1", state=OrderState.REFUNDED)
    bench.gateway().will_answer("N1", NotCreated())
    await bench.clock.advance(DAY_S)
    await bench.once(rounds)
    assert not await rounds.context.ledger.cases()


@pytest.mark.parametrize("closes", [False, True])
async def test_a_second_payment_that_is_taken_back_is_not_closed_at_the_gateway(
    bench: Bench, asks: list[str], closes: bool
) -> None:
    bench.policy = replace(bench.policy, closes_at_gateway=closes)
    with_more_attempts(bench, "N2")
    rounds = await bench.once()
    case = await the_case(rounds)
    bench.gateway().will_answer(case.out_trade_no, Unpaid(Trade(case.out_trade_no)))
    await bench.clock.advance(DAY_S)
    await bench.once(rounds)
    assert asks.count(case.out_trade_no) == 2
    assert bench.gateway().closed == []
    assert len(await rounds.context.ledger.cases()) == 1


async def test_in_mode_observe_it_is_kept_too(bench: Bench, asks: list[str]) -> None:
    bench.order("1", minutes=49 * 60)
    bench.gateway().will_answer("N1", paid(bench, Money(1)))
    bench.enforcing = False
    rounds = bench.process()
    for _ in range(3):
        await bench.once(rounds)
        await bench.clock.advance(DAY_S)
    assert len(asks) == 3


@pytest.mark.parametrize(
    "first", [Unavailable("outage"), Rejected("bad"), Unrecognised("HM")], ids=lambda each: type(each).__name__
)
async def test_a_refund_that_may_be_partial_is_told_whatever_was_resolved_before(
    bench: Bench, asks: list[str], first: Answer
) -> None:
    bench.order("1", minutes=49 * 60)
    bench.gateway().will_answer("N1", first)
    rounds = await bench.once()
    await rounds.context.ledger.handle([Resolve((await the_case(rounds)).id, "zhang", "an outage")], bench.clock.now())
    bench.gateway().will_answer("N1", Refunded(Trade("N1", "T1", CNY_99, NOON), in_full=None))
    await bench.clock.advance(DAY_S)
    await bench.once(rounds)
    assert (await the_case(rounds)).kind is CaseKind.REFUNDED_WHILE_PENDING
    assert len(asks) == 2


async def test_a_second_payment_that_is_refused_too_is_another_question(bench: Bench, asks: list[str]) -> None:
    shop = Refusing(channels={name: (name,) for name in bench.channels}, table=bench.table)
    with_more_attempts(bench, "N2")
    bench.gateway().will_answer("N2", NotCreated())
    rounds = await bench.once(bench.process(shop))
    await rounds.context.ledger.handle([Resolve((await the_case(rounds)).id, "zhang", "refunded")], bench.clock.now())
    bench.pay("N2")
    await rounds.context.ledger.wake([OrderKey("1")], bench.clock.now())
    await bench.once(rounds)
    assert (await the_case(rounds)).out_trade_no == "N2"
    assert asks.count("N2") == 2


async def test_one_number_at_two_channels_is_two_questions_that_do_not_take_turns(
    bench: Bench, asks: list[str]
) -> None:
    bench.channels = (ALIPAY, WECHAT)
    bench.order("1", minutes=49 * 60, state=OrderState.CLOSED)
    row = bench.table.rows[OrderKey("1")]
    bench.shop().put_attempt("1", Attempt(row.key, row.order_no, WECHAT, "N1", row.created_at))
    bench.pay("N1")
    bench.pay("N1", WECHAT, transaction_id="W1")
    rounds = await bench.once()
    until = bench.clock.now() + timedelta(days=30)
    await rounds.context.ledger.handle([Snooze((await the_case(rounds)).id, "zhang", until)], bench.clock.now())
    for _ in range(4):
        await bench.clock.advance(DAY_S)
        await bench.once(rounds)
    assert len(asks) == 5
    assert (await the_case(rounds)).snoozed_until == until


async def test_a_question_that_is_asked_no_more_gives_way_to_one_that_is(bench: Bench, asks: list[str]) -> None:
    with_more_attempts(bench, "N2")
    bench.shop().change("1", state=OrderState.CLOSED)
    rounds = await bench.once()
    shown = (await the_case(rounds)).out_trade_no
    given_back = Refunded(Trade(shown, f"T-{shown}", CNY_99, NOON), in_full=True)
    bench.gateway().will_answer(shown, given_back)
    for _ in range(2):
        await bench.clock.advance(DAY_S)
        await bench.once(rounds)
    assert (await the_case(rounds)).out_trade_no == ({"N1", "N2"} - {shown}).pop()
    assert asks.count(shown) == 2


async def test_an_order_that_is_put_back_and_dealt_with_writes_no_line_an_hour(bench: Bench, asks: list[str]) -> None:
    bench.order("1", minutes=49 * 60)
    bench.pay("N1")
    rounds = await bench.once()
    await bench.clock.advance(600)
    bench.shop().change("1", state=OrderState.PENDING)
    await bench.once(rounds)
    await rounds.context.ledger.handle([Resolve((await the_case(rounds)).id, "zhang", "twice")], bench.clock.now())
    for _ in range(30):
        await bench.clock.advance(3600)
        await bench.once(rounds)
    assert len(asks) > 5
    story = await rounds.context.ledger.story(OrderKey("1"))
    assert [told.entry.kind for told in story.entries].count("watch_ended") <= 2
