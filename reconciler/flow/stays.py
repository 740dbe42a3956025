"""Stays: orders that stand in a status for longer than `[processing_limits]` allows are case `stalled`, until they go.

It reads the shop alone, asks no gateway and moves no order. A walk over the rows of the limited statuses, page by page,
says which are over; between walks the orders of the open cases are read by key, so that a case ends soon after its
order moves on. What would cost without end is bounded: the rows a second, the orders remembered, the cases of a status.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from reconciler.domain.case import CaseKind
from reconciler.domain.order import Attempt, ChannelName, Order, OrderKey, Row
from reconciler.domain.stay import Stay, StayPolicy, ending_of, fact_of, is_over, told_by
from reconciler.events.orders import CaseEnded
from reconciler.events.stays import StatusCrowded, StatusMoving, StatusStalled
from reconciler.flow.apply import announce
from reconciler.flow.context import Context
from reconciler.flow.stay_book import FIRST_SEEN, Figure, Stalled, StayBook
from reconciler.ports import Batch, CaseReport, EndCases, Position, Question, Reported, Watch, WatchId

PAGE_ROWS: Final = 500
ROWS_PER_S: Final = 1000
"""Rows read a second at most, over a walk: a limit on a status that nothing leaves must cost the shop little."""
SEEN_MAX: Final = 50_000
"""Orders of one status that a walk looks at, and orders remembered in all. A status with more is crowded."""
CROWDED_WAIT: Final = timedelta(hours=1)
"""When a crowded status is looked at again."""
CASES_MAX: Final = 200
"""Open cases of one status: where more orders are stalled, they have one reason, and the figures tell their number."""
EVERY_MIN: Final = timedelta(seconds=15)
EVERY_MAX: Final = timedelta(minutes=5)
WALKS_PER_LIMIT: Final = 5
"""Walks within the shortest limit, between `EVERY_MIN` and `EVERY_MAX` apart."""
IDLE_S: Final = 5.0
TURN_MIN_S: Final = 0.05
START_EVERY: Final = timedelta(hours=1)
"""How long walks begin where an earlier one did: to look for the place costs more than to read a few rows too many."""
LATE: Final = timedelta(days=1)
"""How much longer than find's window an order may take to come into its status."""


@dataclass(slots=True)
class _Walk:
    """One walk under way."""

    began_at: datetime
    at: Position | None
    statuses: frozenset[str]
    """Those that are looked at: a crowded one drops out."""
    resting: dict[str, int]
    over: dict[str, int]
    oldest: dict[str, datetime] = field(default_factory=dict)
    seen: dict[OrderKey, Stay] = field(default_factory=dict)


