"""What the ledger keeps, and what is asked of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Final, NewType

from reconciler.domain.answer import Evidence, VerifyingKey
from reconciler.domain.case import APART, AttemptNumber, CaseKind, Fact
from reconciler.domain.money import Money
from reconciler.domain.order import Attempt, ChannelName, Order, OrderKey

WatchId = NewType("WatchId", int)
IntentionId = NewType("IntentionId", str)
CaseId = NewType("CaseId", int)
NO_CASE: Final = CaseId(0)
"""Before the first."""


@dataclass(frozen=True, slots=True)
class NewWatch:
    """An attempt to be watched from now on."""

    attempt: Attempt
    next_ask_at: datetime
    waits_at: datetime | None = None
    """When the shop's row was seen to wait for a payment, if it was: a watch that had ended before with the order paid
    is asked once more, and told of."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One ask as the watch remembers it: the last 32 are kept for `explain`."""

    asked_at: datetime
    answer: str
    """`Paid`, `Unavailable`, …"""
    reason: str
    duration_ms: int
    decision: str


@dataclass(frozen=True, slots=True)
class Watch:
    """An attempt that is still open."""

    id: WatchId
    attempt: Attempt
    next_ask_at: datetime
    last_answered_at: datetime | None = None
    """When the gateway last said something usable: ages count from there."""
    failures: int = 0
    """Asks in a row that came to nothing."""
    untrusted_run: int = 0
    last_decision: str = ""
    why: str = ""
    ended_at: datetime | None = None
    asks: tuple[Ask, ...] = ()


@dataclass(frozen=True, slots=True)
class WatchUpdate:
    """What an ask (or a look at the shop's row) did to a watch. The lease ends with it."""

    watch: WatchId
    next_ask_at: datetime
    last_answered_at: datetime | None
    failures: int
    untrusted_run: int
    decision: str
    why: str
    ended: bool = False
    ask: Ask | None = None
    """None where the gateway was not asked."""
    last_verified: str | None = None
    """The answer's name, where it was verified."""
    transaction_id: str | None = None
    shows_paid: bool = False
    """The shop's row was seen paid or refunded: remembered for as long as the watch is."""


TRADE_CLOSE_BEGUN: Final = "trade_close_begun"
"""The kind of the entry that is written before a gateway is told to close a trade."""
TRADE_CLOSE_ENDED: Final = "trade_close_ended"
"""What it said to that: `outcome` in the body. A gateway that could not be told ends nothing. Histories know both."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line to append to the ledger."""

    kind: str
    """`settled`, `case_opened`, `watch_ended`, …: words of design.md."""
    order_key: OrderKey | None = None
    order_no: str = ""
    channel: ChannelName | None = None
    out_trade_no: str = ""
    body: Mapping[str, object] = field(default_factory=dict)
    """What was seen, decided or done: JSON values only, no personal data."""
    evidence: Evidence | None = None
    key: VerifyingKey | None = None


@dataclass(frozen=True, slots=True)
class CaseReport:
    """A question for a person, to open or to repeat."""

    kind: CaseKind
    order_key: OrderKey
    order_no: str
    channel: ChannelName | None
    out_trade_no: str
    why: str
    facts: tuple[Fact, ...] = ()
    evidence: Evidence | None = None
    key: VerifyingKey | None = None
    amount: Money | None = None
    """The order's, where its row could be read: for whoever is told."""
    only_new: bool = False
    """Say nothing where such a case is open already: it may know more by now."""
    is_repeated: bool = False
    """This very attempt said it at its last ask: where the case is about another attempt that asks on, it stays so."""

    @property
    def number(self) -> AttemptNumber:
        """The attempt that it is about; empty where it is about the order."""
        return self.channel or "", self.out_trade_no


class Reported(Enum):
    """What became of a case report."""

    OPENED = "opened"
    REPEATED = "repeated"
    """It is open already: an entry where the facts changed, no second alert."""
    SILENT = "silent"
    """The same facts were resolved once."""


@dataclass(frozen=True, slots=True)
class CaseOutcome:
    """The case that a report led to."""

    reported: Reported
    case: CaseId


@dataclass(frozen=True, slots=True)
class Case:
    """A question for a person, as kept."""

    id: CaseId
    kind: CaseKind
    order_key: OrderKey
    order_no: str
    channel: ChannelName | None
    out_trade_no: str
    why: str
    facts: tuple[Fact, ...]
    opened_at: datetime
    repeated: int = 0
    ended_at: datetime | None = None
    ending: str = ""
    """How it ended: `settled`, `resolved by li: refunded by hand`."""
    final: bool = False
    snoozed_until: datetime | None = None
    """Nobody is reminded of it before; None where nobody put it off."""
    digest: str = ""
    """Names the question (`digest_of` it and its attempt): what a person is shown, and waves through or resolves."""
    amount: Money | None = None
    """The order's when the case was opened; None where it could not be read, and for cases of earlier versions."""
    approved: bool = False
    """A person waved this very question through, and the order has not been moved since."""


