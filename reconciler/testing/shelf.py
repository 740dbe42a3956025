"""What the ledger's double keeps, and the rules that need no pen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from reconciler.domain.case import APART, CaseKind
from reconciler.domain.history import History, KnownAttempt, Settlement
from reconciler.domain.learning import Payments
from reconciler.domain.order import Attempt, ChannelName, OrderKey
from reconciler.ports import (
    HELD_UP_MAX,
    TRADE_CLOSE_BEGUN,
    TRADE_CLOSE_ENDED,
    Case,
    CaseId,
    Entry,
    HeldUp,
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
MOVED = (Outcome.SETTLED, Outcome.CALLBACK_WON)
PAID_IN_THE_SHOP = {CaseKind.PAID_AFTER_REFUND, CaseKind.PAID_WITHOUT_PAYMENT}
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
    concluded_at: datetime | None = None

    @property
    def keys(self) -> list[OrderKey]:
        """The orders it settles."""
        return [order.key for order in self.intention.orders]

    @property
    def payment(self) -> tuple[ChannelName, str]:
        """What it spends."""
        return (self.intention.channel, self.intention.transaction_id)


@dataclass(slots=True)
class Telling:
    """Who was told of a case: the numbers of entries that nobody was told of yet, and when to remind."""

    untold: int | None = None
    end_untold: int | None = None
    is_told: bool = False
    remind_at: datetime | None = None


@dataclass(slots=True)
class Contents:
    """Every table, and what finds its rows."""

    epoch: int = 0
    marks: dict[str, str] = field(default_factory=dict)
    watches: dict[WatchId, Watched] = field(default_factory=dict)
    intentions: dict[IntentionId, Intended] = field(default_factory=dict)
    cases: dict[CaseId, Case] = field(default_factory=dict)
    resolved: dict[CaseId, str] = field(default_factory=dict)
    telling: dict[CaseId, Telling] = field(default_factory=dict)
    entries: list[StoryEntry] = field(default_factory=list)
    numbered: int = 0
    _watches_of: dict[OrderKey, list[WatchId]] = field(default_factory=dict)
    _intentions_of: dict[OrderKey, list[IntentionId]] = field(default_factory=dict)
    _spenders: dict[tuple[ChannelName, str], list[IntentionId]] = field(default_factory=dict)
    _closings: dict[tuple[str, str, str], list[StoryEntry]] = field(default_factory=dict)
    _awake: dict[ChannelName, dict[WatchId, None]] = field(default_factory=dict)
    """Watches that are open, and some that were."""
    _next_due: dict[ChannelName, datetime | None] = field(default_factory=dict)
    """When a channel's next watch is due, where nothing was written to its watches since that was found out."""
    _cases_of: dict[OrderKey, list[CaseId]] = field(default_factory=dict)

    @property
    def head(self) -> tuple[int, str]:
        """The last entry's number and hash."""
        return (self.entries[-1].id, self.entries[-1].hash) if self.entries else (0, "0" * 64)

    def add_watch(self, watch: Watch) -> None:
        """Keep a new watch, to be found by its order too."""
        self.watches[watch.id] = item = Watched(watch)
        self._watches_of.setdefault(watch.attempt.order_key, []).append(watch.id)
        self.awake(item)

    def awake(self, item: Watched) -> None:
        """Note that a watch is open, or may be again, or is due at another time."""
        channel = item.watch.attempt.channel
        self._awake.setdefault(channel, {})[item.watch.id] = None
        self._next_due.pop(channel, None)

    def forget_watch(self, watch: WatchId) -> None:
        """Drop it."""
        attempt = self.watches.pop(watch).watch.attempt
        self._watches_of[attempt.order_key].remove(watch)
        self._awake[attempt.channel].pop(watch, None)
        self._next_due.pop(attempt.channel, None)

    def watched(self, key: OrderKey) -> list[Watched]:
        """Give an order's watches, the oldest first."""
        return [self.watches[watch] for watch in self._watches_of.get(key, ())]

    def open_at(self, channel: ChannelName) -> list[Watched]:
        """Give a channel's open watches, in no order that anybody may count on."""
        awake = self._awake.get(channel, {})
        for watch in [watch for watch in awake if self.watches[watch].watch.ended_at]:
            del awake[watch]
        return [self.watches[watch] for watch in awake]

    def next_due(self, channel: ChannelName) -> datetime | None:
        """Say when a channel's next open watch is due."""
        if channel not in self._next_due:
            dues = (item.due_at for item in self.open_at(channel))
            self._next_due[channel] = min((due for due in dues if due), default=None)
        return self._next_due[channel]

    def add_case(self, case: Case) -> None:
        """Keep a new case, to be found by its order too."""
        self.cases[case.id] = case
        self._cases_of.setdefault(case.order_key, []).append(case.id)

    def cases_about(self, key: OrderKey) -> list[Case]:
        """Give an order's cases, the oldest first."""
        return [self.cases[case] for case in self._cases_of.get(key, ())]

    def add_intention(self, item: Intended) -> None:
        """Keep a new intention, to be found by its orders and its payment too."""
        self.intentions[item.id] = item
        for key in item.keys:
            self._intentions_of.setdefault(key, []).append(item.id)
        self._spenders.setdefault(item.payment, []).append(item.id)

    def intended(self, key: OrderKey) -> list[Intended]:
        """Give an order's intentions, the oldest first."""
        return [self.intentions[item] for item in self._intentions_of.get(key, ())]

    def spenders(self, channel: ChannelName, transaction_id: str | None) -> list[Intended]:
        """Give the intentions that spend a payment, the oldest first."""
        return [self.intentions[item] for item in self._spenders.get((channel, transaction_id or ""), ())]

    def add_entry(self, line: StoryEntry) -> None:
        """Keep the next entry; what is about closing a trade is found by the attempt."""
        self.entries.append(line)
        if line.entry.kind in {TRADE_CLOSE_BEGUN, TRADE_CLOSE_ENDED}:
            about = (line.entry.order_key or "", line.entry.channel or "", line.entry.out_trade_no)
            self._closings.setdefault(about, []).append(line)

    def closings(self, attempt: Attempt) -> list[Entry]:
        """Give what was written about closing an attempt's trade, the oldest first."""
        return [line.entry for line in self._closings.get((attempt.order_key, *attempt.number), ())]

    def copy(self) -> Contents:
        """Give a backup: what is written to the one from now on is not in the other."""
        return replace(
            self,
            marks=dict(self.marks),
            watches={watch: replace(item) for watch, item in self.watches.items()},
            intentions={name: replace(item) for name, item in self.intentions.items()},
            cases=dict(self.cases),
            resolved=dict(self.resolved),
            telling={case: replace(item) for case, item in self.telling.items()},
            entries=list(self.entries),
            _watches_of={key: list(watches) for key, watches in self._watches_of.items()},
            _intentions_of={key: list(items) for key, items in self._intentions_of.items()},
            _spenders={payment: list(items) for payment, items in self._spenders.items()},
            _closings={about: list(lines) for about, lines in self._closings.items()},
            _awake={channel: dict(watches) for channel, watches in self._awake.items()},
            _next_due=dict(self._next_due),
            _cases_of={key: list(cases) for key, cases in self._cases_of.items()},
        )


