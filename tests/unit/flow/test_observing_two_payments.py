"""A buyer who paid one order twice, while we only observe: what enforcing would do is said, and not two settlements."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.domain.answer import Answer, Misconfigured, Paid, Refunded, Throttled, Trade, Unavailable
from reconciler.domain.money import Money
from reconciler.domain.order import Attempt, ChannelName, OrderKey, OrderState
from reconciler.domain.policy import Policy
from reconciler.events.orders import CaseOpened, OrderSettled, OrderWouldSettle
from reconciler.flow.judged import UNANSWERED
from reconciler.flow.rounds import Rounds
from tests.unit.flow.bench import ALIPAY, WECHAT, Bench

DAY = 24 * 3600
PATIENT = Policy(review_after=timedelta(days=30))


def twice(bench: Bench, channel: ChannelName = ALIPAY) -> None:
    """Put an order with two attempts, both of them paid."""
    bench.order("1", "N1")
    row = bench.table.rows[OrderKey("1")]
    bench.shop().put_attempt("1", Attempt(row.key, row.order_no, channel, "N2", row.created_at))
    bench.pay("N1")
    bench.pay("N2", channel)


async def decisions(rounds: Rounds) -> dict[str, str]:
    story = await rounds.context.ledger.story("1")
    return {watch.attempt.out_trade_no: watch.last_decision for watch in story.watches}


@pytest.mark.parametrize("channel", [ALIPAY, WECHAT])
async def test_the_second_payment_would_be_a_case_and_not_a_second_settlement(channel: ChannelName) -> None:
    bench = Bench(enforcing=False, channels=(ALIPAY, WECHAT))
    twice(bench, channel)
    rounds = await bench.once()
    assert len(bench.events.of(OrderWouldSettle)) == 1
    (case,) = bench.events.of(CaseOpened)
    assert (case.kind, case.order_no) == ("duplicate_payment", "N1")
    assert case.why == "mode observe: by then another payment would have moved this order"
    assert sorted((await decisions(rounds)).values()) == ["duplicate_payment", "would_settle"]


async def test_asked_again_each_stays_what_it_was() -> None:
    bench = Bench(enforcing=False, policy=PATIENT)
    twice(bench)
    rounds = await bench.once()
    before = await decisions(rounds)
    for _ in range(3):
        await bench.clock.advance(DAY / 8)
        await bench.once(rounds)
    assert await decisions(rounds) == before
    assert len(bench.events.of(OrderWouldSettle)) == len(bench.events.of(CaseOpened)) == 1


async def test_what_would_not_have_moved_the_order_is_in_nobodys_way() -> None:
    bench = Bench(enforcing=False, policy=PATIENT)
    twice(bench)
    bench.gateway().will_answer("N1", Paid(Trade("N1", "T-N1", Money(1), bench.clock.now())))
    rounds = await bench.once()
    assert (await decisions(rounds))["N2"] == "would_settle"
    assert [case.kind for case in bench.events.of(CaseOpened)] == ["amount_mismatch"]


async def test_a_payment_that_was_refunded_since_is_in_nobodys_way_either() -> None:
    bench = Bench(enforcing=False, policy=PATIENT)
    twice(bench)
    rounds = await bench.once()
    first = next(number for number, decision in (await decisions(rounds)).items() if decision == "would_settle")
    second = {"N1": "N2", "N2": "N1"}[first]
    bench.gateway().will_answer(first, Refunded(Trade(first, f"T-{first}"), in_full=True))
    for _ in range(2):
        await bench.clock.advance(DAY / 4)
        await bench.once(rounds)
    assert (await decisions(rounds))[second] == "would_settle"


async def once_the_shop_has_it_paid(bench: Bench, transaction_id: str) -> dict[str, str]:
    """Observe an order that would be settled, see the shop move it by this payment, and look again a day later."""
    bench.order("1", "N1")
    bench.pay("N1")
    rounds = await bench.once()
    assert (await decisions(rounds)) == {"N1": "would_settle"}
    row = bench.table.rows[OrderKey("1")]
    bench.table.rows[row.key] = replace(row, state=OrderState.PAID, transaction_id=transaction_id)
    for _ in range(3):
        await bench.clock.advance(DAY)
        await bench.once(rounds)
    return await decisions(rounds)


async def test_an_order_that_another_payment_moved_meanwhile_was_paid_twice() -> None:
    bench = Bench(enforcing=False, policy=PATIENT)
    assert await once_the_shop_has_it_paid(bench, "T-OTHER") == {"N1": "duplicate_payment"}
    (case,) = bench.events.of(CaseOpened)
    assert case.why == "the buyer paid this order a second time"


async def test_an_order_that_its_own_payment_moved_meanwhile_is_asked_about_once_more_and_no_more() -> None:
    bench = Bench(enforcing=False, policy=PATIENT)
    assert await once_the_shop_has_it_paid(bench, "T-N1") == {"N1": "done"}
    assert not bench.events.of(CaseOpened)
    assert bench.gateway().asked["N1"] == 2


@pytest.mark.parametrize("silence", [Unavailable("away"), Throttled(), Misconfigured("401 SIGN_ERROR")])
async def test_what_the_gateway_said_before_it_fell_silent_still_stands(silence: Answer) -> None:
    bench = Bench(enforcing=False, policy=PATIENT)
    bench.order("1", "N1")
    trade = bench.pay("N1")
    rounds = await bench.once()
    bench.gateway().will_answer("N1", silence)
    await bench.clock.advance(DAY)
    await bench.once(rounds)
    assert (await decisions(rounds))["N1"] in UNANSWERED
    bench.gateway().will_answer("N1", Paid(trade))
    row = bench.table.rows[OrderKey("1")]
    bench.table.rows[row.key] = replace(row, state=OrderState.PAID, transaction_id="T-OTHER")
    for _ in range(2):
        await bench.clock.advance(DAY)
        await bench.once(rounds)
    assert await decisions(rounds) == {"N1": "duplicate_payment"}


async def test_enforcing_settles_one_and_asks_about_the_other() -> None:
    bench = Bench()
    twice(bench)
    await bench.once()
    assert len(bench.events.of(OrderSettled)) == 1
    (case,) = bench.events.of(CaseOpened)
    assert case.kind == "duplicate_payment"
    assert "mode observe" not in case.why


async def test_who_enforces_after_observing_is_not_asked_a_second_time() -> None:
    bench = Bench(enforcing=False, policy=PATIENT)
    twice(bench)
    await bench.once()
    bench.enforcing = True
    await bench.once(bench.process())
    assert len(bench.events.of(OrderSettled)) == 1
    assert len(bench.events.of(CaseOpened)) == 1
