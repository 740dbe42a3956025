"""Examples that the ledger's conformance suite works with, and the bench that it asks for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

import pytest

from reconciler.domain.answer import Evidence
from reconciler.domain.case import CaseKind, Fact
from reconciler.domain.money import Money
from reconciler.domain.order import Attempt, ChannelName, Order, OrderKey, OrderState
from reconciler.ports import (
    Begun,
    CaseReport,
    Intention,
    IntentionId,
    Ledger,
    Watch,
    WatchUpdate,
)

NOW: Final = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
LATER: Final = NOW + timedelta(minutes=2)
CHANNEL: Final = ChannelName("alipay-main")
OTHER: Final = ChannelName("wechat-main")


class Bench(Protocol):
    """One database (empty at first), and what a test does behind the ledger's back."""

    async def open(self) -> Ledger:
        """Open the ledger once more, as another process would. The bench closes it."""
        ...

    async def raise_epoch(self) -> None:
        """Raise the epoch by hand, as an operator may."""
        ...


def attempt(key: str = "1", channel: ChannelName = CHANNEL, number: str | None = None, age_s: int = 60) -> Attempt:
    """Make an attempt of order `key`, that old at `NOW`."""
    return Attempt(OrderKey(key), f"A{key}", channel, number or f"N{key}", NOW - timedelta(seconds=age_s), Money(9900))


def evidence(mark: str = "1") -> Evidence:
    """Make evidence without a signature, its time in another offset than UTC."""
    received_at = datetime.fromisoformat("2026-11-23T16:00:00.000123+08:00")
    return Evidence("alipay", f"alipay.trade.query {mark}", 200, (("x", "y"),), b"{\xff}", None, received_at)


def report(key: str = "1", theirs: str = "98.00", kind: CaseKind = CaseKind.AMOUNT_MISMATCH) -> CaseReport:
    """Make a case report of order `key`."""
    facts = (Fact("amount", theirs, "99.00"), Fact("currency", "CNY", "CNY", agrees=True))
    question = (kind, OrderKey(key), f"A{key}", CHANNEL, f"N{key}", "amounts differ", facts, evidence(key))
    return CaseReport(*question, amount=Money(9900))


def intention(*keys: str, transaction_id: str = "T1", channel: ChannelName = CHANNEL) -> Intention:
    """Make an intention to settle these orders by one payment."""
    orders = tuple(
        Order(OrderKey(key), f"A{key}", OrderState.PENDING, "1", Money(9900), NOW - timedelta(hours=1)) for key in keys
    )
    amount = Money(9900 * max(1, len(keys)))
    return Intention(
        orders, channel, f"N{keys[0]}" if keys else "", transaction_id, amount, NOW, "paid", evidence(), None
    )


def update(watch: Watch, decision: str = "ask_again", *, ended: bool = False) -> WatchUpdate:
    """Make an update that puts a watch off by an hour."""
    return WatchUpdate(watch.id, NOW + timedelta(hours=1), NOW, 0, 0, decision, "not yet", ended=ended)


async def lease(ledger: Ledger, limit: int) -> Sequence[Watch]:
    """Lease at `NOW` until `LATER`."""
    return await ledger.lease(CHANNEL, NOW, LATER, limit)


def keys(watches: Sequence[Watch]) -> list[str]:
    """Name the orders of some watches."""
    return [watch.attempt.order_key for watch in watches]


async def begin(ledger: Ledger, item: Intention) -> IntentionId:
    """Begin what must not be taken."""
    begun = await ledger.begin(item, NOW)
    assert isinstance(begun, Begun)
    return begun.id


async def kinds(ledger: Ledger, number: str) -> list[str]:
    """Give the kinds of an order's entries."""
    return [line.entry.kind for line in (await ledger.story(number)).entries]


class Leading:
    """The fixtures that every part needs."""

    @pytest.fixture
    async def bench(self) -> Bench:
        """Override: give the database under test, empty."""
        raise NotImplementedError

    @pytest.fixture
    async def ledger(self, bench: Bench) -> Ledger:
        """Give a ledger that leads."""
        ledger = await bench.open()
        await ledger.lead("first", NOW)
        return ledger
