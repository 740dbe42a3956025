"""The audit: orders that the shop calls paid, and that every gateway denies again and again."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from reconciler.domain.answer import (
    Answer,
    Closed,
    Misconfigured,
    NotCreated,
    Paid,
    Refunded,
    Rejected,
    Trade,
    Unavailable,
    Unpaid,
    Untrusted,
)
from reconciler.domain.case import CaseKind
from reconciler.domain.money import Money
from reconciler.domain.order import Attempt, OrderKey, OrderState
from reconciler.events.orders import CaseOpened
from reconciler.flow.audit import Auditor, AuditPolicy
from reconciler.flow.audit_walk import PAGE_ROWS, WALK_MARK
from reconciler.flow.doubt import NOT_CREATED_RUN
from reconciler.flow.rounds import Rounds
from reconciler.flow.suspects import SUSPECTS_MARK, SUSPECTS_MAX
from reconciler.ports import Case, Resolve, ShopUnavailable
from tests.unit.flow.bench import ALIPAY, WECHAT, Bench

POLICY = AuditPolicy(rate=1.0, window=timedelta(hours=24))


class Audit:
    """A leader's audit on the bench, and time passing with it."""

    def __init__(self, bench: Bench, rounds: Rounds, policy: AuditPolicy = POLICY) -> None:
        self.bench, self.rounds = bench, rounds
        self.auditor = Auditor(rounds.context, rounds.channels, policy)

    async def lasts(self, hours: float) -> None:
        """Let the audit do its turns for so long."""
        until = self.bench.clock.now() + timedelta(hours=hours)
        while self.bench.clock.now() < until:
            await self.bench.clock.advance(await self.auditor.turn())

    async def cases(self) -> list[Case]:
        return list(await self.rounds.context.ledger.cases())

    async def mark(self, name: str) -> Any:  # noqa: ANN401 # whatever it holds
        return json.loads(await self.rounds.context.ledger.mark(name) or "null")


async def audit(bench: Bench, policy: AuditPolicy = POLICY) -> Audit:
    rounds = bench.process()
    assert await rounds.take_charge()
    return Audit(bench, rounds, policy)


def paid(bench: Bench, key: str = "1", answer: Answer | None = None, **facts: object) -> None:
    """Put an order that the shop calls paid, and what the gateway says of it."""
    bench.order(key, state=OrderState.PAID, **facts)  # type: ignore[arg-type] # whatever a test says
    bench.gateway().will_answer(f"N{key}", answer or NotCreated())


def asked(bench: Bench, number: str = "N1") -> int:
    return sum(gateway.asked[number] for gateway in bench.gateways.values())


async def test_what_every_gateway_denies_three_times_over_an_hour_is_a_case(bench: Bench) -> None:
    paid(bench, transaction_id="T9")
    made = await audit(bench)
    await made.lasts(0.9)
    assert asked(bench) == 2
    assert await made.cases() == []
    await made.lasts(0.2)
    assert asked(bench) == 3
    (case,) = await made.cases()
    assert (case.kind, case.order_no, case.out_trade_no) == (CaseKind.PAID_WITHOUT_PAYMENT, "N1", "N1")
    assert "asked 3 times over 60 minutes" in case.why
    assert [str(fact) for fact in case.facts] == [
        "N1 at alipay-main: theirs no such trade ≠ ours paid (status paid), transaction T9"
    ]
    assert len(bench.said(CaseOpened)) == 1


async def test_a_case_is_asked_about_no_more(bench: Bench) -> None:
    paid(bench)
    made = await audit(bench)
    await made.lasts(5)
    assert (asked(bench), len(await made.cases())) == (3, 1)


