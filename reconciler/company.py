"""What keeps the rounds company: calendar, watchdog, figures, and the operator's doors."""

from __future__ import annotations

import asyncio
import contextlib
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterable
from datetime import timedelta

from reconciler.control import ControlKeeper
from reconciler.events.running import TurnFailed
from reconciler.events.trouble import HttpUnavailable, LedgerHead, LedgerPruned
from reconciler.flow.audit import Auditor, AuditPolicy
from reconciler.flow.brake import THE_BRAKE
from reconciler.flow.rounds import Rounds
from reconciler.ops.calendar import Calendar
from reconciler.ops.health import HealthServer
from reconciler.ops.metrics import Metrics, PausedBy
from reconciler.ops.notify import Notify
from reconciler.ports import Clock, Events, PortError
from reconciler.wiring import Assembly

AUDIT_RETRY_S = 2.0
REFRESH_S = 15.0
LISTEN_RETRY_S = 10.0
BEAT_MAX_S = 60.0
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Company:
    """Everything that runs beside one assembly's rounds, and ends with them."""

    def __init__(self, assembly: Assembly, events: Events, metrics: Metrics, notify: Notify, clock: Clock) -> None:
        self._assembly = assembly
        self._events = events
        self._metrics = metrics
        self._notify = notify
        self._clock = clock

    @contextlib.asynccontextmanager
    async def together(self) -> AsyncIterator[None]:
        """Keep all of it up for as long as the block runs."""
        keepers = {
            "calendar": self._calendar().keep(),
            "figures": self._refresh(),
            "audit": self._audit(),
            "control socket": ControlKeeper(self._assembly, self._events, self._clock).keep(),
            "http": self._listen(),
        }
        if self._notify.watchdog_every_s is not None:
            keepers["watchdog"] = self._feed_the_watchdog(self._notify.watchdog_every_s)
        tasks = [asyncio.create_task(self._kept(name, keeper)) for name, keeper in keepers.items()]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _kept(self, name: str, keeper: Coroutine[object, object, None]) -> None:
        """Run one of them; orders are looked after without it, but its end is not passed over."""
        try:
            await keeper
        except Exception as fault:  # noqa: BLE001 # logged with its traceback; the rounds go on
            what = f"{name}: {type(fault).__name__}: {fault}"
            self._events.emit(TurnFailed(what=what, order_nos="", traceback=traceback.format_exc()))

    def _calendar(self) -> Calendar:
        calendar = Calendar(self._clock)

        async def walk() -> None:
            self._assembly.rounds.walk_soon()

        async def summarise() -> None:
            if self._assembly.rounds.leading:
                with contextlib.suppress(PortError):  # the rounds have said that shop or ledger are away
                    await self._assembly.rounds.summarise()
                    entry, digest = await self._assembly.ledger.head()
                    self._events.emit(LedgerHead(entry=entry, hash=digest))

        async def prune() -> None:
            if self._assembly.rounds.leading:
                with contextlib.suppress(PortError):
                    before = self._clock.now() - self._assembly.settings.ledger.keep
                    rows = await self._assembly.ledger.prune(before)
                    self._events.emit(LedgerPruned(rows=rows, before=before))

        calendar.every(self._assembly.settings.find.full_every, walk, "full walk")
        calendar.every(HOUR, summarise, "summary")
        calendar.every(DAY, prune, "housekeeping")
        return calendar

    async def _audit(self) -> None:
        """Ask about paid orders while this daemon leads, from where the last leader was."""
        rounds, settings = self._assembly.rounds, self._assembly.settings.audit
        auditor: Auditor | None = None
        while settings.rate > 0:
            wait_s = AUDIT_RETRY_S
            if not rounds.leading:
                auditor = None
            else:
                auditor = auditor or Auditor(
                    rounds.context, rounds.channels, AuditPolicy(settings.rate, settings.window)
                )
                with contextlib.suppress(PortError):  # the rounds have said that shop or ledger are away
                    wait_s = await auditor.turn()
            await self._clock.sleep(wait_s)

    async def _feed_the_watchdog(self, every_s: float) -> None:
        """Feed it for as long as the rounds show signs of life: a loop that hangs is killed, and comes back."""
        while True:
            if self._clock.monotonic() - self._assembly.rounds.beat < BEAT_MAX_S:
                self._notify.watchdog()
            await self._clock.sleep(every_s)

    async def _refresh(self) -> None:
        """Keep the figures true."""
        rounds = self._assembly.rounds
        while True:
            with contextlib.suppress(PortError):
                self._metrics.lead(leads=rounds.leading)
                self._metrics.settling_paused(tuple(paused_by(rounds)) if rounds.leading else ())
                self._metrics.watches(await self._assembly.ledger.counts(self._clock.now()))
                self._metrics.open_cases(Counter(case.kind for case in await self._assembly.ledger.cases()))
            for loop, at in (("find", rounds.found_at), ("ask", rounds.asked_at)):
                if at is not None:
                    self._metrics.succeeded(loop, at)
            await self._clock.sleep(REFRESH_S)

    async def _listen(self) -> None:
        """Answer /healthz, /readyz and /metrics; a port that is taken is said once, and tried again."""
        address = self._assembly.settings.http.listen
        if address is None:
            return
        server = HealthServer(self._metrics, self._assembly.rounds.troubles)
        said = False
        try:
            while True:
                try:
                    await server.start(address.host, address.port)
                    await asyncio.Event().wait()
                except OSError as taken:
                    if not said:
                        self._events.emit(HttpUnavailable(address=str(address), why=taken.strerror or str(taken)))
                        said = True
                    await self._clock.sleep(LISTEN_RETRY_S)
        finally:
            await server.stop()


def paused_by(rounds: Rounds) -> Iterable[PausedBy]:
    """Say why settling stands still now."""
    context = rounds.context
    if context.brake.stopped is not None:
        yield "brake" if context.brake.stopped.by == THE_BRAKE else "hand"
    if context.block.since is not None:
        yield "locked"
