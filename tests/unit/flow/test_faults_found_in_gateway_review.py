"""What a hostile reading of the gateways' side found, each as it would have gone wrong in the flow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from reconciler.domain.answer import Refunded, Reply, Trade
from reconciler.domain.policy import Policy
from reconciler.events.orders import CaseOpened, OrderClosed
from reconciler.events.trouble import ChannelInDoubt, ChannelPaused
from reconciler.flow.ask import Asker
from reconciler.flow.find import Finder
from reconciler.flow.rounds import Rounds
from reconciler.ports import Gateway
from reconciler.testing.clock import AutoClock
from reconciler.transport import HttpRequest, HttpResponse
from tests.unit.flow.bench import ALIPAY, Bench
from tests.unit.gateways import alipay_bench as alipay
from tests.unit.gateways import wechat_bench as wechat

MINUTE, HOUR = 60, 3600


class AtTheBenchsTime:
    """An adapter with a clock of its own, brought to the bench's: when it was asked is when the bench says."""

    def __init__(self, gateway: Gateway, bench: Bench, rounds: Rounds) -> None:
        self._gateway = gateway
        self._bench = bench
        self.channel = rounds.channels[0].gateway.channel
        self.kind = gateway.kind
        self.merchant = gateway.merchant
        self.close_trade = gateway.close_trade
        self.close = gateway.close

    async def ask(self, out_trade_nos: Sequence[str]) -> Sequence[Reply]:
        now = self._bench.clock.now()
        return [replace(reply, asked_at=now, answered_at=now) for reply in await self._gateway.ask(out_trade_nos)]


def on_the_bench(bench: Bench, gateway: Gateway) -> Rounds:
    rounds = bench.process()
    rounds.context.policy = replace(bench.policy, merchants={rounds.channels[0].name: gateway.merchant})
    rounds.channels[0].gateway = AtTheBenchsTime(gateway, bench, rounds)
    return rounds


async def test_a_signed_refusal_between_two_answers_does_not_make_a_payment_forgotten(tmp_path: Path) -> None:
    """Paid (a case), then a signed ACQ.SYSTEM_ERROR, then closed: refunded, under a number of its own."""
    trade = {"code": "10000", "out_trade_no": "N1", "trade_no": "T1", "total_amount": "98.00"}
    script = [
        alipay.enveloped(trade | {"trade_status": "TRADE_SUCCESS", "send_pay_date": "2026-11-23 19:56:00"}),
        alipay.enveloped({"code": "40004", "sub_code": "ACQ.SYSTEM_ERROR", "out_trade_no": "N1"}),
        alipay.enveloped(trade | {"trade_status": "TRADE_CLOSED"}),
        alipay.enveloped({"code": "10000", "out_trade_no": "N1"}, alipay.REFUND_QUERY),
    ]
    bench = Bench(policy=replace(Bench().policy, closes_orders=True))
    rounds = on_the_bench(bench, alipay.gateway_of(tmp_path, alipay.KEY_MODE, alipay.Script(script)))
    bench.order("1", "N1")
    await rounds.once()
    assert [case.kind for case in bench.events.of(CaseOpened)] == ["amount_mismatch"]
    for minutes in (6, 6, 600):
        await bench.clock.advance(minutes * MINUTE)
        await Asker(rounds.context, rounds.channels[0]).turn()
    assert not bench.events.of(OrderClosed)
    assert "refunded_while_pending" in {case.kind for case in bench.events.of(CaseOpened)}


async def test_one_number_that_every_query_is_refused_for_stops_the_channel_once(tmp_path: Path) -> None:
    """As a host answers that takes one number for another path: 404, without a code (gateways.md 2.6)."""
    office = wechat.Office(AutoClock(wechat.NOW))

    def trade(request: HttpRequest, now: datetime) -> HttpResponse:
        number = request.url.partition("/out-trade-no/")[2].partition("?")[0]
        if number == "2026-0001":
            return wechat.refusal(404)
        return wechat.signed({**wechat.TRADE, "out_trade_no": number, "trade_state": "NOTPAY"}, at=now)

    office.trade = trade
    made = wechat.bench(wechat.settings(tmp_path, public_key=False, apiv3_key=True), office=office)
    bench = Bench()
    rounds = on_the_bench(bench, made.gateway)
    bench.order("odd", "2026-0001", minutes=0)
    assert await rounds.take_charge()
    await Finder(rounds.context, rounds.find).walk()
    for turn in range(40 * MINUTE // 10):
        await bench.clock.advance(10)
        if turn % 24 == 0:
            bench.order(f"n{turn}", f"N{turn}", minutes=0)
            await Finder(rounds.context, rounds.find).quick()
        while await Asker(rounds.context, rounds.channels[0]).turn():
            pass
    assert len(bench.events.of(ChannelPaused)) == 1
    assert {(case.kind, case.order_no) for case in bench.events.of(CaseOpened)} == {("unaskable", "2026-0001")}


async def test_a_channel_in_doubt_does_not_hammer_its_gateway() -> None:
    """Four pages that nobody opened are fifty NotCreated in a row: no watch ends on that, nor is asked at once."""
    bench = Bench()
    rounds = bench.process()
    for number in range(4):
        bench.order(str(number), f"N{number}", minutes=0)
    assert await rounds.take_charge()
    await Finder(rounds.context, rounds.find).walk()
    asker = Asker(rounds.context, rounds.channels[0])

    async def asked_in(hours: int, step_s: int) -> int:
        before = sum(bench.gateway().asked.values())
        for _ in range(hours * HOUR // step_s):
            await bench.clock.advance(step_s)
            while await asker.turn():
                pass
        return sum(bench.gateway().asked.values()) - before

    await asked_in(49, MINUTE)
    assert bench.events.of(ChannelInDoubt)
    assert await asked_in(1, 5) == 0
    assert await asked_in(24, MINUTE) == 4


async def test_an_answer_about_another_merchants_trade_is_asked_again_ever_more_slowly_and_is_a_case() -> None:
    bench = Bench()
    bench.policy = Policy(merchants={ALIPAY: (("mchid", "1900"),)})
    bench.order("1")
    theirs = Trade("N1", merchant=(("mchid", "666"),))
    bench.gateway().will_answer("N1", Refunded(theirs, in_full=None))
    rounds = bench.process()
    assert await rounds.take_charge()
    await Finder(rounds.context, rounds.find).walk()
    asker = Asker(rounds.context, rounds.channels[0])
    for _ in range(HOUR // 5):
        await bench.clock.advance(5)
        await asker.turn()
    assert bench.gateway().asked["N1"] < 30, "once in five seconds would be seven hundred"
    assert [case.kind for case in bench.events.of(CaseOpened)] == ["untrusted_answer"]
