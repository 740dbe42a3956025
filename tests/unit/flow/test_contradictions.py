"""A gateway that takes back what it has said: no payment is lost for that, and no refund forgotten."""

from __future__ import annotations

from datetime import timedelta

import pytest

from reconciler.domain.answer import Answer, NotCreated, Paid, Refunded, Trade, Unpaid
from reconciler.domain.case import CaseKind
from reconciler.domain.order import OrderKey, OrderState
from reconciler.testing.clock import ManualClock
from tests.unit.flow.bench import CNY_99, NOON, Bench

OLD = 49 * 60
"""Minutes: past the last age."""


@pytest.fixture
def bench(bench: Bench) -> Bench:
    bench.clock = ManualClock(NOON)
    return bench


def paid(bench: Bench, ago: timedelta = timedelta(seconds=1)) -> Paid:
    return Paid(Trade("N1", "T1", CNY_99, bench.clock.now() - ago))


def state_of(bench: Bench) -> OrderState:
    return bench.table.rows[OrderKey("1")].state


@pytest.mark.parametrize("denial", [Unpaid(Trade("N1")), NotCreated()], ids=lambda answer: type(answer).__name__)
async def test_a_payment_that_waited_for_its_callback_and_was_denied_since_comes_to_a_person(
    bench: Bench, denial: Answer
) -> None:
    bench.order("1", minutes=OLD)
    bench.gateway().will_answer("N1", paid(bench))
    rounds = await bench.once()
    assert not await rounds.context.ledger.cases(), "it is left to its callback for a moment"
    bench.gateway().will_answer("N1", denial)
    await bench.clock.advance(60)
    await bench.once(rounds)
    (case,) = await rounds.context.ledger.cases()
    assert case.kind is CaseKind.NEEDS_REVIEW
    assert state_of(bench) is OrderState.PENDING

    await bench.clock.advance(86_500)
    bench.gateway().will_answer("N1", paid(bench, timedelta(minutes=1)))
    await bench.once(rounds)
    assert state_of(bench) is OrderState.PAID, "said again, it settles"
    assert not await rounds.context.ledger.cases(), "and ends the case by itself"


async def test_a_refund_is_not_forgotten_however_often_an_old_payment_is_played(bench: Bench) -> None:
    bench.order("1", minutes=5)
    earlier = paid(bench, timedelta(minutes=2))
    bench.gateway().will_answer("N1", Refunded(earlier.trade, in_full=True))
    rounds = await bench.once()
    for _ in range(3):
        bench.gateway().will_answer("N1", earlier)
        await bench.clock.advance(3600)
        await bench.once(rounds)
    assert state_of(bench) is OrderState.PENDING
    (case,) = await rounds.context.ledger.cases()
    assert case.kind is CaseKind.REFUNDED_WHILE_PENDING
