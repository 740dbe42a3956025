"""The daemon: opens what the configuration names, runs the rounds, and ends, reloads and reports as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from tenacity import AsyncRetrying, RetryCallState, RetryError, retry_if_exception_type, stop_when_event_set
from tenacity.wait import wait_random_exponential

from reconciler import __version__
from reconciler.company import Company
from reconciler.domain.order import ChannelName
from reconciler.events import Event
from reconciler.events.running import (
    AlertsNone,
    ConfigRefused,
    ConfigReloaded,
    DaemonFailed,
    DaemonStarted,
    DaemonStopped,
    LeadLost,
    LeadOvertaken,
)
from reconciler.events.trouble import (
    LedgerIsUnavailable,
    ShopIsAvailable,
    ShopIsUnavailable,
)
from reconciler.exit import Exit
from reconciler.flow.context import Tally
from reconciler.herald import Herald
from reconciler.ops.garbage import set_apart_what_stays
from reconciler.ops.log import Log
from reconciler.ops.measured import MeasuredGateway
from reconciler.ops.metrics import Metrics
from reconciler.ops.notify import Notify
from reconciler.ports import Clock, Gateway, LedgerUnavailable, LockLost, Overtaken, PortError, ShopUnavailable
from reconciler.settings.inventory import never_printed
from reconciler.settings.model import Settings
from reconciler.settings.problems import ConfigurationError
from reconciler.settings.show import masked
from reconciler.shops.sql.mapping import MappingError
from reconciler.wiring import Assembly, EnvironmentUnusable, assemble

TIDY_EVERY_S = 5.0
STOP_WITHIN_S = 8.0
"""What is in flight has so long to finish; with what closing takes, the whole stop stays under ten seconds."""
SHOP_RETRY_S = 1.0
SHOP_RETRY_S_MAX = 10.0
"""Less than half of the unit's WatchdogSec, which is fed once a try."""
MORE_TIME = timedelta(minutes=1)
MORE_TIME_EVERY_S = 20.0
MORE_TIMES_MAX = 90
"""A start may take half an hour while a large ledger is migrated; after that systemd ends it."""


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
        self._metrics.daemon.started(clock.now())
        self._notify = Notify.from_environment()
        self._stopping = asyncio.Event()
        self._reloading = asyncio.Event()
        self._began = clock.monotonic()
        self._herald = Herald(self, clock, log.masked)

    def emit(self, event: Event) -> None:
        """Take an event to log, metrics and alerts: the daemon is the port `Events` of all it wires."""
        self._log.emit(event)
        self._metrics.emit(event)
        self._herald.emit(event)

    async def once(self) -> tuple[Exit, Tally | None, str]:
        """Find, ask what is due, settle, and end; give what was done, if anything was begun, and what was left undone.

        Raises MappingError, ShopUnavailable and LedgerUnavailable where it could not even begin.
        """
        self._listen_to_signals()
        self._introduce(self._settings)
        self._herald.begin(self._settings)
        try:
            assembly = await self._assemble(self._settings, since=self._options.since)
        except BaseException:
            await self._herald.close()
            raise
        try:
            stopping = asyncio.create_task(self._stop_when_told(assembly))
            led = await assembly.rounds.once()
            stopping.cancel()
            if not led:
                return Exit.LOCKED, None, ""
            tally = assembly.rounds.context.tally
            due = (await assembly.ledger.counts(assembly.rounds.due_by or self._clock.now())).due
            troubles = "; ".join(assembly.rounds.troubles())
            await assembly.rounds.summarise()
        except Overtaken as overtaken:
            self.emit(LeadOvertaken(why=str(overtaken)))
            return Exit.OVERTAKEN, None, ""
        except LockLost as lost:
            self.emit(LeadLost(why=str(lost)))
            return Exit.UNFINISHED, assembly.rounds.context.tally, _broken_off(lost)
        except ShopUnavailable as away:
            self.emit(ShopIsUnavailable(why=str(away)))
            return Exit.UNFINISHED, assembly.rounds.context.tally, _broken_off(away)
        except LedgerUnavailable as away:
            self.emit(LedgerIsUnavailable(why=str(away)))
            return Exit.UNFINISHED, assembly.rounds.context.tally, _broken_off(away)
        else:
            unfinished = tally.unanswered or tally.not_applied or due or troubles
            left = f"what was due was asked, but not all was done: {troubles}" if troubles else ""
            return (Exit.UNFINISHED if unfinished else Exit.DONE), tally, left
        finally:
            if assembly.rounds.leading:
                await self._herald.tell_once(assembly.ledger)
            await assembly.close()
            await self._herald.close()

    async def serve(self) -> Exit:
        """Run until told to stop. Raises MappingError and LedgerUnavailable at start only."""
        self._listen_to_signals()
        self._introduce(self._settings)
        self._herald.begin(self._settings)
        async with self._herald:
            return await self._serve()

    async def _serve(self) -> Exit:
        assembly = await self._open()
        tidying = asyncio.create_task(self._tidy_the_log())
        why, code = "told to stop", Exit.DONE
        try:
            while assembly is not None:
                assembly = await self._work(assembly)
        except Overtaken as overtaken:
            self.emit(LeadOvertaken(why=str(overtaken)))
            why, code = "overtaken by another daemon", Exit.OVERTAKEN
        except Exception as fault:  # noqa: BLE001 # the last word of a process that ends: logged with its traceback
            self.note_fault(fault)
            why, code = "a fault of the program", Exit.FAULT
        finally:
            tidying.cancel()
        self.emit(DaemonStopped(why=why, uptime=timedelta(seconds=round(self._clock.monotonic() - self._began))))
        if code is not Exit.DONE:
            await self._herald.last_words(why)
        return code

    async def _tidy_the_log(self) -> None:
        while True:
            await self._clock.sleep(TIDY_EVERY_S)
            self._log.tidy()

    def note_fault(self, fault: Exception) -> None:
        """Say what the program itself did wrong: its last word."""
        told = "".join(traceback.format_exception(fault))
        self.emit(DaemonFailed(what=f"{type(fault).__name__}: {fault}", traceback=told))

    # ------------------------------------------------------------------------------------------------------- beginning

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._reloading.set)

    def _introduce(self, settings: Settings) -> None:
        self._log.never_print(never_printed(settings))
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
        self._metrics.configured(__version__, settings.mode, map(ChannelName, settings.channels))
        if settings.mode == "enforce" and not settings.alerts.targets:
            self.emit(AlertsNone(mode=settings.mode, why="nobody is told of cases but by this log"))

    async def _assemble(self, settings: Settings, since: datetime | None = None) -> Assembly:
        def measured(gateway: Gateway) -> Gateway:
            return MeasuredGateway(gateway, self._metrics)

        return await assemble(settings, self._clock, self, since=since, measure=measured)

    async def _open(self) -> Assembly | None:
        """Open everything; wait for a shop that is away, and say so once. None where told to stop meanwhile."""
        since: datetime | None = None
        asking = asyncio.create_task(self._ask_for_time())

        def say(state: RetryCallState) -> None:
            nonlocal since
            if since is None:
                since = self._clock.now()
                why = state.outcome.exception() if state.outcome else None
                self.emit(ShopIsUnavailable(why=str(why)))
                asking.cancel()  # after READY it would put the watchdog off
                self._notify.ready("waiting for the shop's database")  # else systemd would start us over and over

        trying = AsyncRetrying(
            retry=retry_if_exception_type(ShopUnavailable),
            wait=wait_random_exponential(multiplier=SHOP_RETRY_S, max=SHOP_RETRY_S_MAX),
            stop=stop_when_event_set(self._stopping),  # type: ignore[arg-type] # it only asks is_set()
            before_sleep=say,
            sleep=self._sleep_unless_told,
        )
        try:
            assembly: Assembly = await trying(self._assemble, self._settings, self._options.since)
        except RetryError:
            return None
        finally:
            asking.cancel()
        if since is not None:
            self.emit(ShopIsAvailable(after=self._clock.now() - since))
        return assembly

    async def _ask_for_time(self) -> None:
        """Ask systemd for more time to start while the loop turns: bringing a large ledger up may take minutes."""
        for _ in range(MORE_TIMES_MAX):
            self._notify.more_time(MORE_TIME)
            await self._clock.sleep(MORE_TIME_EVERY_S)

    async def _sleep_unless_told(self, seconds: float) -> None:
        self._notify.watchdog()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    # --------------------------------------------------------------------------------------------------------- running

    async def _work(self, assembly: Assembly) -> Assembly | None:
        """Run the rounds until told to stop (None) or until a reload has opened their successor."""
        successor: Assembly | None = None
        rounds = asyncio.create_task(assembly.rounds.run(), name="rounds")
        try:
            alerting = self._herald.alerting
            async with Company(assembly, alerting, self, self._metrics, self._notify, self._clock).together():
                self._notify.ready(f"mode {assembly.settings.mode}")
                set_apart_what_stays()
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
            await self._herald.take_over()
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
            self._log.never_print(never_printed(settings))  # first: what opening fails with may quote one
            await self._herald.prepare(settings)
            successor = await self._assemble(settings)
        except (ConfigurationError, MappingError, EnvironmentUnusable, PortError) as refused:
            self.emit(ConfigRefused(config=self._options.config, problem=str(refused)))
            self._notify.remark = "the last reload was refused"
            self._notify.ready(f"mode {present.settings.mode}")
            return None
        self._notify.remark = ""
        self._warn(settings)
        return successor

    async def _stop_when_told(self, assembly: Assembly) -> None:
        await self._stopping.wait()
        assembly.rounds.stop()


def _broken_off(error: PortError) -> str:
    return f"broken off before all that was due was asked: {error}"
