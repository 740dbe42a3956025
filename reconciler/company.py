"""What keeps the rounds company: calendar, watchdog, figures, alerts, and the operator's doors."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

from reconciler.alerting import Alerting, kept_up
from reconciler.control.keeper import ControlKeeper
from reconciler.events.trouble import HttpUnavailable, LedgerHead, LedgerPruned
from reconciler.figures import Figures
from reconciler.flow.audit import Auditor, AuditPolicy
from reconciler.flow.stays import Stays
from reconciler.flow.unusual import Unusual
from reconciler.ops.alerts.case_teller import CaseTeller
from reconciler.ops.calendar import Calendar
from reconciler.ops.health import HealthServer
from reconciler.ops.metrics import Metrics
from reconciler.ops.notify import Notify
from reconciler.ports import Clock, Events, PortError
from reconciler.readiness import role_of, unready, unwell
from reconciler.wiring import Assembly, stay_policy_of

AUDIT_RETRY_S = 2.0
STAYS_RETRY_S = 5.0
UNUSUAL_RETRY_S = 15.0
LISTEN_RETRY_S = 10.0
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Company:
    """Everything that runs beside one assembly's rounds, and ends with them."""

    def __init__(  # what it keeps company to, and what with
        self, assembly: Assembly, alerting: Alerting, events: Events, metrics: Metrics, notify: Notify, clock: Clock
    ) -> None:
        self._assembly = assembly
        self._alerting = alerting
        self._events = events
        self._metrics = metrics
        self._notify = notify
        self._clock = clock

    @contextlib.asynccontextmanager
    async def together(self) -> AsyncIterator[None]:
        """Keep all of it up for as long as the block runs."""
        alerting, notify = self._alerting, self._notify
        control = ControlKeeper(self._assembly, self._events, self._clock)
        keepers: dict[str, Callable[[], Awaitable[None]]] = {
            "calendar": lambda: self._calendar().keep(),
            "figures": lambda: self._figures().keep(),
            "audit": self._audit,
            "processing limits": self._look_at_stays,
            "unusual hours": self._look_for_the_unusual,
            "control socket": control.keep,
            "http": self._listen,
            "alerts": self._tell_of_cases,
        }
        if (heartbeat := alerting.heartbeat) is not None:
            keepers["heartbeat"] = lambda: heartbeat.keep(lambda: self._assembly.rounds.beat)
        if (every_s := notify.watchdog_every_s) is not None:
            keepers["watchdog"] = lambda: self._feed_the_watchdog(every_s)
        tasks = [
            asyncio.create_task(kept_up(name, keeper, self._events, self._clock)) for name, keeper in keepers.items()
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _figures(self) -> Figures:
        assembly = self._assembly
        mode, size = assembly.settings.mode, assembly.ledger.size
        return Figures(assembly.rounds, mode, size, self._metrics, self._notify)

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

        calendar.every(self._assembly.settings.find.full_every, walk, "full walk")
        calendar.every(HOUR, summarise, "summary")
        calendar.every(DAY, self._prune, "housekeeping")
        return calendar

    async def _prune(self) -> None:
        """Forget what is older than is to be kept; not by a clock that a gateway contradicts: it may be years ahead."""
        rounds = self._assembly.rounds
        if not rounds.leading or any(channel.clock.is_off for channel in rounds.channels):
            return
        with contextlib.suppress(PortError):
            before = self._clock.now() - self._assembly.settings.ledger.keep
            rows = await self._assembly.ledger.prune(before)
            self._events.emit(LedgerPruned(rows=rows, before=before))
            self._metrics.daemon.succeeded("prune", self._clock.now())

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
                    self._metrics.daemon.succeeded("audit", self._clock.now())
            await self._clock.sleep(wait_s)

    async def _look_at_stays(self) -> None:
        """Look for orders that stay in a status for too long, while this daemon leads."""
        rounds, settings = self._assembly.rounds, self._assembly.settings
        stays: Stays | None = None
        while True:
            wait_s = STAYS_RETRY_S
            if not rounds.leading:
                stays = None
            else:
                stays = stays or Stays(rounds.context, stay_policy_of(settings), settings.find.window)
                with contextlib.suppress(PortError):  # the rounds have said that shop or ledger are away
                    wait_s = await stays.turn()
            self._metrics.orders.stalled(stays.over() if stays else dict.fromkeys(settings.processing_limits, 0))
            await self._clock.sleep(wait_s)

    async def _look_for_the_unusual(self) -> None:
        """Compare the last hour with the last weeks, while this daemon leads."""
        rounds = self._assembly.rounds
        unusual: Unusual | None = None
        while True:
            wait_s = UNUSUAL_RETRY_S
            if not rounds.leading:
                unusual = None
            else:
                unusual = unusual or Unusual(rounds.context, [channel.name for channel in rounds.channels])
                with contextlib.suppress(PortError):  # the rounds have said that shop or ledger are away
                    wait_s = await unusual.turn()
            await self._clock.sleep(wait_s)

    async def _tell_of_cases(self) -> None:
        """Tell people of cases while this daemon leads: whoever leads next goes on from what the ledger has as told."""
        post, voice = self._alerting.post, self._alerting.voice
        teller = CaseTeller(self._assembly.ledger, post, voice, self._clock)
        rounds = self._assembly.rounds
        await teller.keep(lambda: rounds.leading)

    async def _feed_the_watchdog(self, every_s: float) -> None:
        """Feed it for as long as the rounds show signs of life: a loop that hangs is killed, and comes back."""
        while True:
            if not unwell(self._assembly.rounds, self._clock):
                self._notify.watchdog()
            await self._clock.sleep(every_s)

    async def _listen(self) -> None:
        """Answer /healthz, /readyz and /metrics; a port that is taken is said once, and tried again."""
        address = self._assembly.settings.http.listen
        if address is None:
            return
        rounds = self._assembly.rounds
        server = HealthServer(
            self._metrics,
            unwell=lambda: unwell(rounds, self._clock),
            unready=lambda: unready(rounds),
            role=lambda: role_of(rounds),
        )
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
