"""One daemon process in the simulated world: the flow unchanged, behind ports that fail, freeze and crash."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from itertools import count
from typing import Any

from reconciler.domain.answer import Answer, Misconfigured, Paid, Throttled, Unavailable, Untrusted
from reconciler.domain.order import ChannelName
from reconciler.events import Event
from reconciler.flow.audit import Auditor, AuditPolicy
from reconciler.flow.channel import Channel
from reconciler.flow.context import Context, Tally
from reconciler.flow.rounds import Rounds, Tempo
from reconciler.pace import Pace
from reconciler.ports import (
    Accepted,
    Declined,
    LedgerUnavailable,
    LockLost,
    Move,
    PortError,
    Question,
    ShopUnavailable,
    Told,
    Undelivered,
)
from reconciler.testing.gateway import SIGNED_BY_NATURE, ScriptedGateway
from reconciler.testing.ledger import MemoryLedger
from reconciler.testing.loop import LoopClock
from reconciler.testing.shop import MemoryShop
from tests.simulation import checks
from tests.simulation.plan import CHANNELS, HOUR, MERCHANTS, MINUTE, Fault, rng_of
from tests.simulation.world import World

SHOP_CALLS = (
    "take_lock", "holds_lock", "newest", "before", "candidates", "paid", "read", "holders", "look_up", "settle",
    "close_order",
)  # fmt: skip
LEDGER_CALLS = (
    "lead", "mark", "set_mark", "watch", "lease", "free_leases", "histories", "record", "begin", "conclude",
    "open_intentions", "wake", "wake_later", "wake_would_settle", "next_due", "settled", "story", "cases", "case",
    "handle", "counts", "held_up", "head", "prune",
)  # fmt: skip
GATEWAY_CALLS = ("ask", "close_trade")
RECEIVER_CALLS = ("tell", "close")
COMMITS = frozenset({"settle", "close_order"})
Befalls = Callable[[tuple[Any, ...]], None]
TEMPO = Tempo(lock_every=300.0, idle_max=600.0)
"""Slower than the daemon's own where nothing hangs on it: a simulated day is to take seconds."""
PRUNED_EVERY_H = 6
"""Seldom: what is forgotten while it is still in the window is found and asked about once more."""


class Crash(BaseException):
    """The process is gone: nothing of it runs any more."""


class Poison(RuntimeError):
    """The fault that one order brings out each time it is looked at."""


class Port:
    """What stands between a process and one of its ports."""

    def __init__(self, process: Process, target: object, name: str, calls: Sequence[str]) -> None:
        self._target = target
        for call in calls:
            setattr(self, call, process.guarded(name, call, getattr(target, call)))

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 # whatever the port has
        return getattr(self._target, name)


