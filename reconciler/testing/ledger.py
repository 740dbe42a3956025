"""The ledger's double: lists and dicts, with the meaning of the real one.

Two `MemoryLedger` over one `Shelf` are two processes over one database: the one that leads last breaks the other's pen.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from reconciler.domain.case import CaseKind
from reconciler.domain.history import History
from reconciler.domain.learning import Payments
from reconciler.domain.order import ChannelName, OrderKey
from reconciler.domain.schedule import INTERRUPTIONS_MAX, leased_for
from reconciler.ports import (
    NO_CASE,
    Acted,
    Batch,
    Begun,
    Case,
    CaseAct,
    CaseId,
    CaseNews,
    CaseOutcome,
    Ends,
    Entry,
    HeldUp,
    Intention,
    IntentionId,
    LedgerUnavailable,
    Look,
    NewWatch,
    OpenCases,
    OpenIntention,
    Outcome,
    Overtaken,
    Question,
    Settled,
    Story,
    StoryEntry,
    Taken,
    Watch,
    WatchCounts,
    WatchId,
)
from reconciler.testing import ledger_cases, ledger_figures, ledger_past, ledger_telling
from reconciler.testing.shelf import (
    ENTRY_KINDS,
    SHARE_OF_OLDEST,
    Contents,
    Intended,
    Shelf,
    Watched,
    apply_update,
    as_open,
    chained,
    claims_payment,
    held_up_of,
    history_of,
    identity,
    payments_of,
    wake,
)

__all__ = ["MemoryLedger", "Shelf"]


class MemoryLedger:
    """A ledger (`reconciler.ports.Ledger`) that forgets."""

    def __init__(self, shelf: Shelf | None = None) -> None:
        self.shelf = shelf or Shelf()
        self._left_at: tuple[int, tuple[int, str]] | None = None
        self._overtaken = False
        self._leased: dict[ChannelName, int] = {}

    async def lead(self, who: str, now: datetime) -> int:
        """Take the pen."""
        contents = self._read()
        self.may_still_write()
        contents.epoch += 1
        self._left_at = (contents.epoch, contents.head)
        with self._writing() as contents:
            self._append(contents, Entry("led", body={"who": who, "epoch": contents.epoch}), now)
        return contents.epoch

    def may_still_write(self) -> None:
        """Raise Overtaken where it has been found."""
        if self._overtaken:
            raise Overtaken("another process has led since")

    async def mark(self, name: str) -> str | None:
        """Read a named position."""
        contents = self._read()
        return str(contents.epoch) if name == "epoch" else contents.marks.get(name)

    async def set_mark(self, name: str, value: str) -> None:
        """Write a named position."""
        if name == "epoch":
            raise ValueError("the epoch is raised by taking the lead")
        with self._writing() as contents:
            contents.marks[name] = value

    async def watch(self, new: Sequence[NewWatch], now: datetime) -> int:  # noqa: ARG002 # the port's
        """Add the watches that are not known yet."""
        if not new:
            return 0
        with self._writing() as contents:
            before = len(contents.watches)
            for item in new:
                contents.numbered += 1
                watch = Watch(WatchId(contents.numbered), item.attempt, item.next_ask_at)
                known = contents.watched(item.attempt.order_key)
                if identity(watch) not in map(identity, (one.watch for one in known)):
                    contents.add_watch(watch)
                elif item.waits_at is not None:
                    self._wake_paid(contents, watch, item.waits_at)
            return len(contents.watches) - before

    def _wake_paid(self, contents: Contents, again: Watch, waits_at: datetime) -> None:
        for item in contents.watched(again.attempt.order_key):
            ended_at = item.watch.ended_at
            if identity(item.watch) == identity(again) and item.was_paid and ended_at and ended_at < waits_at:
                item.watch = replace(item.watch, ended_at=None, next_ask_at=again.next_ask_at)
                contents.awake(item)

    async def lease(self, channel: ChannelName, now: datetime, until: datetime, limit: int) -> Sequence[Watch]:
        """Take due watches."""
        contents = self._check()
        first = contents.next_due(channel)
        if first is None or first > now or limit < 1:
            return ()
        due = [item for item in contents.open_at(channel) if item.due_at is not None and item.due_at <= now]
        trusted = [item for item in due if item.interruptions <= INTERRUPTIONS_MAX]
        due = trusted or [min(due, key=lambda item: (item.interruptions, item.watch.next_ask_at, item.watch.id))]
        due.sort(key=lambda item: (item.watch.attempt.created_at, item.watch.id), reverse=True)
        if len(due) > limit:
            quarter, self._leased[channel] = divmod(self._leased.get(channel, 0) + limit, SHARE_OF_OLDEST)
            quarter = min(quarter, limit)
            due = due[: limit - quarter] + due[len(due) - quarter :][::-1]
        with self._writing() as contents:
            for item in due:
                taken = contents.watches[item.watch.id]
                taken.leased_until = now + leased_for(until - now, taken.interruptions)
                taken.interruptions += 1
                contents.awake(taken)
        return [item.watch for item in due]

    async def free_leases(self, *, lives: bool = False) -> int:
        """Make due again what a crash, or an outage, left leased."""
        with self._writing() as contents:
            left = [item for item in contents.watches.values() if item.leased_until and not item.watch.ended_at]
            for item in left:
                item.leased_until = None
                item.interruptions -= lives and item.interruptions > 0
                contents.awake(item)
            return len(left)

    async def next_due(self, channel: ChannelName) -> datetime | None:
        """Say when the next one is due."""
        return self._read().next_due(channel)

    async def wake(self, order_keys: Sequence[OrderKey], at: datetime) -> None:
        """Make these orders' watches due."""
        with self._writing() as contents:
            for key in order_keys:
                for item in contents.watched(key):
                    wake(contents, item, at)

    async def wake_later(self, at: datetime) -> int:
        """Make due what is due later."""
        with self._writing() as contents:
            later = [item for item in contents.watches.values() if item.due_at is not None and item.due_at > at]
            for item in later:
                item.leased_until = None
                wake(contents, item, at)
            return len(later)

    async def wake_would_settle(self, at: datetime) -> int:
        """Make due what observing would have settled."""
        with self._writing() as contents:
            found = [
                item
                for item in contents.watches.values()
                if item.watch.last_decision == "would_settle" and not item.watch.ended_at
            ]
            for item in found:
                wake(contents, item, at)
            return len(found)

    async def histories(self, questions: Sequence[Question]) -> Sequence[History]:
        """Give what is known."""
        contents = self._read()
        return [history_of(contents, question) for question in questions]

    async def record(self, batch: Batch, now: datetime) -> Sequence[CaseOutcome]:
        """Write a batch."""
        _refuse_unwritable(batch)
        with self._writing() as contents:
            return self._apply(contents, batch, now)

    async def begin(self, intention: Intention, now: datetime) -> Begun | Taken:
        """Write the intention."""
        keys = [order.key for order in intention.orders]
        if not keys or len(set(keys)) != len(keys):
            raise ValueError(f"an intention settles one order or several different ones, not {keys}")
        with self._writing() as contents:
            payment = (intention.channel, intention.transaction_id)
            claims = [item for item in contents.spenders(*payment) if claims_payment(item)]
            if spent := [key for item in claims if item.outcome for key in item.keys]:
                return Taken(next((key for key in spent if key in keys), spent[0]))
            for item in claims:
                if set(item.keys) == set(keys):
                    self._note(contents, "settle_begun", replace(item, intention=intention), now)
                    return Begun(item.id)
                if not set(item.keys) & set(keys):
                    return Taken(item.keys[0])
            for item in contents.intentions.values():
                if item.outcome is None and set(item.keys) & set(keys):
                    item.outcome = Outcome.SUPERSEDED
                    self._note(contents, "superseded", item, now)
            begun = Intended(IntentionId(f"intention-{contents.head[0] + 1}"), intention, now)
            contents.add_intention(begun)
            self._note(contents, "settle_begun", begun, now)
            return Begun(begun.id)

    async def conclude(
        self, intention: IntentionId, outcome: Outcome, why: str, batch: Batch, now: datetime
    ) -> Sequence[CaseOutcome]:
        """Write how it ended."""
        _refuse_unwritable(batch)
        with self._writing() as contents:
            item = contents.intentions.get(intention)
            if item is None or item.outcome not in {None, outcome}:
                raise ValueError(f"intention {intention} is not open")
            if item.outcome is outcome:
                append = self._appending(contents, now)
                return [ledger_cases.report(contents, report, now, append) for report in batch.cases]
            item.outcome, item.concluded_at = outcome, now
            self._note(contents, ENTRY_KINDS[outcome], item, now, why)
            return self._apply(contents, batch, now)

    async def open_intentions(self) -> Sequence[OpenIntention]:
        """Give the open ones."""
        return [as_open(item) for item in self._read().intentions.values() if item.outcome is None]

    async def settled(self, since: datetime) -> Settled:
        """Count what was settled since then."""
        ours = [
            item
            for item in self._read().intentions.values()
            if item.outcome is Outcome.SETTLED and item.concluded_at is not None and item.concluded_at >= since
        ]
        return Settled(sum(len(item.keys) for item in ours), sum(item.intention.amount.fen for item in ours))

    async def payments(self, since: datetime, limit: int) -> Payments:
        """Say when buyers have paid."""
        return payments_of(self._read(), since, limit)

    async def story(self, number: str) -> Story:
        """Tell the story."""
        return ledger_past.story_of(self._read(), number)

    async def cases(
        self, *, with_ended: bool = False, kind: CaseKind | None = None, after: CaseId = NO_CASE, limit: int = 1000
    ) -> Sequence[Case]:
        """List cases."""
        known = sorted(self._read().cases.values(), key=lambda case: case.id)
        found = [case for case in known if case.id > after and (with_ended or not case.ended_at)]
        return [case for case in found if kind in {None, case.kind}][:limit]

    async def open_cases(self) -> Mapping[CaseKind, OpenCases]:
        """Count the open cases by kind."""
        return ledger_cases.opened(self._read())

    async def case(self, case: CaseId) -> Case | None:
        """Give one case."""
        return self._read().cases.get(case)

    async def handle(self, acts: Sequence[CaseAct], now: datetime) -> Sequence[Acted]:
        """Write what a person does."""
        with self._writing() as contents:
            append = self._appending(contents, now)
            return [ledger_cases.handle(contents, act, now, append) for act in acts]

    async def news(self, look: Look) -> CaseNews:
        """Give what somebody is to be told of cases."""
        return ledger_telling.news(self._read(), look)

    async def told(self, look: Look) -> int:
        """Write that it was told of."""
        with self._writing() as contents:
            return ledger_telling.told(contents, look)

    async def untold(self) -> int:
        """Count what no target has taken."""
        return ledger_telling.untold(self._read())

    async def counts(self, now: datetime) -> WatchCounts:
        """Count the watches."""
        open_ = [item.due_at for item in self._read().watches.values() if item.due_at is not None]
        due = [at for at in open_ if at <= now]
        return WatchCounts(len(open_), len(due), len(self._read().watches) - len(open_), min(due, default=None))

    async def held_up(self, channel: ChannelName, now: datetime) -> HeldUp:
        """Say what is held up."""
        return held_up_of(self._of(channel), now)

    async def ends(self, since: datetime, until: datetime) -> Mapping[ChannelName, Ends]:
        """Say what became of payments."""
        return ledger_figures.ends(self._read(), since, until)

    async def stuck(self) -> int:
        """Count what is stuck."""
        return ledger_figures.stuck(self._read())

    async def head(self) -> tuple[int, str]:
        """Give the chain's head."""
        return self._read().head

    async def prune(self, before: datetime) -> int:
        """Forget evidence and ended watches."""
        with self._writing() as contents:
            return ledger_past.forget(contents, before)

    async def close(self) -> None:
        """Nothing to let go of."""

    def _read(self) -> Contents:
        if self.shelf.unavailable is not None:
            raise LedgerUnavailable(self.shelf.unavailable)
        return self.shelf.contents

    def _of(self, channel: ChannelName) -> list[Watched]:
        return [item for item in self._read().watches.values() if item.watch.attempt.channel == channel]

    def _check(self) -> Contents:
        contents = self._read()
        if self._left_at is None:
            raise Overtaken("this process does not lead")
        self._overtaken |= self._left_at != (contents.epoch, contents.head)
        self.may_still_write()
        return contents

    @contextmanager
    def _writing(self) -> Iterator[Contents]:
        """Hold the pen. All or none is the block's own duty: what can fail comes first in it."""
        contents = self._check()
        yield contents
        self._left_at = (contents.epoch, contents.head)

    def _appending(self, contents: Contents, now: datetime) -> ledger_cases.Append:
        return lambda entry: self._append(contents, entry, now)

    def _append(self, contents: Contents, entry: Entry, now: datetime) -> None:
        number, before = contents.head
        contents.add_entry(StoryEntry(number + 1, now, entry, chained(before, number + 1, now, entry)))

    def _note(self, contents: Contents, kind: str, item: Intended, now: datetime, why: str = "") -> None:
        intended = item.intention
        for order in intended.orders:
            body: dict[str, object] = {
                "intention": item.id,
                "transaction_id": intended.transaction_id,
                "why": why or intended.why,
            }
            body |= {"amount_fen": intended.amount.fen, "currency": intended.amount.currency}
            entry = Entry(kind, order.key, order.order_no, intended.channel, intended.out_trade_no, body)
            self._append(contents, replace(entry, evidence=intended.evidence, key=intended.key), now)

    def _apply(self, contents: Contents, batch: Batch, now: datetime) -> list[CaseOutcome]:
        for entry in batch.entries:
            self._append(contents, entry, now)
        contents.marks.update({mark.name: mark.value for mark in batch.marks})
        for update in batch.updates:
            apply_update(contents, update, now)
        append = self._appending(contents, now)
        for end in batch.ends:
            ledger_cases.end(contents, end, now, append)
        return [ledger_cases.report(contents, report, now, append) for report in batch.cases]


def _refuse_unwritable(batch: Batch) -> None:
    """Raise before anything is written where a body is not JSON."""
    for entry in batch.entries:
        json.dumps(dict(entry.body), allow_nan=False)
