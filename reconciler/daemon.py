"""The daemon: opens what the configuration names, runs the rounds, and ends, reloads and reports as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from reconciler import __version__
from reconciler.control import ControlKeeper
from reconciler.domain.order import ChannelName
from reconciler.events import Event
from reconciler.events.running import (
    AlertsNone,
    ConfigRefused,
    ConfigReloaded,
    ConfigWithoutEffect,
    DaemonFailed,
    DaemonStarted,
    DaemonStopped,
    LeadLost,
    LeadOvertaken,
)
from reconciler.events.trouble import (
    HttpUnavailable,
    LedgerHead,
    LedgerIsUnavailable,
    LedgerPruned,
    ShopIsAvailable,
    ShopIsUnavailable,
)
from reconciler.exit import Exit
from reconciler.flow.context import Tally
from reconciler.ops.calendar import Calendar
from reconciler.ops.health import HealthServer
from reconciler.ops.log import Log
from reconciler.ops.measured import MeasuredGateway
from reconciler.ops.metrics import Metrics
from reconciler.ops.notify import Notify
from reconciler.ports import Clock, Gateway, LedgerUnavailable, LockLost, Overtaken, PortError, ShopUnavailable
from reconciler.settings.inventory import secrets_in
from reconciler.settings.model import Settings
from reconciler.settings.problems import ConfigurationError
from reconciler.settings.show import masked
from reconciler.shops.sql.mapping import MappingError
from reconciler.wiring import Assembly, EnvironmentUnusable, assemble

STOP_WITHIN_S = 8.0
"""What is in flight has so long to finish; with what closing takes, the whole stop stays under ten seconds."""
SHOP_RETRY_S = 5.0
REFRESH_S = 15.0
LISTEN_RETRY_S = 10.0
BEAT_MAX_S = 60.0
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line adds to the configuration."""

    config: str
    load: Callable[[], Settings]
    """Read the configuration again. Raises ConfigurationError."""
    since: datetime | None = None