@dataclass(slots=True)
class Shelf:
    """What would be the database. Set `unavailable` to a text, and every call fails with it."""

    contents: Contents = field(default_factory=Contents)
    unavailable: str | None = None


def chained(before: str, number: int, at: datetime, entry: Entry) -> str:
    """Give the hash of an entry behind the one with the hash `before`, without its evidence, which may be pruned."""
    body = json.dumps(dict(entry.body), sort_keys=True, allow_nan=False)
    material = f"{before} {number} {at.isoformat()} {entry.kind} {entry.order_key} {body}"
    return hashlib.sha256(material.encode("utf-8", "replace")).hexdigest()


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


def wake(contents: Contents, item: Watched, at: datetime) -> None:
    """Make it due at `at`, or when its lease ends."""
    contents.awake(item)
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
    contents.awake(item)
    item.leased_until, item.interruptions = None, 0
    item.last_verified = update.last_verified or item.last_verified
    item.transaction_id = update.transaction_id or item.transaction_id
    item.was_paid |= update.shows_paid


def held_up_of(watched: Sequence[Watched], now: datetime) -> HeldUp:
    """Say what is overdue, or came to nothing when it was last asked."""
    held = {
        item.watch.id: item.watch
        for item in watched
        if not item.watch.ended_at and (item.watch.failures > 0 or item.watch.next_ask_at <= now)
    }
    since = [
        (watch.last_answered_at or watch.attempt.created_at) if watch.failures else watch.next_ask_at
        for watch in held.values()
    ]
    orders = {watch.attempt.order_key for watch in held.values()}
    return HeldUp(min(len(orders), HELD_UP_MAX), min(since, default=None))


