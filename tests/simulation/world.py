"""The world around the daemon: buyers, the shop's own code and staff, and what is checked whenever something moves."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from reconciler.domain.money import Money
from reconciler.domain.order import Attempt, ChannelName, OrderKey, OrderState
from reconciler.events import Event
from reconciler.testing.clock import START
from reconciler.testing.ledger import Shelf
from reconciler.testing.receiver import MemoryReceiver
from reconciler.testing.shop import MemoryOrder, MemoryTable
from tests.simulation.plan import CHANNELS, HOUR, MERCHANTS, MINUTE, Plan, rng_of
from tests.simulation.trades import TradeRecord, Trades

WAITING = (OrderState.PENDING, OrderState.CLOSED)


@dataclass(frozen=True, slots=True)
class Broken:
    """A promise was broken: about which order, how and when."""

    order: str
    how: str
    at: float


@dataclass(slots=True)
class Delivery:
    """That the goods of an order went out: by whose hand, for which payment, when."""

    by: str
    transaction_id: str | None
    at: float


@dataclass(slots=True)
class Told:
    """One thing that happened, for the story of an order."""

    at: float
    who: str
    what: str


@dataclass(slots=True)
class World:
    """Everything that is true, whatever anybody knows of it."""

    plan: Plan
    now: Callable[[], float]
    """The true seconds since the beginning."""
    table: MemoryTable = field(default_factory=MemoryTable)
    shelf: Shelf = field(default_factory=Shelf)
    trades: Trades = field(default_factory=Trades)
    receiver: MemoryReceiver = field(init=False)
    stories: dict[str, list[Told]] = field(default_factory=lambda: defaultdict(list))
    events: list[tuple[float, str, Event]] = field(default_factory=list)
    delivered: dict[OrderKey, list[Delivery]] = field(default_factory=lambda: defaultdict(list))
    committed_at: dict[OrderKey, float] = field(default_factory=dict)
    """When a row could be read first."""
    touched_at: dict[OrderKey, float] = field(default_factory=dict)
    """When somebody other than the daemon last wrote to a row."""
    troubles: list[tuple[float, float]] = field(default_factory=list)
    """When nobody could expect an order to be looked after, as far as it is not in the plan."""
    unlocked_at: dict[OrderKey, float] = field(default_factory=dict)
    """When a row was let go that somebody had locked."""
    came_back_at: dict[OrderKey, float] = field(default_factory=dict)
    """When a deleted row was put back: far behind where finding is, so that only a walk sees it."""
    removed: dict[OrderKey, MemoryOrder] = field(default_factory=dict)
    poisoned: set[OrderKey] = field(default_factory=set)
    broken: Broken | None = None
    over: bool = False
    extra_numbers: dict[OrderKey, list[tuple[ChannelName, str]]] = field(default_factory=lambda: defaultdict(list))
    ledger_lost: bool = False
    spent: dict[tuple[ChannelName, str], OrderKey] = field(default_factory=dict)
    """Payments that moved an order by our hand."""
    moved_at: list[float] = field(default_factory=list)
    approved: set[OrderKey] = field(default_factory=set)
    resolved_for_good: set[OrderKey] = field(default_factory=set)
    settled_said: set[tuple[OrderKey, str]] = field(default_factory=set)
    case_at: dict[OrderKey, float] = field(default_factory=dict)
    misled_at: dict[tuple[ChannelName, str], float] = field(default_factory=dict)
    """When an old answer about a number was last said again: that uses up an age."""
    braked_at: float | None = None
    pen: str = ""
    """Who took the pen last."""
    before: dict[OrderKey, MemoryOrder | None] = field(default_factory=dict)
    """The rows as they were before the move that is being made."""
    mover: str = ""
    moves_enforced: bool = True

    def __post_init__(self) -> None:
        self.receiver = MemoryReceiver(self.table)

    # ------------------------------------------------------------------------------------------------------------ time

    def at(self, moment: float, do: Callable[..., None], *about: object) -> None:
        """Have something happen at a moment, unless it is past the end."""
        if moment < self.plan.end:
            asyncio.get_running_loop().call_at(max(moment, self.now()), do, *about)

    def breaks(self, order: str, how: str) -> None:
        """Note that a promise was broken: the first is the one that is told."""
        if self.broken is None:
            self.broken = Broken(order, how, self.now())

    def paid_seen_from(self, key: OrderKey) -> float:
        """Say since when a row has shown what it shows: nobody writes to a paid row for nothing."""
        ours = [one.at for one in self.delivered[key]]
        return max([self.touched_at[key], *ours])

    def tell(self, key: str, who: str, what: str) -> None:
        """Remember something for the story of an order."""
        self.stories[key].append(Told(self.now(), who, what))

    def trouble(self, begin: float, end: float) -> None:
        """Note a time during which nobody could expect an order to be looked after."""
        self.troubles.append((begin, end))

    # ------------------------------------------------------------------------------------------------------ the orders

    def begin(self) -> None:
        """Have every order come."""
        rng = rng_of(self.plan.seed, "orders")
        for number in range(self.plan.orders):
            self.at(rng.uniform(0, self.plan.last_order), Buyer(self, number).order)

    def put(self, row: MemoryOrder) -> None:
        """Make a row readable."""
        rows = self.table.rows
        rows[row.key] = row
        self.committed_at[row.key] = self.now()
        self.touched_at[row.key] = self.now()
        state = f"{row.state.value}, {row.amount}, number {row.out_trade_no} at {row.channel}"
        self.tell(row.key, "shop", f"ordered, {state}")

    def row(self, key: OrderKey) -> MemoryOrder | None:
        """Give a row as it is now."""
        return self.table.rows.get(key)

    def write(self, key: OrderKey, who: str, **facts: object) -> None:
        """Have somebody other than the daemon write to a row."""
        row = self.table.rows.get(key)
        if row is None:
            return
        self.table.rows[key] = dataclasses.replace(row, **facts)  # type: ignore[arg-type] # whatever the caller says
        self.touched_at[key] = self.now()
        self.tell(key, who, ", ".join(f"{name} = {_short(value)}" for name, value in facts.items()))

    def deliver(self, key: OrderKey, by: str, transaction_id: str | None) -> None:
        """Note that goods went out."""
        self.delivered[key].append(Delivery(by, transaction_id, self.now()))

    def callback(self, key: OrderKey, trade: TradeRecord) -> None:
        """Let the gateway's callback arrive at the shop."""
        row = self.row(key)
        if row is None:
            return
        if row.state in WAITING if self.plan.habits.guarded_callback else row.transaction_id != trade.transaction_id:
            moment = START + timedelta(seconds=int(trade.paid_at or 0))
            self.write(key, "callback", state=OrderState.PAID, transaction_id=trade.transaction_id, paid_at=moment)
            self.deliver(key, "callback", trade.transaction_id)
            if rng_of(self.plan.seed, f"shut {key}").random() < self.plan.habits.shuts_delivered:
                self.at(self.now() + 1, lambda: self.write(key, "staff shuts it", state=OrderState.CLOSED))


