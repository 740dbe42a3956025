"""What every gateway must do, whatever its kind: a suite for the double and for every adapter.

Subclass `GatewayConformance` in a test module, as `TestMyGateway`, and override the fixture `bench`.
"""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import Final, Protocol

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
    Unavailable,
    Unpaid,
    Unrecognised,
    Untrusted,
)
from reconciler.domain.money import Money
from reconciler.ports import Gateway

AMOUNT: Final = Money(9900)
"""What every arranged trade is about."""
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


class Situation(Enum):
    """What a gateway is brought to say about a number."""

    PAID = "paid"
    """CNY 99.00, by transaction `T-` and the number, within the last minutes."""
    REFUNDED = "refunded"
    UNPAID = "unpaid"
    NOT_CREATED = "not created"
    CLOSED = "closed"
    NEW_STATE = "a state that nobody knows, signed"
    FORGED = "paid, with a signature by somebody else's key"
    UNSIGNED = "paid, without a signature"
    STRANGER = "paid, signed, about another number"
    DOWN = "the connection breaks"
    BROKEN = "HTTP 502 with a page in HTML"
    THROTTLED = "too fast"
    REVOKED_KEY = "our key or identity is refused"
    BAD_NUMBER = "the number is refused"


EXPECTED: Final[dict[Situation, tuple[type[Answer], bool]]] = {
    Situation.PAID: (Paid, True),
    Situation.REFUNDED: (Refunded, True),
    Situation.UNPAID: (Unpaid, True),
    Situation.CLOSED: (Closed, True),
    Situation.NEW_STATE: (Unrecognised, True),
    Situation.FORGED: (Untrusted, False),
    Situation.UNSIGNED: (Untrusted, False),
    Situation.STRANGER: (Untrusted, False),
    Situation.DOWN: (Unavailable, False),
    Situation.BROKEN: (Unavailable, False),
    Situation.THROTTLED: (Throttled, False),
    Situation.REVOKED_KEY: (Misconfigured, False),
    Situation.BAD_NUMBER: (Rejected, False),
}
"""The answer's type, and whether it is verified. NOT_CREATED is signed by some gateways and not by others."""


class GatewayBench(Protocol):
    """A gateway under test, and a hold on what it will be answered."""

    @property
    def gateway(self) -> Gateway:
        """The gateway."""
        ...

    @property
    def in_flight_max(self) -> int:
        """How many queries were under way at once, at the most."""
        ...

    def arrange(self, out_trade_no: str, situation: Situation) -> None:
        """Bring about a situation for a number. What nobody arranged is NOT_CREATED."""
        ...

    def arrivals(self) -> int:
        """How many queries reached the other side."""
        ...

    def fault_of(self, reply: Reply) -> str | None:
        """Check the reply's evidence with its key, as `ledger verify` would; None where it verifies."""
        ...


class GatewayConformance:
    """The suite. The bench's pace must let at most 4 asks be under way at once."""

    @pytest.fixture
    def bench(self) -> GatewayBench:
        """Override it."""
        raise NotImplementedError

    @pytest.mark.parametrize("situation", EXPECTED)
    async def test_each_situation_has_its_answer(self, bench: GatewayBench, situation: Situation) -> None:
        """By type, and verified only where a signature covers it."""
        bench.arrange("A1", situation)
        (reply,) = await bench.gateway.ask(["A1"])
        assert (type(reply.answer), reply.verified) == EXPECTED[situation], reply.answer

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

    @pytest.mark.parametrize("situation", [Situation.FORGED, Situation.UNSIGNED, Situation.STRANGER])
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


async def _ask_eight(gateway: Gateway) -> None:
    await gateway.ask([f"N{position}" for position in range(8)])