@pytest.mark.parametrize("answer", [Paid, lambda trade: Refunded(trade, in_full=True)], ids=["paid", "refunded"])
async def test_what_was_paid_is_asked_about_once(bench: Bench, answer: Any) -> None:  # noqa: ANN401 # makes an answer
    paid(bench, answer=answer(Trade("N1", "T1", Money(9900), bench.clock.now())))
    made = await audit(bench)
    await made.lasts(5)
    assert (asked(bench), await made.cases()) == (1, [])


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (NotCreated(), "no such trade"),
        (Unpaid(Trade("N1")), "not paid"),
        (Closed(Trade("N1")), "ambiguous: some gateways say so after a refund in full, too"),
    ],
)
async def test_each_denial_is_worded_as_what_it_is(bench: Bench, answer: Answer, words: str) -> None:
    paid(bench, answer=answer)
    made = await audit(bench)
    await made.lasts(1.2)
    (case,) = await made.cases()
    assert words in case.facts[0].theirs


@pytest.mark.parametrize("answer", [Unavailable("away"), Untrusted("unsigned"), Misconfigured("key"), Rejected("odd")])
async def test_an_answer_that_says_nothing_denies_nothing(bench: Bench, answer: Answer) -> None:
    paid(bench, answer=answer)
    made = await audit(bench)
    await made.lasts(3)
    assert await made.cases() == []


async def test_one_answer_that_finds_a_payment_clears_the_order(bench: Bench) -> None:
    paid(bench)
    made = await audit(bench)
    await made.lasts(0.9)
    bench.pay("N1")
    await made.lasts(5)
    assert (asked(bench), await made.cases(), await made.mark(SUSPECTS_MARK)) == (3, [], [])


async def test_an_attempt_that_one_channel_knows_clears_the_order_at_every_channel(bench: Bench) -> None:
    """The shop's channel column may be stale: each number is asked about everywhere before it is denied."""
    bench.channels = (ALIPAY, WECHAT)
    paid(bench)
    bench.pay("N1", WECHAT)
    made = await audit(bench)
    await made.lasts(2)
    assert (bench.gateway(ALIPAY).asked["N1"], bench.gateway(WECHAT).asked["N1"]) == (1, 1)
    assert await made.cases() == []


async def test_another_channel_that_refuses_the_number_denies_it(bench: Bench) -> None:
    bench.channels = (ALIPAY, WECHAT)
    paid(bench)
    bench.gateway(WECHAT).will_answer("N1", Rejected("too long"))
    made = await audit(bench)
    await made.lasts(1.2)
    (case,) = await made.cases()
    assert [fact.theirs for fact in case.facts] == ["no such trade", "no number of its own: too long"]
    assert made.rounds.channels[1].paused_since is None


async def test_every_attempt_of_an_order_is_asked_about(bench: Bench) -> None:
    paid(bench)
    created = bench.clock.now() - timedelta(minutes=5)
    bench.shop().put_attempt("1", Attempt(OrderKey("1"), "N1", ALIPAY, "N1-2", created))
    bench.pay("N1-2")
    made = await audit(bench)
    await made.lasts(2)
    assert (asked(bench), asked(bench, "N1-2"), await made.cases()) == (2, 2, []), "the other may be paid yet"


async def test_an_attempt_that_only_the_ledger_knows_is_asked_about_too(bench: Bench) -> None:
    """The buyer's first page, whose number the row no longer has."""
    bench.order("1", "OLD")
    bench.gateway().will_answer("OLD", NotCreated())
    rounds = await bench.once()
    bench.shop().change("1", out_trade_no="N1", state=OrderState.PAID)
    bench.gateway().will_answer("N1", NotCreated())
    before = asked(bench, "OLD")
    assert await rounds.take_charge()
    made = Audit(bench, rounds)
    await made.lasts(1.2)
    (case,) = await made.cases()
    assert [fact.name for fact in case.facts] == ["OLD at alipay-main", "N1 at alipay-main"]
    assert asked(bench, "OLD") == before + 3