class Buyer:
    """One buyer, and what becomes of his order as far as he, the gateway and the shop's staff have to do with it."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.rng: Random = rng_of(world.plan.seed, f"order {number}")
        self.key = OrderKey(str(number))
        self.number = f"N{number}"
        self.amount = Money(self.rng.randint(1, 50_000))
        self.channel = self.rng.choice(CHANNELS)

    def chance(self, share: float) -> bool:
        """Say whether something happens that happens so often."""
        return self.rng.random() < share

    def order(self) -> None:
        """Put the row into the table, at once or when a slow transaction commits."""
        world = self.world
        world.table.places += 1
        row = MemoryOrder(
            key=self.key,
            order_no=f"A{self.key}",
            out_trade_no=self.number,
            amount=self.amount,
            state=OrderState.PENDING,
            created_at=START + timedelta(seconds=int(world.now())),
            channel=self.channel,
            place=world.table.places,
        )
        commits_at = world.now() + (self.rng.uniform(10, 100) if self.chance(0.1) else 0.0)
        if world.plan.poison and self.chance(0.01):
            world.poisoned.add(self.key)
        world.at(commits_at, world.put, row)
        world.at(commits_at, self._go_on)

    def _go_on(self) -> None:
        world, now = self.world, self.world.now()
        habits = world.plan.habits
        number, amount = self.number, self.amount
        if self.chance(0.01):
            self._share_number()
        if self.chance(0.04):
            self._second_attempt()
        if habits.expires_after is not None:
            world.at(now + habits.expires_after, self._expire)
        if self.chance(0.08):
            return  # never opens the payment page
        merchant = MERCHANTS[self.channel]
        flags: tuple[str, ...] = ()
        if self.chance(0.02):
            amount = Money(max(1, amount.fen + self.rng.choice([-1, 1, 100])))
        if self.chance(0.005) and merchant:
            merchant = (("appid", "wx1"), ("mchid", "666"))
        if self.chance(0.005):
            flags = ("credit_pay_mode",)
        self._pay_by(TradeRecord(self.channel, number, self._due(amount), merchant, flags), never=0.1)
        self._staff()

    def _due(self, amount: Money) -> Money:
        """Give what is to be paid for the number: for all of a declared group."""
        if not self.world.plan.policy.shared_payment:
            return amount
        others = [row for row in self.world.table.rows.values() if row.out_trade_no == self.number]
        return Money(amount.fen + sum(row.amount.fen for row in others if row.amount and row.key != self.key))

    def _share_number(self) -> None:
        """Let a second row carry the number."""
        world = self.world
        world.table.places += 1
        twin = MemoryOrder(
            key=OrderKey(f"{self.key}b"),
            order_no=f"A{self.key}b",
            out_trade_no=self.number,
            amount=Money(self.rng.randint(1, 5_000)),
            state=OrderState.PENDING,
            created_at=START + timedelta(seconds=int(world.now())),
            channel=self.channel,
            place=world.table.places,
        )
        if world.plan.policy.shared_payment and self.key in world.poisoned:
            world.poisoned.add(twin.key)  # one payment moves both, so who looks at the one looks at the other
        world.put(twin)

    def _second_attempt(self) -> None:
        """Let the buyer try the other channel, too; he may pay there as well."""
        world, other = self.world, next(name for name in CHANNELS if name != self.channel)
        number = f"{self.number}x"
        created_at = START + timedelta(seconds=int(world.now()))
        attempt = Attempt(self.key, f"A{self.key}", other, number, created_at)
        world.table.extra[self.key].append(attempt)
        world.extra_numbers[self.key].append((other, number))
        world.tell(self.key, "shop", f"a second attempt, number {number} at {other}")
        self._pay_by(TradeRecord(other, number, self.amount, MERCHANTS[other]), never=0.5)

    def _pay_by(self, trade: TradeRecord, never: float) -> None:
        world, now = self.world, self.world.now()
        world.trades.records[trade.channel, trade.number] = trade
        opened_at = now + self.rng.uniform(1, 60)
        world.at(opened_at, self._open, trade)
        timeout = world.plan.habits.trade_timeout
        if timeout is not None:
            world.at(opened_at + timeout, self._close, trade)
        if self.chance(never):
            return
        later = self.rng.choice([MINUTE, MINUTE, 5 * MINUTE, 30 * MINUTE, 3 * HOUR])
        paid_at = opened_at + self.rng.uniform(2, later)
        world.at(paid_at, self._pay, trade)

    def _open(self, trade: TradeRecord) -> None:
        trade.opened_at = self.world.now()
        self.world.tell(self.key, "buyer", f"opens the payment page of {trade.number}")

    def _close(self, trade: TradeRecord) -> None:
        if trade.takes_payment(self.world.now()):
            trade.closed_at = self.world.now()
            self.world.tell(self.key, "gateway", f"closes {trade.number}, unpaid")

    def _pay(self, trade: TradeRecord) -> None:
        world, now = self.world, self.world.now()
        if not trade.takes_payment(now):
            return
        trade.paid_at = now
        world.tell(self.key, "buyer", f"pays {trade.amount} for {trade.number} at {trade.channel}")
        if not self.chance(world.plan.habits.callback_loss):
            late = self.rng.choice([1, 1, 1, 1, 30, 20 * MINUTE, 3 * HOUR])
            for _ in range(2 if self.chance(0.1) else 1):
                world.at(now + self.rng.uniform(0.2, 3) * late, world.callback, self.key, trade)
        if self.chance(0.05):
            world.at(now + self.rng.uniform(1, 3 * HOUR), self._refund, trade)

    def _refund(self, trade: TradeRecord) -> None:
        world = self.world
        trade.refunded_at = world.now()
        trade.in_full = self.chance(0.6)
        part = "in full" if trade.in_full else "in part"
        world.tell(self.key, "gateway", f"refunds {trade.number}, {part}")
        row = world.row(self.key)
        if trade.in_full and row is not None and row.state is OrderState.PAID and self.chance(0.7):
            world.write(self.key, "staff", state=OrderState.REFUNDED)

    def _expire(self) -> None:
        row = self.world.row(self.key)
        if row is not None and row.state is OrderState.PENDING:
            self.world.write(self.key, "shop expires it", state=OrderState.CLOSED)

    def _staff(self) -> None:
        """Let people have their hands in it, now and then."""
        world, now = self.world, self.world.now()
        if self.chance(0.01):
            world.at(now + self.rng.uniform(1, HOUR), self._edit)
        if self.chance(0.01):
            world.at(now + self.rng.uniform(1, HOUR), self._delete, self.chance(0.5))
        if self.chance(0.02):
            world.at(now + self.rng.uniform(1, 2 * HOUR), self._deliver_by_hand, self.chance(0.5))
        if self.chance(0.02):
            world.at(now + self.rng.uniform(1, HOUR), self._lock, self.rng.choice([5.0, MINUTE, HOUR]))

    def _lock(self, seconds: float) -> None:
        """Let somebody's editor, or a report, keep the row locked for a while."""
        world = self.world
        world.table.locked.add(self.key)
        world.tell(self.key, "staff", f"locks the row for {seconds:.0f} s")
        world.unlocked_at[self.key] = world.now() + seconds + 30 * MINUTE  # so long it is tried again at most
        world.at(world.now() + seconds, world.table.locked.discard, self.key)

    def _edit(self) -> None:
        row = self.world.row(self.key)
        if row is not None and row.amount is not None and row.state in WAITING:
            self.world.write(self.key, "staff edits it", amount=Money(row.amount.fen + self.rng.choice([1, 500])))

    def _delete(self, for_a_while: bool) -> None:  # drawn beforehand
        world, row = self.world, self.world.table.rows.pop(self.key, None)
        if row is None:
            return
        world.removed[self.key] = row
        world.touched_at[self.key] = world.now()
        world.tell(self.key, "staff", "deletes it")
        if for_a_while:
            world.at(world.now() + self.rng.uniform(10, HOUR), self._undelete)

    def _undelete(self) -> None:
        row = self.world.removed.pop(self.key, None)
        if row is not None:
            self.world.put(row)
            self.world.came_back_at[self.key] = self.world.now()

    def _deliver_by_hand(self, names_payment: bool) -> None:  # drawn beforehand
        world, row = self.world, self.world.row(self.key)
        trade = world.trades.records.get((self.channel, self.number))
        if row is None or row.state not in WAITING or trade is None or trade.paid_at is None:
            return
        transaction = trade.transaction_id if names_payment else None
        world.write(self.key, "staff delivers it by hand", state=OrderState.PAID, transaction_id=transaction)
        world.deliver(self.key, "staff", transaction)


def _short(value: object) -> str:
    if isinstance(value, OrderState):
        return value.value
    return value.isoformat() if isinstance(value, datetime) else str(value)