class Process:
    """One process, from its start to its end."""

    def __init__(self, world: World, host: int, life: int, ahead: timedelta) -> None:
        self.world = world
        self.name = f"{host}:{life}"
        self.rng = rng_of(world.plan.seed, f"process {self.name}")
        self.clock = LoopClock(ahead=ahead)
        self.now = self.clock.now
        """Wall time, as wrong as this host's clock is: a process is its own `Clock`."""
        self.monotonic = self.clock.monotonic
        self.dead = False
        self._dies_soon = False
        self.going = asyncio.Event()
        self.going.set()
        self.is_hindered = False
        """Whether it is stopped, dead, or to die soon: most calls of a port have only this to look at."""
        self.shop = MemoryShop(
            channels={name: (name,) for name in CHANNELS},
            table=world.table,
            shared_payment=world.plan.policy.shared_payment,
        )
        self.shop.before_settle = lambda move: checks.before_move(world, self, move)
        self.shop.after_commit = lambda move: checks.after_move(world, move, "update")
        self.ledger = MemoryLedger(world.shelf)
        self.enforcing = world.now() >= world.plan.observes_until
        self.has_taken = False
        """Whether it was given the lock when it last asked for it."""
        self.thawed_at = -MINUTE
        self._moved_before = 0
        self.context = Context(
            shop=Port(self, self.shop, "shop", SHOP_CALLS),
            ledger=Port(self, self.ledger, "ledger", LEDGER_CALLS),
            clock=self,
            events=self,
            policy=world.plan.policy,
            enforcing=self.enforcing,
            tally=Tally(since=self.clock.now()),
            receiver=Port(self, world.receiver, "receiver", RECEIVER_CALLS) if world.plan.webhook else None,
            limits=world.plan.limits,
        )
        channels = [Channel(self._gateway(name), Pace(self, rate=50, concurrency=32)) for name in CHANNELS]
        self.rounds = Rounds(self.context, channels, world.plan.find, who=self.name, whose="shop orders", tempo=TEMPO)

    # ------------------------------------------------------------------------------------------------ its clock and log

    async def sleep(self, seconds: float) -> None:
        """Sleep; whoever is stopped or dead does not wake."""
        await self.clock.sleep(seconds)
        if self.is_hindered:
            await self._may_go_on()

    def emit(self, event: Event) -> None:
        """Take a line of the log, unless the process is gone."""
        if not self.dead:
            self.world.events.append((self.world.now(), self.name, event))
            checks.of_event(self.world, self, event)

    # ----------------------------------------------------------------------------------------------------- life and end

    async def run(self) -> str:
        """Run until it ends; say why it did."""
        keepers = [asyncio.ensure_future(self._keep_walking())]
        if self.world.plan.audits:
            keepers.append(asyncio.ensure_future(self._keep_auditing()))
        try:
            await self.rounds.run()
        except BaseException as ended:  # what ends a process, ends it here
            if self.dead:
                return "crashed"
            if isinstance(ended, PortError):
                return type(ended).__name__
            raise
        else:
            return "stopped"
        finally:
            self.kill()
            for keeper in keepers:
                keeper.cancel()
            with contextlib.suppress(BaseException):
                await self.context.deliveries.drop()

    def kill(self) -> None:
        """End it here and now: the kernel gives back what it held."""
        self.dead = self.is_hindered = True
        self.going.set()
        self.rounds.stop()
        if self.world.table.holder is self.shop:
            self.world.table.holder = None

    def freeze(self, seconds: float) -> None:
        """Stop it, as SIGSTOP does."""
        self.going.clear()
        self.is_hindered = True
        self.world.trouble(self.world.now(), self.world.now() + seconds + 5 * MINUTE)
        asyncio.get_running_loop().call_later(seconds, self._thaw)

    def _thaw(self) -> None:
        self.thawed_at = self.world.now()
        self.going.set()
        self.is_hindered = self.dead or self._dies_soon

    def die_soon(self) -> None:
        """Let it die at one of its next port calls."""
        self._dies_soon = self.is_hindered = True

    async def _may_go_on(self) -> None:
        if not self.going.is_set():
            await self.going.wait()
        if self.dead:
            raise Crash

    async def _keep_walking(self) -> None:
        """Do what the calendar does."""
        with contextlib.suppress(Crash, PortError):
            for hour in count(1):
                await self.sleep(HOUR)
                self.rounds.walk_soon()
                if self.rounds.leading:
                    with contextlib.suppress(PortError):
                        await self.rounds.summarise()
                    if self.world.plan.prunes and hour % PRUNED_EVERY_H == 0:
                        with contextlib.suppress(PortError):
                            await self.context.ledger.prune(self.now() - timedelta(hours=20))

    async def _keep_auditing(self) -> None:
        auditor: Auditor | None = None
        with contextlib.suppress(Crash):
            while True:
                wait = 5 * MINUTE
                if not self.rounds.leading:
                    auditor = None
                else:
                    policy = AuditPolicy(rate=0.2)
                    auditor = auditor or Auditor(self.context, self.rounds.channels, policy)
                    with contextlib.suppress(PortError):
                        wait = max(await auditor.turn(), MINUTE)
                await self.sleep(wait)

    # -------------------------------------------------------------------------------------------------------- its ports

    def guarded(
        self, port: str, name: str, method: Callable[..., Coroutine[Any, Any, Any]]
    ) -> Callable[..., Coroutine[Any, Any, Any]]:
        """Let a call of a port come to what calls come to here."""
        before, after = self._what_befalls(port, name)
        entries = self._entries if port == "ledger" and name != "lead" else int

        async def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 # whatever the port's
            if self.is_hindered:
                await self._come_through()
            for befalls in before:
                befalls(args)
            written = entries()
            result = await method(*args, **kwargs)
            if written != entries():
                checks.of_written(self.world, self)
            for befalls in after:
                befalls(args)
            if self.rng.random() < 0.02:  # now and then the network takes its time
                await self.clock.sleep(self.rng.choice([0.01, 0.5, 3.0]))
            if self.is_hindered:
                await self._come_through()
            if name in COMMITS and port == "shop":
                self._maybe_lose_the_outcome()
            return result

        return call

    def _what_befalls(self, port: str, name: str) -> tuple[list[Befalls], list[Befalls]]:
        """Say what befalls a call of a port with its arguments: before it is made, and once it has come back."""
        before: list[Befalls] = []
        if port in {"shop", "ledger"} and port in self.world.plan.spells:
            before.append(lambda _: self._maybe_fail(port, name))
        match name:
            case "histories":
                return [*before, lambda args: self._maybe_choke(args[0])], []
            case "tell":
                take, look = self._take_message, self._look_after_message
                return [*before, lambda args: take(args[0])], [lambda args: look(args[0])]
            case "take_lock":
                return before, [lambda _: self._note_lock()]
            case "lead":
                return before, [lambda _: checks.of_lead(self.world, self)]
            case _:
                return before, []

    def _note_lock(self) -> None:
        self.has_taken = self.world.table.holder is self.shop

    def _entries(self) -> int:
        return len(self.world.shelf.contents.entries)

    def _maybe_choke(self, questions: Sequence[Question]) -> None:
        """Break on the one order that is poison to us."""
        if any(question.watch.attempt.order_key in self.world.poisoned for question in questions):
            raise Poison("a fault of ours that one order brings out")

    async def _come_through(self) -> None:
        """Wait while it is stopped; end where it is dead, or dies of this call: before it, or after it."""
        await self._may_go_on()
        if self._dies_soon and self.rng.random() < 0.2:  # so that any call may be the one
            self.kill()
            raise Crash

    def _maybe_fail(self, port: str, name: str) -> None:
        fault = self.world.plan.spell(port, self.world.now())
        if fault is None:
            return
        if fault is Fault.AWAY or (fault is Fault.FLAKY and self.rng.random() < 0.3):  # every third
            if port == "ledger":
                raise LedgerUnavailable("no space left on device")
            if self.world.table.holder is self.shop and self.rng.random() < 0.5:  # half of the time
                self.world.table.holder = None
            raise ShopUnavailable(f"connection refused ({name})")

    def _maybe_lose_the_outcome(self) -> None:
        """Break the connection after the shop has committed: what came of it is unknown."""
        flaky = self.world.plan.spell("shop", self.world.now()) is Fault.FLAKY
        if flaky and self.rng.random() < 0.3:  # every third
            if self.world.table.holder is self.shop:
                self.world.table.holder = None
            raise LockLost("the connection broke while it was committed")

    def _gateway(self, channel: ChannelName) -> Port:
        pace = Pace(self, rate=50, concurrency=32)
        gateway = ScriptedGateway(channel, self, kind=channel, merchant=MERCHANTS[channel], pace=pace)
        gateway.on_ask = lambda number: self._script(gateway, number)
        gateway.on_close = lambda number: self._close(channel, number)
        return Port(self, gateway, "gateway", GATEWAY_CALLS)

    def _script(self, gateway: ScriptedGateway, number: str) -> None:
        """Let the gateway know what it says next."""
        world, channel = self.world, gateway.channel
        answer = world.trades.said_of(channel, number, world.now())
        gateway.clock_off = -self.clock.ahead
        verified: bool | None = None
        match world.plan.spell(channel, world.now()):
            case Fault.AWAY:
                answer, verified, gateway.clock_off = Unavailable("connection refused"), False, None
            case Fault.FLAKY if self.rng.random() < 0.3:  # every third
                answer, verified, gateway.clock_off = Unavailable("no whole answer within 5s"), False, None
            case Fault.THROTTLED if self.rng.random() < 0.5:  # every second
                answer, verified = Throttled(timedelta(seconds=2)), False
            case Fault.REFUSED:
                answer, verified = Misconfigured("401 SIGN_ERROR"), False
            case Fault.FORGED if self.rng.random() < 0.4:  # many
                answer, verified = self._forged(channel, number), False
            case Fault.REPLAYED if self.rng.random() < 0.4:  # many
                earlier = world.trades.said_of(channel, number, world.now() - self.rng.uniform(0, HOUR))
                if not isinstance(earlier, Paid) and earlier != answer:  # `Paid` after its refund: nothing can tell
                    answer = earlier
                    world.misled_at[channel, number] = world.now()
            case _:
                pass
        gateway.will_answer(number, answer, verified=verified)
        signed = isinstance(answer, SIGNED_BY_NATURE) if verified is None else verified
        checks.of_answer(world, channel, number, answer, verified=signed)

    def _forged(self, channel: ChannelName, number: str) -> Answer:
        """Make what somebody in between would like us to believe."""
        record = self.world.trades.records.get((channel, number))
        if record is None or self.rng.random() < 0.5:  # half of the time
            return Untrusted("the signature does not verify")
        pretended = type(record)(channel, number, record.amount, record.merchant, (), 0.0, self.world.now() - 30)
        return pretended.said_at(self.world.now())

    def _close(self, channel: ChannelName, number: str) -> None:
        record = self.world.trades.records.get((channel, number))
        if record is not None and record.takes_payment(self.world.now()):
            record.closed_at = self.world.now()

    # ------------------------------------------------------------------------------------------- the shop's own code

    def _take_message(self, move: Move) -> None:
        """Decide what the shop's own code does with a message."""
        world, receiver = self.world, self.world.receiver
        checks.before_message(world, self, move)
        checks.before_move(world, self, move)
        answer: Told | None = None
        moves = True
        match world.plan.spell("receiver", world.now()):
            case Fault.AWAY:
                answer, moves = Undelivered("connection refused"), False
            case Fault.FLAKY if self.rng.random() < 0.5:  # every second
                answer, moves = Undelivered("no whole answer within 10s"), self.rng.random() < 0.5  # the same
            case Fault.REFUSED:
                answer, moves = Declined(422, "no such order"), False
            case _:
                pass
        self._moved_before = receiver.moved[move.orders[0].key]
        receiver.will(move.out_trade_no, answer or Accepted(), moves=moves)

    def _look_after_message(self, move: Move) -> None:
        (order,) = move.orders
        times = self.world.receiver.moved[order.key]
        if times > self._moved_before:
            checks.after_move(self.world, move, "the shop's own code")
        if times > 1 or len(self.world.receiver.ids[order.key]) > 1:
            self.world.breaks(order.key, "the shop's own code has moved it twice, or knows two ids of it")
