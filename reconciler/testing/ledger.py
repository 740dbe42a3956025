"""The ledger's double: lists and dicts, with the meaning of the real one.

Two `MemoryLedger` over one `Shelf` are two processes over one database: the one that leads last breaks the other's pen.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from reconciler.domain.case import digest_of
from reconciler.domain.history import History
from reconciler.domain.order import ChannelName, OrderKey
from reconciler.ports import (
    Batch,
    Begun,
    Case,
    CaseId,
    CaseOutcome,
    CaseReport,
    EndCases,
    Entry,
    Intention,
    IntentionId,
    LedgerUnavailable,
    NewWatch,
    OpenIntention,
    Outcome,
    Overtaken,
    Question,
    Reported,
    Story,
    StoryEntry,
    Taken,
    Watch,
    WatchCounts,
    WatchId,
)
from reconciler.testing.shelf import (
    ENTRY_KINDS,
    INTERRUPTIONS_MAX,
    SHARE_OF_OLDEST,
    Contents,
    Intended,
    Shelf,
    Watched,
    apply_update,
    as_open,
    claims_payment,
    history_of,
    identity,
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
        if self._overtaken:
            raise Overtaken("another process has led since")
        contents.epoch += 1
        self._left_at = (contents.epoch, contents.head)
        with self._writing() as contents:
            self._append(contents, Entry("led", body={"who": who, "epoch": contents.epoch}), now)
        return contents.epoch

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
            known = {identity(item.watch) for item in contents.watches.values()}
            before = len(known)
            for item in new:
                contents.numbered += 1
                watch = Watch(WatchId(contents.numbered), item.attempt, item.next_ask_at)
                if identity(watch) not in known:
                    known.add(identity(watch))
                    contents.watches[watch.id] = Watched(watch)
                elif item.waits_at is not None:
                    self._wake_paid(contents, watch, item.waits_at)
            return len(known) - before

    def _wake_paid(self, contents: Contents, again: Watch, waits_at: datetime) -> None:
        for item in contents.watches.values():
            ended_at = item.watch.ended_at
            if identity(item.watch) == identity(again) and item.was_paid and ended_at and ended_at < waits_at:
                item.watch = replace(item.watch, ended_at=None, next_ask_at=again.next_ask_at)

    async def lease(self, channel: ChannelName, now: datetime, until: datetime, limit: int) -> Sequence[Watch]:
        """Take due watches."""
        self._check()
        due = [item for item in self._of(channel) if item.due_at is not None and item.due_at <= now]
        if not due or limit < 1:
            return ()
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
                taken.leased_until = until
                taken.interruptions += 1
        return [item.watch for item in due]

    async def free_leases(self) -> int:
        """Make due again what a crash left leased."""
        with self._writing() as contents:
            left = [item for item in contents.watches.values() if item.leased_until and not item.watch.ended_at]
            for item in left:
                item.leased_until = None
            return len(left)

    async def next_due(self, channel: ChannelName) -> datetime | None:
        """Say when the next one is due."""
        return min((item.due_at for item in self._of(channel) if item.due_at), default=None)

    async def wake(self, order_keys: Sequence[OrderKey], at: datetime) -> None:
        """Make these orders' watches due."""
        with self._writing() as contents:
            for item in contents.watches.values():
                if item.watch.attempt.order_key in order_keys:
                    wake(item, at)

    async def wake_would_settle(self, at: datetime) -> int:
        """Make due what observing would have settled."""
        with self._writing() as contents:
            found = [
                item
                for item in contents.watches.values()
                if item.watch.last_decision == "would_settle" and not item.watch.ended_at
            ]
            for item in found:
                wake(item, at)
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
            claims = [item for item in contents.intentions.values() if item.payment == payment and claims_payment(item)]
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
            contents.intentions[begun.id] = begun
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
                return [self._report(contents, report, now) for report in batch.cases]
            item.outcome = outcome
            self._note(contents, ENTRY_KINDS[outcome], item, now, why)
            return self._apply(contents, batch, now)

    async def open_intentions(self) -> Sequence[OpenIntention]:
        """Give the open ones."""
        return [as_open(item) for item in self._read().intentions.values() if item.outcome is None]

    async def story(self, number: str) -> Story:
        """Tell the story."""
        contents = self._read()
        attempts = [item.watch.attempt for item in contents.watches.values()]
        named = [(a.order_key, a.order_no, a.out_trade_no) for a in attempts]
        named += [(c.order_key, c.order_no, c.out_trade_no) for c in contents.cases.values()]
        named += [(e.entry.order_key or OrderKey(""), e.entry.order_no, e.entry.out_trade_no) for e in contents.entries]
        keys = {names[0] for names in named if number in names}
        return Story(
            watches=tuple(w.watch for w in contents.watches.values() if w.watch.attempt.order_key in keys),
            entries=tuple(e for e in contents.entries if e.entry.order_key in keys),
            cases=tuple(case for case in contents.cases.values() if case.order_key in keys),
            intentions=tuple(
                as_open(i) for i in contents.intentions.values() if i.outcome is None and set(i.keys) & keys
            ),
        )

    async def cases(self, *, with_ended: bool = False, limit: int = 1000) -> Sequence[Case]:
        """List cases."""
        return [case for case in self._read().cases.values() if with_ended or not case.ended_at][:limit]

    async def case(self, case: CaseId) -> Case | None:
        """Give one case."""
        return self._read().cases.get(case)

    async def counts(self, now: datetime) -> WatchCounts:
        """Count the watches."""
        open_ = [item.due_at for item in self._read().watches.values() if item.due_at is not None]
        due = [at for at in open_ if at <= now]
        return WatchCounts(len(open_), len(due), len(self._read().watches) - len(open_), min(due, default=None))

    async def head(self) -> tuple[int, str]:
        """Give the chain's head."""
        return self._read().head

    async def prune(self, before: datetime) -> int:
        """Forget evidence and ended watches."""
        with self._writing() as contents:
            waiting = {case.order_key for case in contents.cases.values() if not case.ended_at}
            waiting |= {key for item in contents.intentions.values() if item.outcome is None for key in item.keys}
            gone = [
                item.watch.id
                for item in contents.watches.values()
                if item.watch.ended_at and item.watch.ended_at < before and item.watch.attempt.order_key not in waiting
            ]
            for watch in gone:
                del contents.watches[watch]
            kept = {
                line.entry.evidence.digest()
                for line in contents.entries
                if line.entry.evidence and (line.at >= before or line.entry.order_key in waiting)
            }
            pruned = set()
            for place, line in enumerate(contents.entries):
                if line.entry.evidence and (digest := line.entry.evidence.digest()) not in kept:
                    pruned.add(digest)
                    contents.entries[place] = replace(line, entry=replace(line.entry, evidence=None, key=None))
            return len(gone) + len(pruned)

    async def close(self) -> None:
        """Nothing to let go of."""

    def resolve(self, case: CaseId, *, final: bool = False) -> None:
        """End a case as a person would, so that the same facts stay silent."""
        found = self.shelf.contents.cases[case]
        self.shelf.contents.cases[case] = replace(found, ended_at=found.opened_at, ending="resolved", final=final)
        self.shelf.contents.resolved[case] = digest_of(found.kind, found.facts)

    def _read(self) -> Contents:
        if self.shelf.unavailable is not None:
            raise LedgerUnavailable(self.shelf.unavailable)
        return self.shelf.contents

    def _of(self, channel: ChannelName) -> list[Watched]:
        return [item for item in self._read().watches.values() if item.watch.attempt.channel == channel]

    def _check(self) -> None:
        contents = self._read()
        if self._left_at is None or self._overtaken or self._left_at != (contents.epoch, contents.head):
            self._overtaken = self._left_at is not None
            raise Overtaken("another process has led since" if self._overtaken else "this process does not lead")

    @contextmanager
    def _writing(self) -> Iterator[Contents]:
        """Hold the pen. All or none is the block's own duty: what can fail comes first in it."""
        self._check()
        contents = self.shelf.contents
        yield contents
        self._left_at = (contents.epoch, contents.head)

    def _append(self, contents: Contents, entry: Entry, now: datetime) -> None:
        number, before = contents.head
        body = json.dumps(dict(entry.body), sort_keys=True, allow_nan=False)
        material = f"{before} {number + 1} {now.isoformat()} {entry.kind} {entry.order_key} {body}"
        digest = hashlib.sha256(material.encode("utf-8", "replace")).hexdigest()
        contents.entries.append(StoryEntry(number + 1, now, entry, digest))

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
        for update in batch.updates:
            apply_update(contents, update, now)
        for end in batch.ends:
            self._end(contents, end, now)
        return [self._report(contents, report, now) for report in batch.cases]

    def _end(self, contents: Contents, end: EndCases, now: datetime) -> None:
        for case in list(contents.cases.values()):
            about_it = not end.out_trade_no or case.out_trade_no in {"", end.out_trade_no}
            if case.order_key == end.order_key and about_it and not case.ended_at:
                contents.cases[case.id] = replace(case, ended_at=now, ending=end.ending)
                body = {"case": case.id, "case_kind": case.kind.value, "ending": end.ending}
                self._append(
                    contents,
                    Entry("case_ended", case.order_key, case.order_no, case.channel, case.out_trade_no, body),
                    now,
                )

    def _report(self, contents: Contents, item: CaseReport, now: datetime) -> CaseOutcome:
        digest = digest_of(item.kind, item.facts)
        same = [case for case in contents.cases.values() if (case.order_key, case.kind) == (item.order_key, item.kind)]
        body = {"case_kind": item.kind.value, "why": item.why, "facts": [str(fact) for fact in item.facts]}
        entry = Entry("", item.order_key, item.order_no, item.channel, item.out_trade_no, body, item.evidence, item.key)
        for case in same:
            if case.ended_at:
                continue
            if item.only_new:
                return CaseOutcome(Reported.REPEATED, case.id)
            repeated = replace(case, repeated=case.repeated + 1)
            if digest_of(case.kind, case.facts) != digest:
                repeated = replace(
                    repeated, why=item.why, facts=item.facts, channel=item.channel, out_trade_no=item.out_trade_no
                )
                self._append(contents, replace(entry, kind="case_repeated"), now)
            contents.cases[case.id] = repeated
            return CaseOutcome(Reported.REPEATED, case.id)
        for case in reversed(same):
            if contents.resolved.get(case.id) == digest:
                return CaseOutcome(Reported.SILENT, case.id)
        opened = Case(
            CaseId(len(contents.cases) + 1),
            item.kind,
            item.order_key,
            item.order_no,
            item.channel,
            item.out_trade_no,
            item.why,
            item.facts,
            now,
        )
        contents.cases[opened.id] = opened
        self._append(contents, replace(entry, kind="case_opened"), now)
        return CaseOutcome(Reported.OPENED, opened.id)


def _refuse_unwritable(batch: Batch) -> None:
    """Raise before anything is written where a body is not JSON."""
    for entry in batch.entries:
        json.dumps(dict(entry.body), allow_nan=False)