class Stays:
    """One leader's look at the limited statuses."""

    def __init__(self, context: Context, policy: StayPolicy, window: timedelta) -> None:
        self._context = context
        self._policy = policy
        longest = max(policy.limits.values(), default=timedelta(0))
        self._window = window + longest + LATE
        shortest = min(policy.limits.values(), default=EVERY_MAX)
        self._every = min(max(shortest / WALKS_PER_LIMIT, EVERY_MIN), EVERY_MAX)
        self._book = StayBook(context.ledger)
        self._walk: _Walk | None = None
        self._began_at: datetime | None = None
        self._start: tuple[Position, datetime] | None = None
        self._crowded_at: dict[str, datetime] = {}
        self._silent: dict[OrderKey, Stay] = {}
        """What a person has resolved: reported again, in case that he opens it again, and never in another's place."""

    def over(self) -> dict[str, int]:
        """Say how many orders were over the limit of each status when they were last counted."""
        return {status: self._figure(status).over for status in self._policy.limits}

    async def turn(self) -> float:
        """Read one page at most; give the seconds to wait before the next turn. Raises PortError."""
        await self._book.open()
        if self._walk is None:
            await self._end_cases()
            self._walk = await self._begin()
        walk = self._walk
        if walk is None:
            return IDLE_S
        rows: Sequence[Row] = ()
        if walk.at is not None and walk.statuses:
            page = await self._context.shop.resting(walk.statuses, walk.at, PAGE_ROWS)
            rows, walk.at = [found.row for found in page.found], page.next
            await self._take(walk, rows)
        if walk.at is None or not walk.statuses:
            await self._finish(walk)
            self._walk = None
        return max(len(rows) / ROWS_PER_S, TURN_MIN_S)

    # ---------------------------------------------------------------------------------------------------------- a walk

    async def _begin(self) -> _Walk | None:
        """Begin a walk where it is time."""
        now = self._context.clock.now()
        # One that began in the future was begun by a clock that has been set back since.
        if self._began_at is not None and now - self._every < self._began_at <= now:
            return None
        looked_at = frozenset(status for status in self._policy.limits if not self._is_crowded(status, now))
        if not looked_at and not self._book.figures and not self._book.seen:
            return None
        start = await self._beginning(now) if looked_at else None
        self._began_at = now
        return _Walk(now, start, looked_at, dict.fromkeys(looked_at, 0), dict.fromkeys(looked_at, 0))

    async def _beginning(self, now: datetime) -> Position:
        if self._start is None or not now - START_EVERY < self._start[1] <= now:
            self._start = (await self._context.shop.before(now - self._window), now)
        return self._start[0]

    def _is_crowded(self, status: str, now: datetime) -> bool:
        since = self._crowded_at.get(status)
        return since is not None and timedelta(0) <= now - since < CROWDED_WAIT

    async def _take(self, walk: _Walk, rows: Sequence[Row]) -> None:
        """Count the rows of a page, and make cases of those that are over."""
        now = self._context.clock.now()
        settled = await self._settled_at(rows, now)
        over: list[tuple[Row, Stay]] = []
        for row in rows:
            if row.status not in walk.statuses:
                continue
            walk.resting[row.status] += 1
            stay = told_by(row, self._policy, now) or self._seen(walk, row, settled, now)
            if stay is None or walk.resting[row.status] > SEEN_MAX:
                self._crowd(walk, row.status, now)
            elif is_over(stay, self._policy, now):
                walk.over[row.status] += 1
                walk.oldest[row.status] = min(stay.since, walk.oldest.get(row.status, stay.since))
                over.append((row, stay))
        await self._report(over, now)

    def _seen(self, walk: _Walk, row: Row, settled: dict[OrderKey, datetime], now: datetime) -> Stay | None:
        """Give what we know of a row that does not tell; None where no more can be remembered."""
        stay = self._book.seen.get(row.key)
        if stay is None or stay.status != row.status:
            at = settled.get(row.key)
            stay = Stay(row.status, now, FIRST_SEEN) if at is None else Stay(row.status, at, "our settling it")
        if len(walk.seen) >= SEEN_MAX:
            return None
        walk.seen[row.key] = stay
        return stay

    async def _settled_at(self, rows: Sequence[Row], now: datetime) -> dict[OrderKey, datetime]:
        """Look up when we settled those that are new to us, and that tell no paid time."""
        new = [
            row
            for row in rows
            if isinstance(row, Order) and row.status == self._policy.settled_status and row.key not in self._book.seen
            if told_by(row, self._policy, now) is None
        ]
        if not new:
            return {}
        histories = await self._context.ledger.histories([_question(row, now) for row in new])
        return {
            row.key: known.settled.at
            for row, known in zip(new, histories, strict=True)
            if known.settled is not None and known.settled.at is not None
        }

    def _crowd(self, walk: _Walk, status: str, now: datetime) -> None:
        """Leave a status out of this walk, and of those of the next hour."""
        walk.statuses -= {status}
        walk.seen = {key: stay for key, stay in walk.seen.items() if stay.status != status}
        is_news = not self._figure(status).crowded
        self._crowded_at[status] = now
        if is_news:
            limit = self._policy.limits[status]
            self._context.events.emit(StatusCrowded(status=status, orders=walk.resting[status], limit=limit))

    async def _finish(self, walk: _Walk) -> None:
        """Keep what the walk came to, and say where a flood begins or ends."""
        now = self._context.clock.now()
        await self._book.keep_seen(walk.seen)
        figures = {status: self._counted(walk, status, now) for status in self._policy.limits}
        before = self._book.figures
        await self._book.keep_figures(figures, now)
        for status, figure in figures.items():
            was_flood = status in before and before[status].is_flood
            if figure.is_flood and not was_flood and figure.oldest is not None:
                limit = self._policy.limits[status]
                self._context.events.emit(
                    StatusStalled(
                        status=status, orders=figure.over, cases=CASES_MAX, limit=limit, longest=now - figure.oldest
                    )
                )
            elif was_flood and not figure.is_flood:
                self._context.events.emit(StatusMoving(status=status, orders=figure.over))

    def _counted(self, walk: _Walk, status: str, now: datetime) -> Figure:
        known = self._figure(status)
        if status not in walk.over:  # crowded since an earlier walk
            return known
        over, crowded = walk.over[status], self._is_crowded(status, now)
        is_flood = over > (CASES_MAX // 2 if known.is_flood else CASES_MAX)
        return Figure(over, walk.oldest.get(status), crowded=crowded, is_flood=is_flood)

    def _figure(self, status: str) -> Figure:
        return self._book.figures.get(status, Figure())

    # ------------------------------------------------------------------------------------------------------- the cases

    async def _report(self, over: Sequence[tuple[Row, Stay]], now: datetime) -> None:
        """Open cases as far as there is room. One that a person has resolved makes room, and stays silent."""
        room = {status: CASES_MAX - count for status, count in self._book.open_cases().items()}
        chosen: list[tuple[Row, Stay]] = []
        for row, stay in over:
            is_known = row.key in self._book.cases or self._silent.get(row.key) == stay
            if is_known or room.get(stay.status, CASES_MAX) > 0:
                chosen.append((row, stay))
            if not is_known:
                room[stay.status] = room.get(stay.status, CASES_MAX) - 1
        if not chosen:
            return
        reports = tuple(self._case(row, stay, now) for row, stay in chosen)
        cases = self._book.cases | {row.key: Stalled(row.order_no, stay) for row, stay in chosen}
        # The mark names them before it is known which stay silent: to name too many costs a look at their rows.
        marks = () if cases == self._book.cases else (self._book.cases_mark(cases),)
        batch = Batch(cases=reports, marks=marks)
        outcomes = await self._context.ledger.record(batch, now)
        announce(self._context, reports, outcomes)
        silent = dict(self._silent) if len(self._silent) < SEEN_MAX else {}
        for (row, stay), outcome in zip(chosen, outcomes, strict=True):
            if outcome.reported is Reported.SILENT:
                del cases[row.key]
                silent[row.key] = stay
        self._book.cases, self._silent = cases, silent

    def _case(self, row: Row, stay: Stay, now: datetime) -> CaseReport:
        limit = _in_words(self._policy.limits[stay.status])
        lasted = f"for {_in_words(now - stay.since)} by {stay.by}"
        return CaseReport(
            kind=CaseKind.STALLED,
            order_key=row.key,
            order_no=row.order_no,
            channel=None,
            out_trade_no="",
            why=f"it has been in status {stay.status} {lasted}; processing_limits allows {limit}",
            facts=(fact_of(stay),),
            only_new=True,
        )

    async def _end_cases(self) -> None:
        """End the cases of orders that have moved on, or that the limits of today let be."""
        known = self._book.cases
        if not known:
            return
        rows = await self._context.shop.read(list(known))
        now = self._context.clock.now()
        endings = {
            key: ending
            for key, item in known.items()
            if (ending := ending_of(item.stay, rows.get(key), self._policy, now))
        }
        if not endings:
            return
        left = {key: item for key, item in known.items() if key not in endings}
        ends = tuple(EndCases(key, ending, kind=CaseKind.STALLED) for key, ending in endings.items())
        await self._context.ledger.record(Batch(ends=ends, marks=(self._book.cases_mark(left),)), now)
        self._book.cases = left
        for key, ending in endings.items():
            self._context.events.emit(CaseEnded(order_no=known[key].order_no, ending=f"stalled: {ending}"))


def _in_words(length: timedelta) -> str:
    """Write a length of time in whole days, hours, minutes or seconds, of which there are several."""
    for unit, size in (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("m", timedelta(minutes=1))):
        if length >= 2 * size:
            return f"{length // size} {unit}"
    return f"{length // timedelta(seconds=1)} s"


def _question(row: Order, now: datetime) -> Question:
    """Ask the ledger about an order whose attempts nobody needs to know."""
    attempt = Attempt(row.key, row.order_no, ChannelName(""), "", row.created_at)
    return Question(Watch(WatchId(0), attempt, now))
