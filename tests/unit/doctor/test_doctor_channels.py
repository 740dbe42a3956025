"""What the doctor makes of each answer of a gateway."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.doctor import Verdict
from reconciler.doctor import clock as clock_
from reconciler.doctor.channels import Tried, look
from reconciler.domain.answer import (
    Answer,
    Closed,
    Merchant,
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
)
from reconciler.domain.closing import CloseReply
from reconciler.domain.money import Money
from reconciler.domain.order import Attempt, ChannelName, Order, OrderKey, OrderState
from reconciler.domain.policy import Policy

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
CREATED = NOW - timedelta(hours=1)
PAID_AT = NOW - timedelta(minutes=50)
CHANNEL = ChannelName("alipay-main")
MERCHANT: Merchant = (("mchid", "1900000001"),)
ORDER = Order(
    OrderKey("1"), "A1", OrderState.PAID, "2", Money(9900), CREATED, transaction_id="2026", paid_at=PAID_AT, as_read=()
)
TRIED = Tried(ORDER, Attempt(OrderKey("1"), "A1", CHANNEL, "A1", CREATED))
TRADE = Trade("A1", "2026", Money(9900), PAID_AT, MERCHANT)
POLICY = Policy(merchants={CHANNEL: MERCHANT})
WELL, WARNING, FAULT = Verdict.WELL, Verdict.WARNING, Verdict.FAULT


class Answering:
    """A gateway that answers the first ask with one thing, and all others with another."""

    channel = CHANNEL
    kind = "answering"
    merchant = MERCHANT

    def __init__(self, first: Answer, then: Answer, *, verified: bool = True) -> None:
        self.answers = [first, then]
        self.verified = verified
        self.asked: list[Sequence[str]] = []

    async def ask(self, out_trade_nos: Sequence[str]) -> Sequence[Reply]:
        answer = self.answers[min(len(self.asked), 1)]
        self.asked.append(out_trade_nos)
        return [Reply(answer, self.verified, NOW, NOW) for _ in out_trade_nos]

    async def close_trade(self, out_trade_no: str) -> CloseReply:
        raise AssertionError(f"a doctor only asks; closing {out_trade_no}")

    async def close(self) -> None: ...


async def looked(first: Answer, then: Answer, tried: Sequence[Tried] = (TRIED,)) -> list[tuple[Verdict, str, str]]:
    gateway = Answering(first, then)
    remarks = await look(gateway, tried, POLICY, NOW, is_shop_known=True)
    assert all(bool(remark.remedy) is (remark.verdict is not WELL) for remark in remarks)
    return [(remark.verdict, remark.text, remark.remedy) for remark in remarks]


@pytest.mark.parametrize(
    ("answer", "verdict", "said"),
    [
        (Misconfigured("isv.invalid-app-id"), FAULT, "refuses every query: isv.invalid-app-id"),
        (Untrusted("no signature"), FAULT, "signature does not verify: no signature"),
        (Unavailable("no answer"), FAULT, "cannot be asked: no answer"),
        (Throttled(), WARNING, "to be slower"),
        (Paid(TRADE), FAULT, "answers Paid about a number that cannot exist"),
        (Refunded(TRADE, in_full=True), FAULT, "answers Refunded"),
        (Unpaid(TRADE), FAULT, "answers Unpaid"),
        (Closed(TRADE), FAULT, "answers Closed"),
        (Unrecognised("x"), FAULT, "answers Unrecognised"),
    ],
)
async def test_a_bad_answer_about_a_number_that_cannot_exist_ends_the_visit_to_that_channel(
    answer: Answer, verdict: Verdict, said: str
) -> None:
    ((found, text, _),) = await looked(answer, Paid(TRADE))
    assert found is verdict
    assert said in text


@pytest.mark.parametrize("first", [NotCreated(), Rejected("x")])
async def test_a_paid_order_that_the_gateway_knows_is_the_proof(first: Answer) -> None:
    ((verdict, text, _),) = await looked(first, Paid(TRADE))
    assert verdict is WELL
    assert "knows A1" in text


async def test_the_number_that_cannot_exist_is_another_each_time_and_fits_every_gateway() -> None:
    gateways = [Answering(NotCreated(), Paid(TRADE)) for _ in range(2)]
    for gateway in gateways:
        await look(gateway, [TRIED], POLICY, NOW, is_shop_known=True)
    one, other = (gateway.asked[0][0] for gateway in gateways)
    assert one != other
    assert len(one) <= 32
    assert gateways[0].asked[1:] == [["A1"]]


async def test_without_a_paid_order_it_says_that_this_proves_little() -> None:
    ((verdict, text, remedy),) = await looked(NotCreated(), NotCreated(), ())
    assert verdict is WARNING
    assert "a wrong app_id, mchid or token looks as well as this" in text
    assert "first paid order" in remedy


@pytest.mark.parametrize("then", [NotCreated(), Unpaid(TRADE), Closed(TRADE)])
async def test_a_paid_order_that_the_gateway_denies_is_a_fault(then: Answer) -> None:
    ((verdict, text, remedy),) = await looked(NotCreated(), then)
    assert verdict is FAULT
    assert type(then).__name__ in text
    assert "merchant's console" in remedy


BESIDE = replace(TRIED, is_only=False)


@pytest.mark.parametrize("then", [NotCreated(), Rejected("x")])
async def test_of_several_attempts_one_that_the_gateway_denies_proves_nothing(then: Answer) -> None:
    ((verdict, text, remedy),) = await looked(NotCreated(), then, [BESIDE])
    assert verdict is WARNING
    assert "other attempts that may be the paid ones" in text
    assert "run this again" in remedy


@pytest.mark.parametrize("then", [Unpaid(TRADE), Closed(TRADE)])
async def test_of_several_attempts_one_that_nobody_paid_is_known_all_the_same(then: Answer) -> None:
    ((verdict, text, _),) = await looked(NotCreated(), then, [BESIDE])
    assert verdict is WELL
    assert f"knows A1 ({type(then).__name__})" in text


async def test_beside_other_attempts_an_order_with_a_single_one_is_judged_alone() -> None:
    single = replace(TRIED, attempt=replace(TRIED.attempt, out_trade_no="A2"))
    ((verdict, text, _),) = await looked(NotCreated(), NotCreated(), [single, BESIDE])
    assert (verdict, "calls A2 paid" in text) == (FAULT, True)


async def test_an_unsigned_paid_is_no_proof() -> None:
    remarks = await look(Answering(NotCreated(), Paid(TRADE), verified=False), [TRIED], POLICY, NOW, is_shop_known=True)
    assert remarks[-1].verdict is FAULT


@pytest.mark.parametrize(
    ("trade", "said", "remedy"),
    [
        (replace(TRADE, amount=Money(99)), "amount of A1", 'amount_unit = "fen"'),
        (replace(TRADE, amount=Money(990_000)), "amount of A1", 'amount_unit = "yuan"'),
        (replace(TRADE, amount=Money(9800)), "amount of A1", "after coupons"),
        (replace(TRADE, amount=Money(9900, "USD")), "currency of A1", "shop.orders.currency"),
        (replace(TRADE, merchant=(("mchid", "1900000002"),)), "merchant mchid of A1", "mchid"),
        (replace(TRADE, paid_at=PAID_AT - timedelta(hours=8)), "paid_at of A1", "shop.time_zone"),
        (replace(TRADE, transaction_id="2027"), "transaction_id of A1", "shop.orders.transaction_id"),
    ],
)
async def test_each_fact_that_does_not_agree_is_named_with_what_to_set(trade: Trade, said: str, remedy: str) -> None:
    remarks = await looked(NotCreated(), Paid(trade))
    assert any(
        verdict is not WELL and text.startswith(said) and remedy in advice for verdict, text, advice in remarks
    ), remarks


async def test_paid_times_that_are_whole_hours_apart_are_a_matter_of_zones() -> None:
    late = replace(ORDER, paid_at=PAID_AT + timedelta(hours=8, seconds=4))
    ((verdict, text, remedy),) = await looked(NotCreated(), Paid(TRADE), [replace(TRIED, order=late)])
    assert (verdict, "+8.0 h" in text, "shop.time_zone" in remedy) == (WARNING, True, True)
    soon = replace(ORDER, paid_at=PAID_AT + timedelta(minutes=12))
    ((verdict, _, _),) = await looked(NotCreated(), Paid(TRADE), [replace(TRIED, order=soon)])
    assert verdict is WELL, "the shop's clock, or a callback that came late"


@pytest.mark.parametrize(("seconds", "verdict"), [(0.4, WELL), (-3, WELL), (31, WARNING), (-601, FAULT), (601, FAULT)])
def test_clocks_are_judged_by_what_deciding_tolerates(seconds: float, verdict: Verdict) -> None:
    remark = clock_.look("the gateway", timedelta(seconds=seconds), timedelta(minutes=10))
    assert remark.verdict is verdict
    assert ("behind" in remark.text) is (seconds < -30)
