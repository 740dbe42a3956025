"""Find: rows of the shop that wait for a payment, or were closed without one, become watches."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from reconciler.domain.case import CaseKind, Fact
from reconciler.domain.order import Attempt, Order, OrderKey, OrderState, UnreadableOrder
from reconciler.domain.schedule import next_ask
from reconciler.events.trouble import ChannelUnconfigured
from reconciler.flow.apply import announce
from reconciler.flow.clock_set_back import ClockSteps
from reconciler.flow.context import Context
from reconciler.flow.quick_mark import QuickMark
from reconciler.ports import Batch, CaseReport, Found, Glimpse, NewWatch, Page, Position

PAGE_ROWS = 100
"""Small, since the shop's own statements wait while its server reads one: a millisecond is not felt, five are."""
WALKED_MARK = "find.walked"
KNOWN_MAX = 20_000
"""Rows that are remembered as watched, some MB: what comes beyond them, as after a stop of hours, is read again."""
LOOKS_A_ROUND = 4
"""The first look of a round steps back, by the overlap, for what was committed late; the others read on."""


@dataclass(frozen=True, slots=True)
class FindPolicy:
    """How far and how often to look."""

    every: timedelta = timedelta(seconds=15)
    full_every: timedelta = timedelta(hours=1)
    window: timedelta = timedelta(days=7)
    """How far back the walk goes: beyond the last age, so that an order first seen later is asked once all the same."""
    overlap: timedelta = timedelta(minutes=2)
    """How long a transaction may take to commit and still be seen by the quick selector."""
    since: datetime | None = None
    """Walk from here, once: `run --since`."""