class Daemon:
    """One process: one log, one configuration at a time."""

    def __init__(self, options: Options, settings: Settings, log: Log, clock: Clock) -> None:
        self._options = options
        self._settings = settings
        self._log = log
        self._clock = clock
        self._metrics = Metrics(version=__version__, mode=settings.mode)
        self._notify = Notify.from_environment()
        self._stopping = asyncio.Event()
        self._reloading = asyncio.Event()
        self._began = clock.monotonic()

    def emit(self, event: Event) -> None:
        """Take an event to the log and to the metrics: the daemon is the port `Events` of all it wires."""
        self._log.emit(event)
        self._metrics.emit(event)

    async def once(self) -> tuple[Exit, Tally | None]:
        """Find, ask what is due, settle, and end; the tally, where there was anything to count, says what was done.

        Raises MappingError, ShopUnavailable and LedgerUnavailable where it could not even begin.
        """
        self._listen_to_signals()
        self._introduce(self._settings)
        assembly = await self._assemble(self._settings, since=self._options.since)
        try:
            stopping = asyncio.create_task(self._stop_when_told(assembly))
            led = await assembly.rounds.once()
            stopping.cancel()
            if not led:
                return Exit.LOCKED, None
            tally = assembly.rounds.context.tally
            due = (await assembly.ledger.counts(assembly.rounds.due_by or self._clock.now())).due
            await assembly.rounds.summarise()
        except Overtaken as overtaken:
            self.emit(LeadOvertaken(why=str(overtaken)))
            return Exit.OVERTAKEN, None
        except LockLost as lost:
            self.emit(LeadLost(why=str(lost)))
            return Exit.UNFINISHED, assembly.rounds.context.tally
        except ShopUnavailable as away:
            self.emit(ShopIsUnavailable(why=str(away)))
            return Exit.UNFINISHED, assembly.rounds.context.tally
        except LedgerUnavailable as away:
            self.emit(LedgerIsUnavailable(why=str(away)))
            return Exit.UNFINISHED, assembly.rounds.context.tally
        else:
            unfinished = tally.unanswered or tally.not_applied or due
            return (Exit.UNFINISHED if unfinished else Exit.DONE), tally
        finally:
            await assembly.close()

    async def serve(self) -> Exit:
        """Run until told to stop. Raises MappingError and LedgerUnavailable at start only."""
        self._listen_to_signals()
        self._introduce(self._settings)
        assembly = await self._open()
        why, code = "told to stop", Exit.DONE
        try:
            while assembly is not None:
                assembly = await self._work(assembly)
        except Overtaken as overtaken:
            self.emit(LeadOvertaken(why=str(overtaken)))
            why, code = "overtaken by another daemon", Exit.OVERTAKEN
        except Exception as fault:  # noqa: BLE001 # the last word of a process that ends: logged with its traceback
            self.emit(DaemonFailed(what=f"{type(fault).__name__}: {fault}", traceback=traceback.format_exc()))
            why, code = "a fault of the program", Exit.FAULT
        self.emit(DaemonStopped(why=why, uptime=timedelta(seconds=round(self._clock.monotonic() - self._began))))
        return code

    # ------------------------------------------------------------------------------------------------------- beginning

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._reloading.set)

    def _introduce(self, settings: Settings) -> None:
        self._log.never_print(secret.reveal() for secret in secrets_in(settings))
        self.emit(
            DaemonStarted(
                version=__version__,
                mode=settings.mode,
                shop=masked(settings.shop.url),
                ledger=masked(settings.ledger.url),
                channels=",".join(settings.channels),
                config=self._options.config,
            )
        )
        self._warn(settings)

    def _warn(self, settings: Settings) -> None:
        self._metrics.mode(__version__, settings.mode)
        self._metrics.channels(ChannelName(name) for name in settings.channels)
        if idle := settings.without_effect():
            self.emit(ConfigWithoutEffect(keys=", ".join(idle)))
        if settings.mode == "enforce" and not settings.alerts.targets:
            self.emit(AlertsNone(mode=settings.mode))

    async def _assemble(self, settings: Settings, since: datetime | None = None) -> Assembly:
        def measured(gateway: Gateway) -> Gateway:
            return MeasuredGateway(gateway, self._metrics)

        return await assemble(settings, self._clock, self, since=since, measure=measured)

    async def _open(self) -> Assembly | None:
        """Open everything; wait for a shop that is away, and say so once. None where told to stop meanwhile."""
        away: datetime | None = None
        while not self._stopping.is_set():
            try:
                assembly = await self._assemble(self._settings, since=self._options.since)
            except ShopUnavailable as unavailable:
                if away is None:
                    away = self._clock.now()
                    self.emit(ShopIsUnavailable(why=str(unavailable)))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), SHOP_RETRY_S)
                continue
            if away is not None:
                self.emit(ShopIsAvailable(after=self._clock.now() - away))
            return assembly
        return None

    # --------------------------------------------------------------------------------------------------------- running

    async def _work(self, assembly: Assembly) -> Assembly | None:
        """Run the rounds until told to stop (None) or until a reload has opened their successor."""
        successor: Assembly | None = None
        rounds = asyncio.create_task(assembly.rounds.run(), name="rounds")
        try:
            async with self._company(assembly):
                self._notify.ready(f"mode {assembly.settings.mode}")
                while not (self._stopping.is_set() or rounds.done() or successor):
                    await self._something_happens(rounds)
                    if self._reloading.is_set() and not self._stopping.is_set():
                        self._reloading.clear()
                        successor = await self._successor(assembly)
                if self._stopping.is_set():
                    self._notify.stopping()
                assembly.rounds.stop()
                await asyncio.wait({rounds}, timeout=STOP_WITHIN_S)
        finally:
            rounds.cancel()
            outcome = (await asyncio.gather(rounds, return_exceptions=True))[0]
            await assembly.close()
        if isinstance(outcome, Exception):
            if successor is not None:
                await successor.close()
            raise outcome
        if successor is not None:
            self.emit(ConfigReloaded(config=self._options.config, mode=successor.settings.mode))
        return successor

    async def _something_happens(self, rounds: asyncio.Task[None]) -> None:
        waits = [asyncio.create_task(event.wait()) for event in (self._stopping, self._reloading)]
        await asyncio.wait({rounds, *waits}, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    async def _successor(self, present: Assembly) -> Assembly | None:
        """Open what the changed configuration names, beside the present; None (and a line) where it is not sound."""
        self._notify.reloading(self._clock.monotonic())
        try:
            settings = await asyncio.to_thread(self._options.load)
            successor = await self._assemble(settings)
        except (ConfigurationError, MappingError, EnvironmentUnusable, PortError) as refused:
            self.emit(ConfigRefused(config=self._options.config, problem=str(refused)))
            self._notify.ready(f"mode {present.settings.mode}; the last reload was refused")
            return None
        self._log.never_print(secret.reveal() for secret in secrets_in(settings))
        self._warn(settings)
        return successor

    async def _stop_when_told(self, assembly: Assembly) -> None:
        await self._stopping.wait()
        assembly.rounds.stop()

    @contextlib.asynccontextmanager
    async def _company(self, assembly: Assembly) -> AsyncIterator[None]:
        """Keep beside the rounds: calendar, watchdog, figures, and the operator's doors."""
        control = ControlKeeper(assembly, self, self._clock)
        keepers = [self._calendar(assembly).keep(), self._refresh(assembly), control.keep(), self._listen(assembly)]
        if self._notify.watchdog_every_s is not None:
            keepers.append(self._feed_the_watchdog(assembly, self._notify.watchdog_every_s))
        tasks = [asyncio.create_task(keeper) for keeper in keepers]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _calendar(self, assembly: Assembly) -> Calendar:
        calendar = Calendar(self._clock)

        async def walk() -> None:
            assembly.rounds.walk_soon()

        async def summarise() -> None:
            if assembly.rounds.leading:
                with contextlib.suppress(PortError):  # the rounds have said that shop or ledger are away
                    await assembly.rounds.summarise()
                    entry, digest = await assembly.ledger.head()
                    self.emit(LedgerHead(entry=entry, hash=digest))

        async def prune() -> None:
            if assembly.rounds.leading:
                with contextlib.suppress(PortError):
                    before = self._clock.now() - assembly.settings.ledger.keep
                    rows = await assembly.ledger.prune(before)
                    self.emit(LedgerPruned(rows=rows, before=before))

        calendar.every(assembly.settings.find.full_every, walk, "full walk")
        calendar.every(HOUR, summarise, "summary")
        calendar.every(DAY, prune, "housekeeping")
        return calendar

    async def _feed_the_watchdog(self, assembly: Assembly, every_s: float) -> None:
        """Feed it for as long as the rounds show signs of life: a loop that hangs is killed, and comes back."""
        while True:
            if self._clock.monotonic() - assembly.rounds.beat < BEAT_MAX_S:
                self._notify.watchdog()
            await self._clock.sleep(every_s)

    async def _refresh(self, assembly: Assembly) -> None:
        """Keep the figures true."""
        rounds = assembly.rounds
        while True:
            with contextlib.suppress(PortError):
                self._metrics.lead(leads=rounds.leading)
                self._metrics.watches(await assembly.ledger.counts(self._clock.now()))
                self._metrics.open_cases(Counter(case.kind for case in await assembly.ledger.cases()))
            for loop, at in (("find", rounds.found_at), ("ask", rounds.asked_at)):
                if at is not None:
                    self._metrics.succeeded(loop, at)
            await self._clock.sleep(REFRESH_S)

    async def _listen(self, assembly: Assembly) -> None:
        """Answer /healthz, /readyz and /metrics; a port that is taken is said once, and tried again."""
        address = assembly.settings.http.listen
        if address is None:
            return
        server = HealthServer(self._metrics, lambda: _unready(assembly))
        said = False
        try:
            while True:
                try:
                    await server.start(address.host, address.port)
                    await asyncio.Event().wait()
                except OSError as taken:
                    if not said:
                        self.emit(HttpUnavailable(address=str(address), why=taken.strerror or str(taken)))
                        said = True
                    await self._clock.sleep(LISTEN_RETRY_S)
        finally:
            await server.stop()


def _unready(assembly: Assembly) -> Sequence[str]:
    return assembly.rounds.troubles()
