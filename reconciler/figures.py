"""Keep the figures true: the metrics, and the line that `systemctl status` shows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from reconciler.domain.case import CaseKind
from reconciler.domain.order import ChannelName
from reconciler.flow.brake import THE_BRAKE
from reconciler.flow.rounds import Rounds
from reconciler.ledger.size import LedgerSize
from reconciler.ops.metrics import Braking, Loop, Metrics, Part, PausedBy
from reconciler.ops.notify import Notify
from reconciler.ports import (
    LedgerUnavailable,
    OpenCases,
    PortError,
    ReplicaUnavailable,
    ShopUnavailable,
    WatchCounts,
)
from reconciler.readiness import matters_with, role_of, unready

Measure = Callable[[], Awaitable[LedgerSize]]
"""Says how large the ledger is. Raises PortError."""
REFRESH_S: Final = 15.0
REFRESH_SOON_S: Final = 1.0
"""While it is not known yet whether this daemon leads."""
SIZE_EVERY_S: Final = 60.0
HOUR: Final = timedelta(hours=1)
_PARTS: Final[Mapping[type[PortError], Part]] = {
    ShopUnavailable: "shop",
    ReplicaUnavailable: "replica",
    LedgerUnavailable: "ledger",
}


@dataclass(frozen=True, slots=True)
class Counts:
    """What the ledger said of itself at one look."""

    watches: WatchCounts
    cases: Mapping[CaseKind, OpenCases]
    settled: int
    """Orders within the last hour."""
    leader: str
    """Host and process of whoever leads, or led last."""


class Figures:
    """The figures of one configuration's rounds."""

    def __init__(self, rounds: Rounds, mode: str, size: Measure, metrics: Metrics, notify: Notify) -> None:
        self._rounds = rounds
        self._mode = mode
        self._size = size
        self._metrics = metrics
        self._notify = notify
        self._ledger = rounds.context.ledger
        self._clock = rounds.context.clock
        self._paid_by_shop: Counter[ChannelName] = Counter()
        self._sized_at_s: float | None = None
        self._said = ""

    async def keep(self) -> None:
        """Look again and again, until cancelled."""
        try:
            while True:
                await self.refresh()
                is_known = role_of(self._rounds) != "starting"
                await self._clock.sleep(REFRESH_S if is_known else REFRESH_SOON_S)
        finally:
            self._count_paid_by_shop()  # a reload begins counting anew

    async def refresh(self) -> None:
        """Look once: at what the process knows, then at what the ledger does."""
        self._look_at_the_rounds()
        counts = None
        with suppress(PortError):  # the rounds have said that the ledger is away
            counts = await self._count()
        self._say(status_line(self._mode, self._rounds, counts))

    def _look_at_the_rounds(self) -> None:
        rounds, daemon = self._rounds, self._metrics.daemon
        daemon.stands(leads=rounds.leading, ready=not unready(rounds))
        daemon.unavailable(tuple(parts_away(rounds)))
        self._metrics.settling.paused(tuple(paused_by(rounds)) if rounds.leading else ())
        self._count_paid_by_shop()
        came_through: Mapping[Loop, datetime | None] = {
            "find": rounds.found_at,
            "walk": rounds.walked_at,
            "ask": rounds.asked_at,
        }
        for loop, at in came_through.items():
            if at is not None:
                daemon.succeeded(loop, at)

    def _count_paid_by_shop(self) -> None:
        now = Counter(self._rounds.context.paid_by_shop)
        for channel, orders in (now - self._paid_by_shop).items():
            self._metrics.orders.paid_by_shop(channel, orders)
        self._paid_by_shop = now

    async def _count(self) -> Counts:
        """Read the ledger's figures. Raises PortError."""
        ledger, now = self._ledger, self._clock.now()
        leader = await ledger.mark("leader")
        counts = Counts(
            watches=await ledger.counts(now),
            cases=await ledger.open_cases(),
            settled=(await ledger.settled(now - HOUR)).orders,
            leader=json.loads(leader)["who"] if leader else "nobody yet",
        )
        self._metrics.ledger.watches(counts.watches)
        self._metrics.ledger.cases(counts.cases)
        self._metrics.ledger.entries((await ledger.head())[0])
        await self._look_at_the_channels()
        await self._look_at_the_brake()
        await self._measure()
        return counts

    async def _look_at_the_channels(self) -> None:
        now = self._clock.now()
        for channel in self._rounds.channels:
            due_at = await self._ledger.next_due(channel.name)
            overdue = due_at if due_at is not None and due_at <= now else None
            standings = channel.standings if self._rounds.leading else frozenset()
            self._metrics.channels.stands(channel.name, standings, overdue)

    async def _look_at_the_brake(self) -> None:
        brake = self._rounds.context.brake
        spent, limits = await brake.spent(), brake.limits
        self._metrics.settling.brake(Braking(spent.orders, limits.per_hour, spent.fen, limits.fen_per_hour))

    async def _measure(self) -> None:
        now_s = self._clock.monotonic()
        if self._sized_at_s is None or now_s - self._sized_at_s >= SIZE_EVERY_S:
            self._sized_at_s = now_s
            size = await self._size()
            self._metrics.ledger.sized(size.bytes, size.free_bytes)

    def _say(self, line: str) -> None:
        """Tell systemd what has changed; what has not is there already."""
        if line != self._said and self._notify.status(line):
            self._said = line


def status_line(mode: str, rounds: Rounds, counts: Counts | None) -> str:
    """Put into one line how it goes, worst first where it does not; counts and names of channels, nothing of orders."""
    return "; ".join([_role(mode, rounds, counts), *_troubles(rounds), *_figures(counts)])


def _role(mode: str, rounds: Rounds, counts: Counts | None) -> str:
    role = role_of(rounds)
    behind = f" behind {counts.leader}" if role == "standby" and counts is not None else ""
    return f"mode {mode}, {role}{behind}"


def _troubles(rounds: Rounds) -> Iterator[str]:
    yield from (f"{part.upper()} UNAVAILABLE" for part in parts_away(rounds))
    if rounds.leading:
        yield from (f"SETTLING PAUSED ({reason})" for reason in paused_by(rounds))
        yield from (
            f"{channel.name} {' '.join(matters)}" for channel in rounds.channels if (matters := matters_with(channel))
        )


def _figures(counts: Counts | None) -> Iterator[str]:
    if counts is not None:
        cases = sum(each.count for each in counts.cases.values())
        yield f"watching {counts.watches.open}, {counts.watches.due} due"
        yield f"{cases} cases open"
        yield f"{counts.settled} settled in the last hour"


def paused_by(rounds: Rounds) -> Iterable[PausedBy]:
    """Say why settling stands still now."""
    context = rounds.context
    if context.brake.stopped is not None:
        yield "brake" if context.brake.stopped.by == THE_BRAKE else "hand"
    if context.block.since is not None:
        yield "locked"


def parts_away(rounds: Rounds) -> Iterable[Part]:
    """Name the parts that cannot be reached now."""
    yield from (_PARTS[kind] for kind in _PARTS if kind in rounds.away)
    if rounds.context.deliveries.reach.away_since is not None:
        yield "webhook"