class Finder:
    """The two selectors: a quick one for what is new, a slow one that walks the whole window again."""

    def __init__(
        self,
        context: Context,
        policy: FindPolicy,
        steps: ClockSteps | None = None,
        named: set[str] | None = None,
        looked: Callable[[], None] = lambda: None,
    ) -> None:
        """Find by a policy; `named` are the strangers told already; `looked` hears of each look that came through."""
        self._context = context
        self._policy = policy
        self._steps = steps or ClockSteps()
        self._looked = looked
        self._named = set() if named is None else named
        self._strangers: defaultdict[str, set[OrderKey]] = defaultdict(set)
        """Orders by the channel that they name and that is nobody's, met since it was last told."""
        self._latest: Position | None = None
        """What was newest at the last look; None: step back at the next."""
        self._looked_s = -math.inf
        """When the last look ended, monotonic."""
        self._looks = 0
        """Those of this round, the one that stepped back included."""
        self._stepped_back_s = 0.0
        self._known: set[Glimpse] = set()
        self._known_before: set[Glimpse] = set()
        """Rows that became watches since the mark was moved, and since the time before: no look reads older ones."""

    async def quick(self) -> int:
        """Look at rows newer than the last time, now and then with the overlap; give the number of new watches.

        A row that was committed late is met by the next look that steps back: within four looks, or half an overlap
        and one look if that is less. A shop with many orders would feel it if each look went over all of them again.
        """
        found = await self._look()
        if found is None:
            return await self.walk()
        self._tell_strangers()
        return found

    async def _look(self) -> int | None:
        """Look at what is new; None where no walk has begun yet, so that nobody knows what is."""
        context = self._context
        now = context.clock.now()
        newest = await context.shop.newest()
        mark = await self._steps.by_the_books(context)
        if mark is None:
            return None
        if self._latest is not None and not self._is_to_step_back():
            found = await self._go_through(self._latest)
            self._latest, self._looks = newest, self._looks + 1
            self._note_look()
            return found
        found = await self._go_through(mark.from_, known=self._known | self._known_before)
        self._latest, self._looks, self._stepped_back_s = newest, 1, context.clock.monotonic()
        if not timedelta(0) <= now - mark.seen_at < self._policy.overlap:  # or the clock was set back, by little
            await QuickMark(from_=mark.seen, seen=newest, seen_at=now).keep(context.ledger)
            self._known_before, self._known = self._known, set()
        self._note_look()
        return found

    def _note_look(self) -> None:
        self._looked_s = self._context.clock.monotonic()
        self._looked()

    async def _look_if_due(self) -> int:
        """Look at what is new while a walk lasts, at the interval."""
        return (await self._look() or 0) if self._is_to_look() else 0

    def _is_to_look(self) -> bool:
        return self._context.clock.monotonic() - self._looked_s >= self._policy.every.total_seconds()

    def _is_to_step_back(self) -> bool:
        since_s = self._context.clock.monotonic() - self._stepped_back_s
        return self._looks >= LOOKS_A_ROUND or since_s >= self._policy.overlap.total_seconds() / 2

    async def walk(self) -> int:
        """Walk the whole window, from where the last complete walk ended if that is further back.

        Whoever orders now does not wait for it, nor for a walk that comes to grief: what is new is looked at first, and
        again at the interval.
        """
        try:
            return await self._look_if_due() + await self._walk()
        finally:  # it may never come through
            self._tell_strangers()

    async def _walk(self) -> int:
        context = self._context
        now = context.clock.now()
        newest = await context.shop.newest()
        since = now - self._policy.window
        if self._policy.since is not None:
            since = min(since, self._policy.since)
        if last := await context.ledger.mark(WALKED_MARK):
            since = min(since, datetime.fromisoformat(last))
        if await QuickMark.read(context.ledger) is None:
            from_ = await context.shop.before(now - self._policy.overlap)  # who orders now may commit in two minutes
            await QuickMark(from_=from_, seen=newest, seen_at=now).keep(context.ledger)
        found = await self._go_through(await context.shop.before(since), since)
        await context.ledger.set_mark(WALKED_MARK, now.isoformat())
        self._policy = replace(self._policy, since=None)
        return found

    async def _go_through(
        self, after: Position, since: datetime | None = None, *, known: AbstractSet[Glimpse] = frozenset()
    ) -> int:
        """Make watches of the candidates from a position on, of those created since then, but not of known ones."""
        total = 0
        position: Position | None = after
        while position is not None:
            if since is not None:
                total += await self._look_if_due()
            read_at = self._context.clock.now()
            page: Page = await self._context.shop.candidates(position, PAGE_ROWS, known)
            total += await self._take(page, read_at, since)
            if since is None and len(self._known) < KNOWN_MAX:
                self._known.update(found.glimpse for found in page.found if found.glimpse and _is_whole(found))
            for found in page.found:
                for value in found.strangers:
                    self._strangers[value].add(found.row.key)
            position = page.next
        return total

    def _tell_strangers(self) -> None:
        """Say once of each channel that is nobody's how many orders name it, as far as they were met."""
        for value, orders in self._strangers.items():
            if value not in self._named:
                self._named.add(value)
                self._context.events.emit(
                    ChannelUnconfigured(shop_value=value, orders=len(orders), why="no channel's shop_values name it")
                )
        self._strangers.clear()

    async def _take(self, page: Page, read_at: datetime, since: datetime | None) -> int:
        context = self._context
        now = context.clock.now()
        cases = tuple(case for found in page.found for case in _unreadable(found, since))
        if cases:
            announce(context, cases, await context.ledger.record(Batch(cases=cases), now))
        new = tuple(
            self.watch_for(attempt, now, waits_at=read_at if _waits(found) else None)
            for found in page.found
            for attempt in found.attempts
            if since is None or attempt.created_at >= since
        )
        watched = await context.ledger.watch(new, now) if new else 0
        context.tally.found += watched
        return watched

    def watch_for(self, attempt: Attempt, now: datetime, *, waits_at: datetime | None = None) -> NewWatch:
        """Make the watch of an attempt: due at its first age, or now where that has passed."""
        ahead = attempt.created_at - now
        if ahead > self._context.policy.clock_tolerance:
            # Hours or days: who knows whose clock is wrong. If it is ours, the order's ages must not suffer by it.
            return NewWatch(attempt, now, waits_at)
        if ahead > timedelta(0):  # a shop whose clock runs a little ahead must not put off its asks
            attempt = replace(attempt, created_at=now)
        due = next_ask(attempt.created_at, None, now, self._context.policy.ages)
        return NewWatch(attempt, due or now, waits_at)


def _is_whole(found: Found) -> bool:
    """Whether nothing is left to be found out about a row, or to be said of it."""
    return isinstance(found.row, Order) and bool(found.attempts) and not found.unwatched


def _waits(found: Found) -> bool:
    return isinstance(found.row, Order) and found.row.state is OrderState.PENDING


def _unreadable(found: Found, since: datetime | None) -> Iterator[CaseReport]:
    """Give the case of a row that cannot be read, or of attempts of it.

    Nothing is said of rows that are older than the walk, or that a channel which is not ours to watch has.
    """
    row = found.row
    is_old = since is not None and row.created_at is not None and row.created_at < since
    problems = list(found.unreadable)
    if isinstance(row, UnreadableOrder) and not is_old and not found.ignored:
        problems.insert(0, row.problem)
    if problems:
        yield CaseReport(
            kind=CaseKind.UNREADABLE_ORDER,
            order_key=row.key,
            order_no=row.order_no,
            channel=None,
            out_trade_no="",
            why=f"the order waits for a payment and cannot be read: {'; '.join(problems)}",
            facts=tuple(Fact("order", "not asked", problem) for problem in problems),
            amount=row.amount if isinstance(row, Order) else None,
            only_new=True,
        )
