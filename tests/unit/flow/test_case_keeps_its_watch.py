"""A case keeps its watch, however old its order: put right at last, the order settles, and the case ends by itself."""

from __future__ import annotations

from datetime import timedelta

import pytest

from reconciler.domain.answer import Answer, NotCreated, Paid, Trade, Unpaid
from reconciler.domain.case import CaseKind
from reconciler.domain.money import Money
from reconciler.domain.order import OrderKey, OrderState
from reconciler.domain.policy import Policy
from reconciler.domain.schedule import PROBE_EVERY
from reconciler.flow.rounds import Rounds
from reconciler.ports import Case, Resolve
from reconciler.testing.clock import ManualClock
from tests.unit.flow.bench import CNY_99, NOON, Bench

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


async def test_what_a_person_has_resolved_is_asked_about_once_more_and_noted(
    bench: Bench, rounds: Rounds, asks: list[str]
) -> None:
    case = await the_case(rounds)
    await rounds.context.ledger.handle([Resolve(case.id, "zhang", "refunded by hand")], bench.clock.now())
    for _ in range(3):
        await bench.clock.advance(DAY_S)
        await bench.once(rounds)
    assert len(asks) == 2
    assert not await rounds.context.ledger.cases()
    story = await rounds.context.ledger.story(OrderKey("1"))
    assert story.watches[0].ended_at is not None
    assert [told.entry.kind for told in story.entries].count("watch_ended") == 1


async def test_in_mode_observe_it_is_kept_too(bench: Bench, asks: list[str]) -> None:
    bench.order("1", minutes=49 * 60)
    bench.gateway().will_answer("N1", paid(bench, Money(1)))
    bench.enforcing = False
    rounds = bench.process()
    for _ in range(3):
        await bench.once(rounds)
        await bench.clock.advance(DAY_S)
    assert len(asks) == 3
