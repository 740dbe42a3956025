"""What the ledger's double keeps, and the rules that need no pen."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from reconciler.domain.case import CaseKind
from reconciler.domain.history import History, KnownAttempt, Settlement
from reconciler.domain.order import ChannelName, OrderKey
from reconciler.ports import (
    Case,
    CaseId,
    Intention,
    IntentionId,
    OpenIntention,
    Outcome,
    Question,
    StoryEntry,
    Watch,
    WatchId,
    WatchUpdate,
)

ASKS_KEPT = 32
SHARE_OF_OLDEST = 4
INTERRUPTIONS_MAX = 3
MOVED = (Outcome.SETTLED, Outcome.CALLBACK_WON)
PAID_IN_THE_SHOP = {CaseKind.DUPLICATE_PAYMENT, CaseKind.PAID_AFTER_REFUND, CaseKind.PAID_WITHOUT_PAYMENT}
ENTRY_KINDS = {
    Outcome.SETTLED: "settled",
    Outcome.CALLBACK_WON: "callback_won",
    Outcome.REFUSED: "settle_refused",
    Outcome.SUPERSEDED: "superseded",
}


@dataclass(slots=True)
class Watched:
    """A watch, and what only the ledger knows of it."""

    watch: Watch
    leased_until: datetime | None = None
    interruptions: int = 0
    last_verified: str | None = None
    transaction_id: str | None = None
    was_paid: bool = False

    @property
    def due_at(self) -> datetime | None:
        """When it may be leased; None once it has ended."""
        return None if self.watch.ended_at else self.leased_until or self.watch.next_ask_at


@dataclass(slots=True)
class Intended:
    """An intention with its outcome, None while it is open."""

    id: IntentionId
    intention: Intention
    begun_at: datetime
    outcome: Outcome | None = None

    @property
    def keys(self) -> list[OrderKey]:
        """The orders it settles."""
        return [order.key for order in self.intention.orders]

    @property
    def payment(self) -> tuple[ChannelName, str]:
        """What it spends."""
        return (self.intention.channel, self.intention.transaction_id)


@dataclass(slots=True)
class Contents:
    """Every table."""

    epoch: int = 0
    marks: dict[str, str] = field(default_factory=dict)
    watches: dict[WatchId, Watched] = field(default_factory=dict)
    intentions: dict[IntentionId, Intended] = field(default_factory=dict)
    cases: dict[CaseId, Case] = field(default_factory=dict)
    resolved: dict[CaseId, str] = field(default_factory=dict)
    entries: list[StoryEntry] = field(default_factory=list)
    numbered: int = 0

    @property
    def head(self) -> tuple[int, str]:
        """The last entry's number and hash."""
        return (self.entries[-1].id, self.entries[-1].hash) if self.entries else (0, "0" * 64)


@dataclass(slots=True)
class Shelf:
    """What would be the database. Set `unavailable` to a text, and every call fails with it."""

    contents: Contents = field(default_factory=Contents)
    unavailable: str | None = None


def identity(watch: Watch) -> tuple[str, str, str]:
    """Give what is unique about a watch."""
    return (watch.attempt.order_key, watch.attempt.channel, watch.attempt.out_trade_no)


def claims_payment(item: Intended) -> bool:
    """Say whether its payment is spent, or being spent."""
    return item.outcome is None or item.outcome in MOVED


def as_open(item: Intended) -> OpenIntention:
    """Show it as the port does."""
    intended = item.intention
    return OpenIntention(
        item.id,
        tuple(item.keys),
        intended.orders[0].order_no,
        intended.channel,
        intended.out_trade_no,
        intended.transaction_id,
        item.begun_at,
    )


def wake(item: Watched, at: datetime) -> None:
    """Make it due at `at`, or when its lease ends."""
    item.watch = replace(item.watch, next_ask_at=at, ended_at=None)
    if item.leased_until is not None and item.leased_until <= at:
        item.leased_until = None


def apply_update(contents: Contents, update: WatchUpdate, now: datetime) -> None:
    """Write what an ask did to its watch."""
    item = contents.watches.get(update.watch)
    if item is None:
        return
    asks = (*item.watch.asks, update.ask) if update.ask else item.watch.asks
    item.watch = replace(
        item.watch,
        next_ask_at=update.next_ask_at,
        last_answered_at=update.last_answered_at,
        failures=update.failures,
        untrusted_run=update.untrusted_run,
        last_decision=update.decision,
        why=update.why,
        ended_at=(item.watch.ended_at or now) if update.ended else None,
        asks=asks[-ASKS_KEPT:],
    )
    item.leased_until, item.interruptions = None, 0
    item.last_verified = update.last_verified or item.last_verified
    item.transaction_id = update.transaction_id or item.transaction_id
    item.was_paid |= update.shows_paid


def history_of(contents: Contents, question: Question) -> History:
    """Give what is known beside one attempt."""
    attempt = question.watch.attempt
    key = attempt.order_key
    watched = [item for item in contents.watches.values() if item.watch.attempt.order_key == key]
    cases = [case for case in contents.cases.values() if case.order_key == key]
    moved = [item for item in contents.intentions.values() if item.outcome in MOVED]
    own = [item.intention for item in moved if key in item.keys]
    movers = [
        member for item in moved if item.payment == (attempt.channel, question.transaction_id) for member in item.keys
    ]
    return History(
        others=tuple(
            KnownAttempt(*item.watch.attempt.number, item.last_verified, item.transaction_id)
            for item in watched
            if item.watch.attempt.number != attempt.number
        ),
        settled=Settlement(own[-1].channel, own[-1].out_trade_no, own[-1].transaction_id) if own else None,
        transaction_moved=movers[0] if movers and key not in movers else None,
        was_paid=bool(own)
        or any(item.was_paid for item in watched)
        or any(case.kind in PAID_IN_THE_SHOP for case in cases),
        untrusted_run=question.watch.untrusted_run,
        last_verified=next(
            (item.last_verified for item in watched if item.watch.attempt.number == attempt.number), None
        ),
        resolved_for_good=any(case.final for case in cases),
        open_cases=frozenset(case.kind for case in cases if not case.ended_at),
    )
