"""What every gateway must do, whatever its kind: a suite for the double and for every adapter.

Subclass `GatewayConformance` in a test module, as `TestMyGateway`, and override the fixture `bench`; `gateway_bench`
has a bench for adapters, over a loopback socket.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest

from reconciler.domain.answer import (
    Closed,
    NotCreated,
    Paid,
    Rejected,
    Reply,
    Unavailable,
    Untrusted,
    VerifyingKey,
    reason_of,
)
from reconciler.domain.closing import NotClosed, TradeClosed
from reconciler.ports import Gateway, PortError
from reconciler.testing.gateway_situations import (
    AHEAD,
    AMOUNT,
    CLOSING,
    EXPECTED,
    MAY_BE_ABSENT,
    GatewayBench,
    Situation,
)
from reconciler.testing.memory import KeptInMind

ARRIVALS_MAX: Final = 6
"""How often one ask may knock at a gateway that does not answer: three tries of the line, each of which the HTTP client
may repeat once where a kept connection broke."""
KEPT_LENGTH_MAX: Final = 1_000_000
UNASKABLE: Final = ("", " ", "A 1", "A\n1", "A\x001", "订单1", "A" * 65, "A\x7f", "\ud800")
ASKABLE_BUT_ODD: Final = (
    'A"1',
    "A'1",
    "A\\1",
    "A%2e1",
    "A/../1",
    "A?b=c&d=e#f",
    "<b>",
    "{A}",
    "A+B",
    "A|B@C*D",
    "..",
    ".",
)


class GatewayConformance:
    """The suite. The bench's pace must let at most 4 asks be under way at once."""

    @pytest.fixture
    def bench(self) -> GatewayBench:
        """Override it."""
        raise NotImplementedError

    def test_only_what_may_be_absent_is_declared_absent(self, bench: GatewayBench) -> None:
        assert bench.without <= MAY_BE_ABSENT

    @pytest.mark.parametrize("situation", EXPECTED)
    async def test_each_situation_has_its_answer(self, bench: GatewayBench, situation: Situation) -> None:
        """By type, verified only where a signature covers it, and with a reason that is fit for a log line."""
        reply = await _ask_in(bench, situation)
        assert (type(reply.answer), reply.verified) == EXPECTED[situation], reply.answer
        assert reason_of(reply.answer).isprintable()

    async def test_bytes_that_nobody_can_read_prove_nothing(self, bench: GatewayBench) -> None:
        """They are an answer, and no exception."""
        reply = await _ask_in(bench, Situation.GARBLED)
        assert isinstance(reply.answer, Untrusted | Unavailable), reply.answer
        assert not reply.verified

    async def test_a_number_never_seen_is_not_created(self, bench: GatewayBench) -> None:
        """Whether or not that is signed."""
        (reply,) = await bench.gateway.ask(["NEVER-SEEN"])
        assert reply.answer == NotCreated()

    async def test_a_payment_brings_every_fact(self, bench: GatewayBench) -> None:
        """Number, transaction, amount, time, and whom it paid."""
        bench.arrange("A1", Situation.PAID)
        (reply,) = await bench.gateway.ask(["A1"])
        assert isinstance(reply.answer, Paid)
        trade = reply.answer.trade
        assert (trade.out_trade_no, trade.transaction_id, trade.amount) == ("A1", "T-A1", AMOUNT)
        assert trade.paid_at is not None
        assert trade.paid_at.tzinfo is not None
        assert trade.paid_at <= reply.answered_at
        assert trade.merchant == bench.gateway.merchant
        assert trade.flags == ()

    async def test_an_amount_that_is_written_oddly_is_missing_and_not_guessed(self, bench: GatewayBench) -> None:
        """A missing fact agrees with nothing."""
        reply = await _ask_in(bench, Situation.ODD_AMOUNT)
        assert isinstance(reply.answer, Paid)
        assert reply.answer.trade.amount is None

    async def test_replies_stand_in_the_order_of_the_numbers(self, bench: GatewayBench) -> None:
        """However the answers arrive, and with a number twice."""
        numbers = [f"N{position}" for position in range(12)] + ["N3"]
        for number in numbers[::2]:
            bench.arrange(number, Situation.PAID)
        replies = await bench.gateway.ask(numbers)
        kinds = [type(reply.answer) for reply in replies]
        assert kinds == [Paid if number in numbers[::2] else NotCreated for number in numbers]
        paid = [reply.answer.trade.out_trade_no for reply in replies if isinstance(reply.answer, Paid)]
        assert paid == [number for number in numbers if number in numbers[::2]]

    async def test_no_numbers_no_replies(self, bench: GatewayBench) -> None:
        """Nor any query."""
        assert list(await bench.gateway.ask([])) == []
        assert bench.arrivals() == 0

    @pytest.mark.parametrize("number", UNASKABLE, ids=ascii)
    async def test_what_cannot_be_a_number_never_reaches_the_wire(self, bench: GatewayBench, number: str) -> None:
        """And does not keep the number beside it from being asked."""
        bench.arrange("A1", Situation.PAID)
        rejected, paid = await bench.gateway.ask([number, "A1"])
        assert isinstance(rejected.answer, Rejected)
        assert rejected.evidence is None
        assert isinstance(paid.answer, Paid)
        assert bench.arrivals() == 1

    @pytest.mark.parametrize("number", ASKABLE_BUT_ODD)
    async def test_an_odd_number_is_asked_as_it_is_or_rejected(self, bench: GatewayBench, number: str) -> None:
        """It is never mistaken for another one, and its signature holds on the wire."""
        bench.arrange(number, Situation.PAID)
        (reply,) = await bench.gateway.ask([number])
        if isinstance(reply.answer, Rejected):
            assert bench.arrivals() == 0
        else:
            assert isinstance(reply.answer, Paid), reply.answer
            assert reply.answer.trade.out_trade_no == number

    async def test_times_carry_an_offset_and_run_forward(self, bench: GatewayBench) -> None:
        """Whatever the answer."""
        bench.arrange("A2", Situation.DOWN)
        for reply in await bench.gateway.ask(["A1", "A2", ""]):
            assert reply.asked_at.tzinfo is not None
            assert reply.asked_at <= reply.answered_at

    async def test_evidence_of_a_payment_verifies_and_a_changed_one_does_not(self, bench: GatewayBench) -> None:
        """The gateway's own signature is what stands before a third party."""
        bench.arrange("A1", Situation.PAID)
        (reply,) = await bench.gateway.ask(["A1"])
        assert reply.evidence is not None
        assert reply.key is not None
        assert reply.evidence.gateway == bench.gateway.kind
        assert reply.evidence.key_fingerprint == reply.key.fingerprint
        assert "A1" in reply.evidence.request
        assert bench.fault_of(reply) is None
        changed = replace(reply.evidence, body=reply.evidence.body.replace(b"A1", b"B1"))
        assert changed != reply.evidence
        assert bench.fault_of(replace(reply, evidence=changed)) is not None
        assert bench.fault_of(replace(reply, evidence=replace(reply.evidence, gateway="another"))) is not None
        assert bench.fault_of(replace(reply, key=VerifyingKey("0" * 64, reply.key.pem))) is not None

    async def test_an_answers_evidence_holds_nothing_of_another_number(self, bench: GatewayBench) -> None:
        """Each stands alone before a third party."""
        numbers = ["LEFT71530", "RIGHT90426"]
        for number in numbers:
            bench.arrange(number, Situation.PAID)
        for number, reply in zip(numbers, await bench.gateway.ask(numbers), strict=True):
            assert reply.evidence is not None
            (other,) = set(numbers) - {number}
            kept = repr((reply.evidence.request, reply.evidence.headers, reply.evidence.body))
            assert number in kept
            assert other not in kept

    @pytest.mark.parametrize("situation", [Situation.FORGED, Situation.UNSIGNED, Situation.ALTERED, Situation.STRANGER])
    async def test_what_proves_nothing_is_kept_without_a_key(self, bench: GatewayBench, situation: Situation) -> None:
        """The bytes are evidence of the attempt; no key is named for them."""
        bench.arrange("A1", situation)
        (reply,) = await bench.gateway.ask(["A1"])
        assert reply.key is None
        assert reply.evidence is not None
        assert reply.evidence.key_fingerprint is None

    async def test_the_pace_bounds_what_is_under_way(self, bench: GatewayBench) -> None:
        """Asks run side by side, and never more than the pace lets through."""
        await bench.gateway.ask([f"N{position}" for position in range(16)])
        assert 1 < bench.in_flight_max <= 4  # the class's docstring
        assert bench.arrivals() == 16  # every one of them

    async def test_a_cancelled_ask_gives_its_seats_back(self, bench: GatewayBench) -> None:
        """As often as there are seats, and more."""
        for _ in range(6):
            task = asyncio.create_task(_ask_eight(bench.gateway))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        bench.arrange("A1", Situation.PAID)
        (reply,) = await bench.gateway.ask(["A1"])
        assert isinstance(reply.answer, Paid), reply.answer

    async def test_a_connection_that_breaks_once_is_asked_again_within_the_ask(self, bench: GatewayBench) -> None:
        """Without waiting for the next age."""
        reply = await _ask_in(bench, Situation.FALTERING)
        assert isinstance(reply.answer, Paid)
        assert bench.arrivals() == 2

    @pytest.mark.parametrize("situation", [Situation.DOWN, Situation.BROKEN])
    async def test_what_stays_broken_is_not_asked_for_ever(self, bench: GatewayBench, situation: Situation) -> None:
        """One ask is a few knocks, and then Unavailable."""
        reply = await _ask_in(bench, situation)
        assert isinstance(reply.answer, Unavailable)
        assert 1 <= bench.arrivals() <= ARRIVALS_MAX

    async def test_the_gateways_clock_is_held_against_ours(self, bench: GatewayBench) -> None:
        """By the Date header, ahead of ours; where it is right, nothing is made of it."""
        reply = await _ask_in(bench, Situation.CLOCK_AHEAD)
        assert reply.clock_off is not None
        assert abs(reply.clock_off - AHEAD) < timedelta(seconds=5)
        bench.arrange("A2", Situation.PAID)
        (right,) = await bench.gateway.ask(["A2"])
        assert right.clock_off is None or abs(right.clock_off) < timedelta(seconds=5)

    @pytest.mark.parametrize("situation", CLOSING)
    async def test_closing_comes_to_what_the_gateway_says(self, bench: GatewayBench, situation: Situation) -> None:
        """Where it has no way to close, that is said."""
        if Situation.CLOSABLE in bench.without:
            bench.arrange("A1", Situation.UNPAID)
            assert isinstance(await bench.gateway.close_trade("A1"), NotClosed)
            return
        _arrange(bench, situation)
        reply = await bench.gateway.close_trade("A1")
        assert type(reply) is CLOSING[situation], reply
        assert bench.arrivals() <= ARRIVALS_MAX
        if isinstance(reply, NotClosed | Unavailable):
            assert reply.reason.isprintable()

    async def test_the_next_ask_proves_the_close(self, bench: GatewayBench) -> None:
        """And closing again does no harm."""
        _arrange(bench, Situation.CLOSABLE)
        await bench.gateway.close_trade("A1")
        (reply,) = await bench.gateway.ask(["A1"])
        assert isinstance(reply.answer, Closed), reply.answer
        assert reply.verified
        assert isinstance(await bench.gateway.close_trade("A1"), TradeClosed | NotClosed)

    @pytest.mark.parametrize("number", UNASKABLE, ids=ascii)
    async def test_what_cannot_be_a_number_is_not_closed(self, bench: GatewayBench, number: str) -> None:
        """Nor does it reach the wire."""
        assert isinstance(await bench.gateway.close_trade(number), NotClosed)
        assert bench.arrivals() == 0

    async def test_after_a_restart_it_answers_as_before(self, bench: GatewayBench) -> None:
        """With what it kept, with nothing, with garbage, and with a memory that fails: it is a cache."""
        _arrange(bench, Situation.PAID)
        await bench.gateway.ask(["A1"])
        assert all(len(text) <= KEPT_LENGTH_MAX for text in bench.memory.kept.values())
        garbled = KeptInMind()
        garbled.kept = dict.fromkeys(bench.memory.kept, '{"\x00[')
        for memory in (bench.memory, KeptInMind(), garbled, Unwilling()):
            gateway = bench.reopen(memory)
            (reply,) = await gateway.ask(["A1"])
            await gateway.close()
            assert isinstance(reply.answer, Paid), reply.answer
            assert reply.verified


def _arrange(bench: GatewayBench, situation: Situation) -> None:
    if situation in bench.without:
        pytest.skip(f"declared absent by the bench: {situation.value}")
    bench.arrange("A1", situation)


async def _ask_in(bench: GatewayBench, situation: Situation) -> Reply:
    _arrange(bench, situation)
    (reply,) = await bench.gateway.ask(["A1"])
    return reply


async def _ask_eight(gateway: Gateway) -> None:
    await gateway.ask([f"N{position}" for position in range(8)])


class Unwilling:
    """A memory that cannot be used."""

    async def recall(self, name: str) -> str | None:
        """Fail."""
        raise PortError(f"cannot recall {name}")

    async def remember(self, name: str, text: str) -> None:
        """Fail."""
        raise PortError(f"cannot keep {len(text)} characters as {name}")