async def test_what_the_daemon_itself_settled_is_skipped(bench: Bench) -> None:
    bench.order("1")
    bench.pay("N1")
    rounds = await bench.once()
    assert bench.table.rows[OrderKey("1")].state is OrderState.PAID
    before = asked(bench)
    assert await rounds.take_charge()
    await Audit(bench, rounds).lasts(2)
    assert asked(bench) == before


async def test_what_a_verified_answer_called_paid_before_is_skipped(bench: Bench) -> None:
    bench.order("1")
    bench.pay("N1", amount=Money(1))
    rounds = await bench.once()
    bench.shop().change("1", state=OrderState.PAID)
    before = asked(bench)
    assert await rounds.take_charge()
    await Audit(bench, rounds).lasts(2)
    assert asked(bench) == before


@pytest.mark.parametrize("change", ["free", "old", "stranger", "unreadable attempt", "pending"])
async def test_what_no_gateway_need_know_of_is_not_asked_about(bench: Bench, change: str) -> None:
    paid(bench, minutes=25 * 60 if change == "old" else 5)
    match change:
        case "free":
            bench.shop().change("1", amount=Money(0))
        case "stranger":
            bench.shop().change("1", channel="cash")
        case "unreadable attempt":
            bench.shop().put_unreadable("1", "no: NULL where a number is due")
        case "pending":
            bench.shop().change("1", state=OrderState.PENDING)
    made = await audit(bench)
    await made.lasts(3)
    assert (asked(bench), await made.cases()) == (0, [])


async def test_a_row_that_is_not_paid_any_more_is_no_case(bench: Bench) -> None:
    paid(bench)
    made = await audit(bench)
    await made.lasts(0.9)
    bench.shop().change("1", state=OrderState.REFUNDED)
    await made.lasts(2)
    assert (asked(bench), await made.cases(), await made.mark(SUSPECTS_MARK)) == (2, [], [])


async def test_a_row_that_is_refunded_while_the_last_ask_is_on_its_way_is_no_case(bench: Bench) -> None:
    paid(bench)
    made = await audit(bench)
    await made.lasts(0.9)
    bench.gateway().on_ask = lambda _number: bench.shop().change("1", state=OrderState.REFUNDED)
    await made.lasts(1)
    assert (asked(bench), await made.cases()) == (3, [])


@pytest.mark.parametrize("trouble", ["paused", "by hand", "in doubt", "away"])
async def test_a_channel_that_is_not_well_is_not_asked_and_denies_nothing(bench: Bench, trouble: str) -> None:
    paid(bench)
    made = await audit(bench)
    await made.lasts(0.9)
    (channel,) = made.rounds.channels
    match trouble:
        case "paused":
            channel.paused_since = bench.clock.now()
        case "by hand":
            channel.by_hand = _by_hand()
        case "in doubt":
            channel.doubt.since = bench.clock.now()
        case "away":
            channel.reach.away_since = bench.clock.now()
    await made.lasts(3)
    assert (asked(bench), await made.cases()) == (2, [])
    channel.paused_since = channel.by_hand = channel.doubt.since = channel.reach.away_since = None
    await made.lasts(0.2)
    assert (asked(bench), len(await made.cases())) == (3, 1), "what was denied before the trouble still counts"


def _by_hand() -> Any:  # noqa: ANN401 # only whether there is one counts here
    from reconciler.flow.channel import ByHand  # noqa: PLC0415 # beside its use

    return ByHand("2026-11-23T12:00:00+00:00", "li")


async def test_a_run_of_denials_puts_the_channel_in_doubt_and_is_no_row_of_cases(bench: Bench) -> None:
    """A wrong token looks just like that: everything is denied."""
    for number in range(NOT_CREATED_RUN + 10):
        paid(bench, str(number))
    made = await audit(bench)
    await made.lasts(3)
    assert made.rounds.channels[0].in_doubt
    assert await made.cases() == []


