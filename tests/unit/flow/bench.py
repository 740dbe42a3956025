"""A whole daemon on doubles: shop, gateways, ledger and clock in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from reconciler.domain.answer import Paid, Trade
from reconciler.domain.money import Money
from reconciler.domain.order import ChannelName
from reconciler.domain.policy import Policy
from reconciler.events import Event
from reconciler.flow.brake import Limits
from reconciler.flow.channel import Channel
from reconciler.flow.context import Context, Tally
from reconciler.flow.find import FindPolicy
from reconciler.flow.inquiry import Inquiry
from reconciler.flow.rounds import Rounds
from reconciler.pace import Pace
from reconciler.testing.clock import AutoClock, ManualClock
from reconciler.testing.events import RecordingEvents
from reconciler.testing.gateway import ScriptedGateway
from reconciler.testing.ledger import MemoryLedger, Shelf
from reconciler.testing.receiver import MemoryReceiver
from reconciler.testing.shop import MemoryShop, MemoryTable

ALIPAY, WECHAT = ChannelName("alipay-main"), ChannelName("wechat-main")
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
CNY_99 = Money(9900)


@dataclass
class Bench:
    """What outlives a process (table, shelf, gateways), and a way to start processes on it."""

    clock: ManualClock = field(default_factory=lambda: AutoClock(NOON))
    policy: Policy = field(default_factory=Policy)
    enforcing: bool = True
    shared_payment: bool = False
    channels: Sequence[ChannelName] = (ALIPAY,)
    find: FindPolicy = field(default_factory=FindPolicy)
    table: MemoryTable = field(default_factory=MemoryTable)
    shelf: Shelf = field(default_factory=Shelf)
    events: RecordingEvents = field(default_factory=RecordingEvents)
    gateways: dict[ChannelName, ScriptedGateway] = field(default_factory=dict)
    receiver: MemoryReceiver | None = None
    """The shop's own code, where that settles; it outlives a process, too."""
    limits: Limits = field(default_factory=Limits)
    confirm_within: timedelta = timedelta(seconds=30)

    def gateway(self, name: ChannelName = ALIPAY) -> ScriptedGateway:
        """Give the gateway of a channel."""
        if name not in self.gateways:
            self.gateways[name] = ScriptedGateway(name, self.clock)
        return self.gateways[name]

    def shop(self) -> MemoryShop:
        """Give a process's way to the shop."""
        return MemoryShop(
            channels={name: (name,) for name in self.channels}, table=self.table, shared_payment=self.shared_payment
        )

    def process(self, shop: MemoryShop | None = None, ledger: MemoryLedger | None = None) -> Rounds:
        """Start a process: everything that lives in one is new."""
        context = Context(
            shop=shop or self.shop(),
            ledger=ledger or MemoryLedger(self.shelf),
            clock=self.clock,
            events=self.events,
            policy=self.policy,
            enforcing=self.enforcing,
            tally=Tally(since=self.clock.now()),
            receiver=self.receiver,
            limits=self.limits,
            confirm_within=self.confirm_within,
        )
        channels = [Channel(self.gateway(name), Pace(self.clock, rate=1000, concurrency=32)) for name in self.channels]
        return Rounds(context, channels, self.find, who="bench:1")

    async def once(self, rounds: Rounds | None = None) -> Rounds:
        """Make one pass, as `run --once` does."""
        rounds = rounds or self.process()
        assert await rounds.once()
        await rounds.context.shop.release()
        return rounds

    async def pass_time(self, seconds: int) -> None:
        """Let time pass second by second, so that whoever wakes has done its work before the next."""
        for _ in range(seconds):
            await self.clock.advance(1)

    def inquiry(self, rounds: Rounds) -> Inquiry:
        """Give the operator's desk of a process."""
        return Inquiry(rounds.context, rounds.channels)

    def pay(self, number: str, channel: ChannelName = ALIPAY, **facts: object) -> Trade:
        """Let the gateway call a number paid, four minutes ago."""
        trade = Trade(number, f"T-{number}", CNY_99, self.clock.now() - timedelta(minutes=4))
        trade = replace(trade, **facts)  # type: ignore[arg-type] # whatever a test says
        self.gateway(channel).will_answer(number, Paid(trade))
        return trade

    def order(self, key: str, number: str = "", minutes: float = 5, **facts: object) -> None:
        """Put an order into the shop, created some minutes ago."""
        self.shop().put(
            key,
            out_trade_no=number or f"N{key}",
            created_at=self.clock.now() - timedelta(minutes=minutes),
            amount=CNY_99,
            **facts,  # type: ignore[arg-type] # whatever a test says
        )

    def said(self, kind: type[Event]) -> list[Event]:
        """Give what was said of one kind."""
        return list(self.events.of(kind))