@dataclass(frozen=True, slots=True)
class EndCases:
    """End an order's open cases: it was settled, and the question is answered."""

    order_key: OrderKey
    ending: str
    out_trade_no: str = ""
    """Only cases about this number, or about none: what is asked about other money stays open. Empty: all."""
    kind: CaseKind | None = None
    """Only this kind; None: every kind that a payment answers (not `APART`)."""

    def is_about(self, kind: CaseKind) -> bool:
        """Whether it ends cases of a kind."""
        return kind not in APART if self.kind is None else kind is self.kind


@dataclass(frozen=True, slots=True)
class Mark:
    """A named position to keep, in place of what was kept under the name before."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Batch:
    """What one turn of the flow writes, in one transaction."""

    updates: tuple[WatchUpdate, ...] = ()
    entries: tuple[Entry, ...] = ()
    cases: tuple[CaseReport, ...] = ()
    ends: tuple[EndCases, ...] = ()
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True)
class Intention:
    """A settlement to begin."""

    orders: tuple[Order, ...]
    channel: ChannelName
    out_trade_no: str
    transaction_id: str
    amount: Money
    paid_at: datetime
    why: str
    evidence: Evidence | None
    key: VerifyingKey | None


class Outcome(Enum):
    """How an intention ended."""

    SETTLED = "settled"
    CALLBACK_WON = "callback_won"
    """The shop's own callback moved the order first, by the same payment."""
    REFUSED = "refused"
    """The shop did not take it: nothing was moved."""
    SUPERSEDED = "superseded"
    """Found open at start, or overtaken by events: decided anew, and not so."""


@dataclass(frozen=True, slots=True)
class OpenIntention:
    """A settlement that was begun and has no outcome."""

    id: IntentionId
    order_keys: tuple[OrderKey, ...]
    order_no: str
    channel: ChannelName
    out_trade_no: str
    transaction_id: str
    begun_at: datetime


@dataclass(frozen=True, slots=True)
class Begun:
    """The intention is written: settle now. The same id as before where it was found open for the same payment."""

    id: IntentionId


@dataclass(frozen=True, slots=True)
class Taken:
    """This transaction has moved another order already."""

    by: OrderKey


@dataclass(frozen=True, slots=True)
class Settled:
    """What was settled by us since some time."""

    orders: int
    """Each order of a group counts."""
    fen: int
    """The payments' sum, in whatever currency the shop has."""


@dataclass(frozen=True, slots=True)
class Question:
    """What `histories` is asked: one attempt, and the transaction that its answer names, if any."""

    watch: Watch
    transaction_id: str | None = None


@dataclass(frozen=True, slots=True)
class WatchCounts:
    """How many watches there are, for `status` and the metrics."""

    open: int
    due: int
    ended: int
    oldest_due_at: datetime | None


@dataclass(frozen=True, slots=True)
class OpenCases:
    """The open cases of one kind, for `status`, the summary and the metrics."""

    count: int
    oldest_at: datetime
    """When the oldest of them was opened, for the first time where it was reopened."""


@dataclass(frozen=True, slots=True)
class HeldUp:
    """What a trouble of a channel means: the orders whose asks are overdue, or came to nothing last time."""

    orders: int
    """Counted up to `HELD_UP_MAX`."""
    since: datetime | None
    """None of them has waited for longer than since then; None where there is none."""


HELD_UP_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Ends:
    """What became of a channel's payments within some time."""

    lost: int = 0
    """Attempts whose order we moved: the callback had not."""
    arrived: int = 0
    """Attempts whose order the shop's own callback had moved."""
    mismatches: int = 0
    """Cases (`MISMATCHES`) that were opened."""


MOVED_BY_US: Final = frozenset({"settled"})
MOVED_BY_THE_SHOP: Final = frozenset({"done", Outcome.CALLBACK_WON.value})
"""The last decisions on watches that ended with the order paid: by us, and by the shop's own callback."""
WAITING_TO_SETTLE: Final = frozenset({"would_settle", "settle_waits", "row_busy"})
"""The last decisions on open watches whose payment is confirmed and whose order has not been moved."""
STUCK_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class StoryEntry:
    """An entry as it stands in the ledger."""

    id: int
    at: datetime
    entry: Entry
    hash: str


@dataclass(frozen=True, slots=True)
class Story:
    """All that the ledger knows of some orders, oldest first."""

    watches: tuple[Watch, ...] = ()
    entries: tuple[StoryEntry, ...] = ()
    cases: tuple[Case, ...] = ()
    intentions: tuple[OpenIntention, ...] = ()
