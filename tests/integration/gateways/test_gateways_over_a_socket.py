"""Both adapters in every mode, and the double, through the conformance suite; the adapters over a real socket.

The other side verifies and signs by its own code (`other_*.py`), which public test vectors hold to the protocols.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

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
from reconciler.domain.closing import CloseReply, NoSuchTrade, NotClosed, TradeClosed
from reconciler.pace import Pace
from reconciler.ports import Gateway, Memory
from reconciler.testing.gateway import ScriptedGateway
from reconciler.testing.gateway_bench import AT_ONCE, CHANNEL, NOW, HurriedClock, SocketBench
from reconciler.testing.gateway_conformance import GatewayConformance
from reconciler.testing.gateway_situations import AMOUNT, GatewayBench, Situation
from reconciler.testing.memory import KeptInMind
from tests.integration.gateways import other_alipay, other_wechat
from tests.integration.gateways.other_alipay import alipay_bench
from tests.integration.gateways.other_wechat import APIV3_KEY, wechat_bench


class TestAlipayByKey(GatewayConformance):
    mode = other_alipay.KEY

    @pytest.fixture
    async def bench(self, tmp_path: Path) -> AsyncIterator[GatewayBench]:
        async with alipay_bench(self.mode, tmp_path) as (bench, _):
            yield bench


class TestAlipayByCertificate(TestAlipayByKey):
    mode = other_alipay.CERTIFICATE


class TestAlipayForAServiceProvider(TestAlipayByKey):
    mode = other_alipay.PROVIDER


class TestAlipayForAServiceProviderByCertificate(TestAlipayByKey):
    mode = other_alipay.CERTIFIED_PROVIDER


class TestWechatByPublicKey(GatewayConformance):
    mode = other_wechat.PUBLIC_KEY

    @pytest.fixture
    async def bench(self, tmp_path: Path) -> AsyncIterator[GatewayBench]:
        async with wechat_bench(self.mode, tmp_path) as (bench, _):
            yield bench

    async def test_every_printable_character_is_signed_as_it_is_sent(self, bench: SocketBench) -> None:
        numbers = [f"A{chr(code)}B" for code in range(0x21, 0x7F)]
        for number in numbers:
            bench.arrange(number, Situation.PAID)
        replies = await bench.gateway.ask(numbers)
        paid = [reply.answer.trade.out_trade_no for reply in replies if isinstance(reply.answer, Paid)]
        assert paid == [number for number in numbers if not set(number) & set("/\\?#%")]
        assert all(isinstance(reply.answer, Paid | Rejected) for reply in replies)  # those are no names in a path

    async def test_nothing_secret_is_kept_for_the_next_process(self, bench: SocketBench) -> None:
        await bench.gateway.ask(["A1"])
        assert APIV3_KEY.decode() not in repr(bench.memory.kept)
        assert bool(bench.memory.kept) == (self.mode in {other_wechat.PLATFORM, other_wechat.PARTNER_WITH_APPID})


class TestWechatByPlatformCertificates(TestWechatByPublicKey):
    mode = other_wechat.PLATFORM

    async def test_a_restart_fetches_no_certificates_that_were_kept(self, tmp_path: Path) -> None:
        async with wechat_bench(self.mode, tmp_path) as (bench, side):
            bench.arrange("A1", Situation.PAID)
            await bench.gateway.ask(["A1", "A2", "A3"])
            assert side.fetches == 1
            for memory, fetches in ((bench.memory, 1), (KeptInMind(), 2)):
                (reply,) = await bench.reopen(memory).ask(["A1"])
                assert isinstance(reply.answer, Paid)
                assert side.fetches == fetches


class TestWechatInMigrationByPublicKey(TestWechatByPublicKey):
    mode = other_wechat.MIGRATING


class TestWechatInMigrationByCertificate(TestWechatByPublicKey):
    """Certificates are fetched once an answer names one; most tests begin after that."""

    mode = other_wechat.NOT_YET_MIGRATED

    @pytest.fixture
    async def bench(self, tmp_path: Path) -> AsyncIterator[GatewayBench]:
        async with wechat_bench(self.mode, tmp_path) as (bench, _):
            bench.arrange("WARM", Situation.PAID)
            await bench.gateway.ask(["WARM"])
            bench.forget_arrivals()
            yield bench

    async def test_nothing_secret_is_kept_for_the_next_process(self, bench: SocketBench) -> None:
        assert bench.memory.kept
        assert APIV3_KEY.decode() not in repr(bench.memory.kept)

    async def test_an_unknown_certificate_is_fetched_within_the_ask(self, tmp_path: Path) -> None:
        async with wechat_bench(self.mode, tmp_path) as (bench, side):
            bench.arrange("A1", Situation.PAID)
            for arrivals in (2, 3):
                (reply,) = await bench.gateway.ask(["A1"])
                assert isinstance(reply.answer, Paid)
                assert (bench.arrivals(), side.fetches) == (arrivals, 1)

    async def test_a_close_under_a_certificate_not_yet_fetched_is_proved_by_the_next_ask(self, tmp_path: Path) -> None:
        async with wechat_bench(self.mode, tmp_path) as (bench, _):
            bench.arrange("A1", Situation.CLOSABLE)
            assert isinstance(await bench.gateway.close_trade("A1"), NotClosed)
            (reply,) = await bench.gateway.ask(["A1"])
            assert (type(reply.answer), reply.verified) == (Closed, True)


class TestWechatForAServiceProvider(TestWechatByPublicKey):
    mode = other_wechat.PARTNER


class TestWechatForAServiceProviderByCertificate(TestWechatByPublicKey):
    mode = other_wechat.PARTNER_WITH_APPID


class _Closing(ScriptedGateway):
    """The double, whose trades are closed once they were closed."""

    async def close_trade(self, out_trade_no: str) -> CloseReply:
        reply = await super().close_trade(out_trade_no)
        if reply == TradeClosed():
            self.will_answer(out_trade_no, Closed(Trade(out_trade_no)))
        return reply


class DoubleBench:
    """The double, arranged by situation. It neither retries nor reads clocks: that is the line's business."""

    without = frozenset({Situation.FALTERING, Situation.CLOCK_AHEAD})

    def __init__(self) -> None:
        clock = HurriedClock()
        pace = Pace(clock, 1e6, AT_ONCE)
        self.memory = KeptInMind()
        self.gateway = _Closing(CHANNEL, clock, merchant=(("mchid", "1"),), pace=pace, latency=timedelta(seconds=1))

    @property
    def in_flight_max(self) -> int:
        return self.gateway.in_flight_max

    def arrange(self, out_trade_no: str, situation: Situation) -> None:
        trade = Trade(out_trade_no, f"T-{out_trade_no}", AMOUNT, NOW, self.gateway.merchant)
        answers: dict[Situation, tuple[Answer, CloseReply]] = {
            Situation.PAID: (Paid(trade), NotClosed("paid")),
            Situation.REFUNDED: (Refunded(trade, in_full=True), NotClosed("refunded")),
            Situation.UNPAID: (Unpaid(trade), TradeClosed()),
            Situation.CLOSABLE: (Unpaid(trade), TradeClosed()),
            Situation.NOT_CREATED: (NotCreated(), NoSuchTrade()),
            Situation.CLOSED: (Closed(trade), NotClosed("closed")),
            Situation.NEW_STATE: (Unrecognised("DREAMT"), NotClosed("dreamt")),
            Situation.FORGED: (Untrusted("forged"), NotClosed("forged")),
            Situation.UNSIGNED: (Untrusted("unsigned"), NotClosed("unsigned")),
            Situation.ALTERED: (Untrusted("altered"), NotClosed("altered")),
            Situation.STRANGER: (Untrusted("another number"), NotClosed("another number")),
            Situation.ODD_AMOUNT: (Paid(replace(trade, amount=None)), NotClosed("paid")),
            Situation.STALE: (Untrusted("stale"), NotClosed("stale")),
            Situation.GARBLED: (Untrusted("malformed"), NotClosed("malformed")),
            Situation.DOWN: (Unavailable("down"), Unavailable("down")),
            Situation.BROKEN: (Unavailable("HTTP 502"), Unavailable("HTTP 502")),
            Situation.THROTTLED: (Throttled(), Throttled()),
            Situation.REVOKED_KEY: (Misconfigured("no"), NotClosed("no")),
            Situation.BAD_NUMBER: (Rejected("no"), NotClosed("no")),
        }
        answer, closing = answers[situation]
        self.gateway.will_answer(out_trade_no, answer)
        self.gateway.will_close(out_trade_no, closing)

    def arrivals(self) -> int:
        return self.gateway.asked.total()

    def fault_of(self, reply: Reply) -> str | None:
        assert reply.evidence is not None
        assert reply.key is not None
        said = f"{name_of(reply.answer)} {reply.answer!r}".encode()
        kept = (reply.evidence.gateway, reply.evidence.key_fingerprint, reply.evidence.body)
        return None if kept == (self.gateway.kind, reply.key.fingerprint, said) else "changed"

    def reopen(self, memory: Memory) -> Gateway:  # noqa: ARG002 # it has nothing to keep
        return self.gateway


class TestScripted(GatewayConformance):
    @pytest.fixture
    def bench(self) -> GatewayBench:
        return DoubleBench()
