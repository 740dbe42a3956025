"""Our own store, as the flow sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from reconciler.domain.case import CaseKind
from reconciler.domain.history import History
from reconciler.domain.learning import Payments
from reconciler.domain.order import ChannelName, OrderKey
from reconciler.ports.acts import Acted, CaseAct
from reconciler.ports.records import (
    NO_CASE,
    Batch,
    Begun,
    Case,
    CaseId,
    CaseOutcome,
    Ends,
    HeldUp,
    Intention,
    IntentionId,
    NewWatch,
    OpenCases,
    OpenIntention,
    Outcome,
    Question,
    Settled,
    Story,
    Taken,
    Watch,
    WatchCounts,
)
from reconciler.ports.telling import CaseNews, Look


class Ledger(Protocol):
    """Our own store. Every method may raise LedgerUnavailable; those that write raise Overtaken once another leads."""

    async def lead(self, who: str, now: datetime) -> int:
        """Take the pen: raise the epoch and give it. Until then, and after Overtaken, nothing can be written."""
        ...

    def may_still_write(self) -> None:
        """Raise Overtaken where this process has been found overtaken; for who may not have heard. Looks nothing up."""
        ...

    async def mark(self, name: str) -> str | None:
        """Read a named position."""
        ...

    async def set_mark(self, name: str, value: str) -> None:
        """Write a named position."""
        ...

    async def watch(self, new: Sequence[NewWatch], now: datetime) -> int:
        """Add the watches that are not known yet (open or ended); give their number."""
        ...

    async def lease(self, channel: ChannelName, now: datetime, until: datetime, limit: int) -> Sequence[Watch]:
        """Take due watches of a channel, newest first a quarter for the oldest; nobody else until `until`."""
        ...

    async def free_leases(self, *, lives: bool = False) -> int:
        """Make leased watches due again, and give their number: for whoever takes the lead or goes on with it.

        `lives`: whoever had leased them lives on, so that none of them has broken it: no interruption is counted.
        A watch whose asks were interrupted several times in a row may be what breaks us: `lease` gives it out alone,
        only when no other is due, and for longer each time (`leased_for`).
        """
        ...

    async def next_due(self, channel: ChannelName) -> datetime | None:
        """Say when the channel's next open watch is due (or its lease ends); None where there is none."""
        ...

    async def wake(self, order_keys: Sequence[OrderKey], at: datetime) -> None:
        """Make these orders' watches due at `at`, ended ones too: they are asked again."""
        ...

    async def wake_later(self, at: datetime) -> int:
        """Make due at `at` every open watch that is due later, leased or not; give their number.

        For when the clock by which they were planned was ahead. One that is being asked about may be asked about twice.
        """
        ...

    async def wake_would_settle(self, at: datetime) -> int:
        """Make the open watches due at `at` whose last decision was to settle and that were only observed."""
        ...

    async def histories(self, questions: Sequence[Question]) -> Sequence[History]:
        """Give what is known beside each question's attempt, in order."""
        ...

    async def record(self, batch: Batch, now: datetime) -> Sequence[CaseOutcome]:
        """Write a batch, all or none; one outcome per case report, in order."""
        ...

    async def begin(self, intention: Intention, now: datetime) -> Begun | Taken:
        """Write the intention to settle, before the shop is touched. An open one for another payment is superseded."""
        ...

    async def conclude(
        self, intention: IntentionId, outcome: Outcome, why: str, batch: Batch, now: datetime
    ) -> Sequence[CaseOutcome]:
        """Write how it ended, with the batch, in one transaction; one outcome per case report of the batch."""
        ...

    async def open_intentions(self) -> Sequence[OpenIntention]:
        """Give the settlements that were begun and have no outcome."""
        ...

    async def settled(self, since: datetime) -> Settled:
        """Count what was settled since that time: by the index, so that it may be asked before each settlement."""
        ...

    async def payments(self, since: datetime, limit: int) -> Payments:
        """Say when buyers have paid: of the newest settlements and ended watches since then, `limit` of each at most.

        A delay is known of what was settled by us: from the attempt's creation to the gateway's time of payment.
        """
        ...

    async def story(self, number: str) -> Story:
        """Give everything about the orders with this order_no, out_trade_no or key."""
        ...

    async def cases(
        self, *, with_ended: bool = False, kind: CaseKind | None = None, after: CaseId = NO_CASE, limit: int = 1000
    ) -> Sequence[Case]:
        """List cases, of one kind where it is named, oldest first, from the one behind `after` on."""
        ...

    async def open_cases(self) -> Mapping[CaseKind, OpenCases]:
        """Count the open cases by kind, in one statement, by the index: there may be a hundred thousand."""
        ...

    async def case(self, case: CaseId) -> Case | None:
        """Give one case."""
        ...

    async def handle(self, acts: Sequence[CaseAct], now: datetime) -> Sequence[Acted]:
        """Write what a person does with cases, all in one transaction, an entry each; one outcome per act, in order."""
        ...

    async def news(self, look: Look) -> CaseNews:
        """Give what somebody is to be told of cases. The reminder is empty before a day has passed for any of them."""
        ...

    async def told(self, look: Look) -> int:
        """Write that a target took what this look found; give the number of cases. Others stay untold."""
        ...

    async def untold(self) -> int:
        """Count the open cases that no target has taken yet."""
        ...

    async def counts(self, now: datetime) -> WatchCounts:
        """Count the watches."""
        ...

    async def held_up(self, channel: ChannelName, now: datetime) -> HeldUp:
        """Say how many orders of a channel wait for an ask that is overdue, or whose last one came to nothing."""
        ...

    async def ends(self, since: datetime, until: datetime) -> Mapping[ChannelName, Ends]:
        """Say by channel what became of payments from `since` to before `until`; a channel without any is left out."""
        ...

    async def stuck(self) -> int:
        """Count the orders that are confirmed and not moved, and the open cases: up to `STUCK_MAX`."""
        ...

    async def head(self) -> tuple[int, str]:
        """Give the chain's head: the last entry's number and hash (0 and 64 zeros before the first)."""
        ...

    async def prune(self, before: datetime) -> int:
        """Delete evidence, keys no longer needed and ended watches from before that time; the chain still verifies."""
        ...

    async def close(self) -> None:
        """Let go of the database."""
        ...