def _settlement(item: Intended) -> Settlement:
    moved = item.intention
    return Settlement(moved.channel, moved.out_trade_no, moved.transaction_id, item.concluded_at)


def history_of(contents: Contents, question: Question) -> History:
    """Give what is known beside one attempt."""
    attempt = question.watch.attempt
    key = attempt.order_key
    watched = contents.watched(key)
    cases = contents.cases_about(key)
    own = [item for item in contents.intended(key) if item.outcome in MOVED]
    movers = [
        member
        for item in contents.spenders(attempt.channel, question.transaction_id)
        if item.outcome in MOVED
        for member in item.keys
    ]
    closings = contents.closings(attempt)
    endings = (entry.body for entry in reversed(closings) if entry.kind == TRADE_CLOSE_ENDED)
    ended: Mapping[str, object] = next(endings, {})
    return History(
        others=tuple(
            KnownAttempt(*item.watch.attempt.number, item.last_verified, item.transaction_id)
            for item in watched
            if item.watch.attempt.number != attempt.number
        ),
        settled=_settlement(own[-1]) if own else None,
        transaction_moved=movers[0] if movers and key not in movers else None,
        was_paid=bool(own)
        or any(item.was_paid for item in watched)
        or any(case.kind in PAID_IN_THE_SHOP for case in cases),
        untrusted_run=question.watch.untrusted_run,
        last_verified=next(
            (item.last_verified for item in watched if item.watch.attempt.number == attempt.number), None
        ),
        resolved_for_good=any(case.final for case in cases),
        open_cases=frozenset(case.kind for case in cases if not case.ended_at) - APART,
        resolved=frozenset(contents.resolved[case.id] for case in cases if case.id in contents.resolved),
        approved=frozenset(
            case.digest for case in cases if case.approved and (case.channel, case.out_trade_no) == attempt.number
        ),
        close_begun=bool(closings),
        close_outcome=str(ended.get("outcome", "")),
        close_refused=ended.get("refused") is True,
    )


def payments_of(contents: Contents, since: datetime, limit: int) -> Payments:
    """Say when buyers have paid: of the newest settlements and ended watches."""
    settled = [
        (item.concluded_at, max(item.intention.paid_at - watched.watch.attempt.created_at, timedelta(0)))
        for item in contents.intentions.values()
        if item.outcome is Outcome.SETTLED and item.concluded_at is not None and item.concluded_at >= since
        for key in item.keys
        for watched in contents.watched(key)
        if watched.watch.attempt.number == (item.intention.channel, item.intention.out_trade_no)
    ]
    newest = sorted(settled, reverse=True)[:limit]
    ended = [(item.watch.ended_at, item.was_paid) for item in contents.watches.values()]
    last = sorted(((at, paid) for at, paid in ended if at is not None and at >= since), reverse=True)[:limit]
    return Payments(tuple(sorted(delay for _, delay in newest)), len(last), sum(paid for _, paid in last))
