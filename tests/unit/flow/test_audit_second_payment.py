"""The audit, and orders that were paid twice before we first saw them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from reconciler.domain.answer import Closed, NotCreated, Refunded, Trade, Unavailable, Unpaid
from reconciler.domain.case import CaseKind
from reconciler.domain.money import Money
from reconciler.domain.order import Attempt, ChannelName, OrderKey, OrderState
from reconciler.events.orders import CaseOpened
from reconciler.flow.audit import AuditPolicy
from reconciler.ports import Resolve
from tests.unit.flow.bench import ALIPAY, WECHAT, Bench
from tests.unit.flow.test_audit import Audit, asked, audit, paid

MINUTE = timedelta(minutes=1)


def another(bench: Bench, number: str = "N1-2", channel: ChannelName = ALIPAY) -> None:
    """Give order 1 one more attempt."""
    bench.shop().put_attempt("1", Attempt(OrderKey("1"), "N1", channel, number, bench.clock.now() - 5 * MINUTE))


def twice(bench: Bench) -> None:
    """Let order 1 be paid by both of its attempts, the second one later; the shop has recorded nothing."""
    bench.channels = (ALIPAY, WECHAT)
    paid(bench)
    another(bench, "N1-2", WECHAT)
    bench.pay("N1")
    bench.pay("N1-2", WECHAT, paid_at=bench.clock.now() - MINUTE)


async def test_a_second_payment_by_another_attempt_is_a_case(bench: Bench) -> None:
    twice(bench)
    made = await audit(bench)
    await made.lasts(5)
    (case,) = await made.cases()
    assert (case.kind, case.order_no) == (CaseKind.DUPLICATE_PAYMENT, "N1")
    assert (case.channel, case.out_trade_no) == (WECHAT, "N1-2"), "the later one, to be refunded"
    assert str(case.facts[0]) == "transaction_id: theirs T-N1-2 ≠ ours T-N1"
    assert case.why == "the buyer paid this order a second time"
    assert len(bench.said(CaseOpened)) == 1
    assert (asked(bench), asked(bench, "N1-2")) == (2, 2), "each number at both channels, once"
    entries = (await made.rounds.context.ledger.story("N1")).entries
    assert [line.entry.evidence is not None for line in entries if line.entry.kind == "case_opened"] == [True]


async def test_the_payment_that_the_shop_has_recorded_is_the_first_whenever_it_came(bench: Bench) -> None:
    twice(bench)
    bench.shop().change("1", transaction_id="T-N1-2")
    made = await audit(bench)
    await made.lasts(2)
    (case,) = await made.cases()
    assert (case.channel, case.out_trade_no) == (ALIPAY, "N1")


async def test_what_else_the_shop_writes_into_its_transaction_column_makes_no_second_payment(bench: Bench) -> None:
    paid(bench, transaction_id="by staff")
    bench.pay("N1")
    made = await audit(bench)
    await made.lasts(2)
    assert await made.cases() == []
    twice_too = Bench()
    twice(twice_too)
    twice_too.shop().change("1", transaction_id="by staff")
    made = await audit(twice_too)
    await made.lasts(2)
    (case,) = await made.cases()
    assert str(case.facts[0]) == "transaction_id: theirs T-N1-2 ≠ ours T-N1"


async def test_a_second_payment_of_the_same_number_at_another_channel_is_a_case(bench: Bench) -> None:
    bench.channels = (ALIPAY, WECHAT)
    paid(bench)
    bench.pay("N1", ALIPAY, transaction_id="TA")
    bench.pay("N1", WECHAT, transaction_id="TW", paid_at=bench.clock.now() - MINUTE)
    made = await audit(bench)
    await made.lasts(2)
    (case,) = await made.cases()
    assert (case.kind, case.channel, case.out_trade_no) == (CaseKind.DUPLICATE_PAYMENT, WECHAT, "N1")


async def test_a_second_payment_that_comes_after_the_first_look_is_found_by_a_later_walk(bench: Bench) -> None:
    paid(bench)
    another(bench)
    bench.pay("N1")
    bench.gateway().will_answer("N1-2", Unpaid(Trade("N1-2")))
    made = await audit(bench)
    await made.lasts(1.5)
    assert await made.cases() == []
    bench.pay("N1-2")
    await made.lasts(1)
    assert [case.kind for case in await made.cases()] == [CaseKind.DUPLICATE_PAYMENT]


async def test_an_order_none_of_whose_attempts_can_be_paid_any_more_is_asked_about_once(bench: Bench) -> None:
    paid(bench)
    another(bench)
    another(bench, "N1-3")
    bench.pay("N1")
    bench.gateway().will_answer("N1-2", Closed(Trade("N1-2")))
    bench.gateway().will_answer("N1-3", Refunded(Trade("N1-3", "T3", Money(9900), bench.clock.now()), in_full=True))
    made = await audit(bench)
    await made.lasts(5)
    assert (asked(bench), asked(bench, "N1-2"), asked(bench, "N1-3"), await made.cases()) == (1, 1, 1, [])


async def test_an_attempt_that_could_not_be_asked_about_is_asked_about_by_the_next_walk(bench: Bench) -> None:
    paid(bench)
    another(bench)
    bench.pay("N1")
    bench.gateway().will_answer("N1-2", Unavailable("away"))
    made = await audit(bench)
    await made.lasts(0.5)
    bench.pay("N1-2")
    await made.lasts(1)
    assert [case.kind for case in await made.cases()] == [CaseKind.DUPLICATE_PAYMENT]


async def test_one_payment_under_two_numbers_is_one_payment(bench: Bench) -> None:
    paid(bench)
    another(bench)
    bench.pay("N1", transaction_id="T")
    bench.pay("N1-2", transaction_id="T")
    made = await audit(bench)
    await made.lasts(3)
    assert await made.cases() == []


async def test_three_payments_are_one_case_with_both_of_those_to_be_refunded(bench: Bench) -> None:
    twice(bench)
    another(bench, "N1-3")
    bench.pay("N1-3", paid_at=bench.clock.now())
    made = await audit(bench)
    await made.lasts(2)
    (case,) = await made.cases()
    assert [fact.theirs for fact in case.facts if fact.name == "transaction_id"] == ["T-N1-2", "T-N1-3"]


@pytest.mark.parametrize("state", [OrderState.REFUNDED, OrderState.CLOSED])
async def test_a_row_that_moves_on_while_the_gateway_is_asked_is_no_case(bench: Bench, state: OrderState) -> None:
    twice(bench)
    made = await audit(bench)
    bench.gateway(WECHAT).on_ask = lambda _number: bench.shop().change("1", state=state)
    await made.lasts(2)
    assert await made.cases() == []


async def test_one_that_a_person_has_resolved_is_not_asked_of_him_again(bench: Bench) -> None:
    twice(bench)
    made = await audit(bench)
    await made.lasts(2)
    (case,) = await made.cases()
    await made.rounds.context.ledger.handle([Resolve(case.id, "li", "refunded by hand")], bench.clock.now())
    made = Audit(bench, made.rounds)
    await made.lasts(2)
    assert (await made.cases(), len(bench.said(CaseOpened))) == ([], 1)


async def test_observing_it_is_a_case_all_the_same_and_nothing_is_written(bench: Bench) -> None:
    bench.enforcing = False
    twice(bench)
    before = dict(bench.table.rows)
    made = await audit(bench)
    await made.lasts(2)
    assert [case.kind for case in await made.cases()] == [CaseKind.DUPLICATE_PAYMENT]
    assert bench.table.rows == before


async def test_a_channel_that_is_not_well_holds_up_no_order_that_has_its_payment(bench: Bench) -> None:
    bench.channels = (ALIPAY, WECHAT)
    paid(bench)
    bench.pay("N1")
    made = await audit(bench)
    made.rounds.channels[1].paused_since = bench.clock.now()
    await made.lasts(3)
    assert (asked(bench), await made.cases()) == (1, [])


async def test_the_rate_is_kept_with_many_attempts(bench: Bench) -> None:
    for number in range(20):
        paid(bench, str(number))
        bench.pay(f"N{number}")
        key = OrderKey(str(number))
        attempt = Attempt(key, f"N{number}", ALIPAY, f"M{number}", bench.clock.now() - MINUTE)
        bench.shop().put_attempt(str(number), attempt)
        bench.gateway().will_answer(f"M{number}", NotCreated())
    made = await audit(bench, AuditPolicy(rate=0.1))
    await made.lasts(200 / 3600)
    assert sum(asked(bench, f"{letter}{number}") for letter in "NM" for number in range(20)) == 20