async def test_the_rate_is_kept(bench: Bench) -> None:
    for number in range(40):
        paid(bench, str(number), Unpaid(Trade(f"N{number}")))
    made = await audit(bench, AuditPolicy(rate=0.1))
    await made.lasts(200 / 3600)
    assert sum(asked(bench, f"N{number}") for number in range(40)) == 20


async def test_a_rate_of_nothing_asks_nothing(bench: Bench) -> None:
    paid(bench)
    made = await audit(bench, AuditPolicy(rate=0))
    await made.lasts(2)
    assert asked(bench) == 0
    assert await made.rounds.context.ledger.mark(WALK_MARK) is None


async def test_a_restart_goes_on_from_the_page_it_was_at_and_forgets_no_denial(bench: Bench) -> None:
    rows = PAGE_ROWS + 20
    for number in range(rows):
        paid(bench, str(number), Paid(Trade(f"N{number}", f"T{number}", Money(9900), bench.clock.now())))
    bench.gateway().will_answer("N3", Unpaid(Trade("N3")))
    made = await audit(bench)
    await made.lasts((PAGE_ROWS + 10) / 3600)
    await made.rounds.context.shop.release()
    made = await audit(bench)
    await made.lasts(0.2)
    assert asked(bench, "N5") == 1, "its page was through"
    assert all(1 <= asked(bench, f"N{number}") <= 2 for number in range(rows)), "none was passed over"
    await made.lasts(1)
    assert [case.order_no for case in await made.cases()] == ["N3"]
    assert asked(bench, "N3") == 3


async def test_what_turns_paid_behind_the_walk_is_met_by_the_next_one(bench: Bench) -> None:
    bench.order("1")
    paid(bench, "2")
    bench.gateway().will_answer("N1", NotCreated())
    made = await audit(bench)
    await made.lasts(0.5)
    bench.shop().change("1", state=OrderState.PAID)
    await made.lasts(3)
    assert {case.order_no for case in await made.cases()} == {"N1", "N2"}


async def test_so_many_suspects_are_not_made_more(bench: Bench) -> None:
    for number in range(SUSPECTS_MAX + 5):
        paid(bench, str(number), Unpaid(Trade(f"N{number}")))
    made = await audit(bench, AuditPolicy(rate=1000))
    for _ in range(SUSPECTS_MAX + 20):
        await made.auditor.turn()
    assert len(await made.mark(SUSPECTS_MARK)) == SUSPECTS_MAX
    await made.lasts(2.5)
    assert len(await made.cases()) == SUSPECTS_MAX + 5, "they have their turn once the first are told of"


async def test_a_resolved_case_stays_silent_and_is_not_opened_again(bench: Bench) -> None:
    paid(bench)
    made = await audit(bench)
    await made.lasts(1.2)
    (case,) = await made.cases()
    await made.rounds.context.ledger.handle([Resolve(case.id, "li", "paid in cash")], bench.clock.now())
    made = Audit(bench, made.rounds)
    await made.lasts(5)
    assert await made.cases() == []
    assert len(bench.said(CaseOpened)) == 1


async def test_observing_it_is_a_case_all_the_same(bench: Bench) -> None:
    bench.enforcing = False
    paid(bench)
    made = await audit(bench)
    await made.lasts(1.2)
    assert [case.kind for case in await made.cases()] == [CaseKind.PAID_WITHOUT_PAYMENT]
    assert bench.table.rows[OrderKey("1")].state is OrderState.PAID


async def test_a_shop_that_is_away_is_left_to_the_rounds(bench: Bench) -> None:
    paid(bench)
    shop = bench.shop()
    rounds = bench.process(shop)
    assert await rounds.take_charge()
    made = Audit(bench, rounds)
    shop.fail("paid", ShopUnavailable("gone"))
    with pytest.raises(ShopUnavailable):
        await made.auditor.turn()
    await made.lasts(1.2)
    assert len(await made.cases()) == 1
