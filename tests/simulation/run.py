"""Run one world to its end: hosts that start processes again, things that go wrong on time, a person now and then."""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from unittest.mock import patch

from reconciler.domain.case import APPROVABLE
from reconciler.flow.handle import Desk
from reconciler.flow.inquiry import Inquiry
from reconciler.flow.switch import Switch
from reconciler.ports import Approve, Case, PortError, Resolve
from reconciler.testing.loop import VirtualLoop
from reconciler.testing.shelf import Contents
from tests.simulation import checks
from tests.simulation.plan import CLOCK_FAR_S, MINUTE, Plan, rng_of
from tests.simulation.process import Crash, Poison, Process
from tests.simulation.world import Broken, Told, World

STOP_LOOKING_EVERY = 600.0
OVERTAKEN_WAIT_S = 5.0


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of one world."""

    plan: Plan
    broken: Broken | None
    story: tuple[Told, ...]
    delivered: dict[str, int]
    cases: int
    asks: int
    lives: int


class Host:
    """A machine on which the daemon runs, and is started again when it ends."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.number = number
        self.rng: Random = rng_of(world.plan.seed, f"host {number}")
        self.ahead = timedelta(seconds=world.plan.drift[number])
        self.lives = 0
        self.far_since = 0.0
        self.process: Process | None = None

    async def keep(self) -> None:
        """Start it again, as systemd does."""
        while not self.world.over:
            self.lives += 1
            self.process = Process(self.world, self.number, self.lives, self.ahead)
            ended = await self.process.run()
            self.process = None
            away = self.rng.choice([1.0, 5.0, 15.0, 15.0, 20 * MINUTE]) if ended == "crashed" else OVERTAKEN_WAIT_S
            if self.world.now() > self.world.plan.calm_from:
                away = min(away, OVERTAKEN_WAIT_S)
            self.world.trouble(self.world.now(), self.world.now() + away)
            await asyncio.sleep(away)

    def jump(self, ahead: float) -> None:
        """Set the clock."""
        now = self.world.now()
        if abs(self.ahead.total_seconds()) > CLOCK_FAR_S:
            self.world.trouble(self.far_since, now)
        self.far_since = now
        self.ahead = timedelta(seconds=ahead)
        if self.process is not None:
            self.process.clock.ahead = self.ahead


class Troublemaker:
    """Makes happen what the plan says, to whoever leads at the time."""

    def __init__(self, world: World, hosts: list[Host]) -> None:
        self.world = world
        self.hosts = hosts

    def begin(self) -> None:
        """Put it all on the clock."""
        world, plan = self.world, self.world.plan
        for at in plan.crashes:
            world.at(at, self._crash)
        for at, seconds in plan.freezes:
            world.at(at, self._freeze, seconds)
        for at in plan.lost_locks:
            world.at(at, self._lose_lock)
        for at, seconds in plan.jumps:
            world.at(at, self._jump, seconds)
        if plan.observes_until:
            world.trouble(0, plan.observes_until)
            world.at(plan.observes_until, self._stop_all)
        if plan.ledger_restored_from is not None:
            world.at(plan.ledger_restored_from, self._back_up)
        if plan.ledger_lost_at is not None:
            world.at(plan.ledger_lost_at, self._lose_ledger)
        self._backup = Contents()

    def leader(self) -> tuple[Host, Process] | None:
        """Give who holds the lock."""
        for host in self.hosts:
            if host.process is not None and self.world.table.holder is host.process.shop:
                return host, host.process
        return None

    def _crash(self) -> None:
        if leads := self.leader():
            leads[1].die_soon()

    def _freeze(self, seconds: float) -> None:
        if leads := self.leader():
            leads[1].freeze(seconds)
            if rng_of(self.world.plan.seed, f"freeze {seconds}").random() < 0.5:  # half of the time
                self.world.table.holder = None

    def _lose_lock(self) -> None:
        self.world.table.holder = None
        self.world.trouble(self.world.now(), self.world.now() + MINUTE)

    def _jump(self, ahead: float) -> None:
        self.hosts[0].jump(ahead)

    def _stop_all(self) -> None:
        for host in self.hosts:
            if host.process is not None:
                host.process.rounds.stop()

    def _back_up(self) -> None:
        self._backup = self.world.shelf.contents.copy()

    def _lose_ledger(self) -> None:
        for host in self.hosts:
            if host.process is not None:
                host.process.kill()
        self.world.shelf.contents = self._backup
        self.world.ledger_lost = True
        self.world.resolved_for_good = {
            case.order_key for case in self._backup.cases.values() if case.final
        }  # what a person has said since then is gone with it
        self.world.trouble(self.world.now(), self.world.now() + 10 * MINUTE)


class Person:
    """Somebody on call who works through the cases, not always wisely."""

    def __init__(self, world: World, maker: Troublemaker, every: float) -> None:
        self.world = world
        self.maker = maker
        self.every = every
        self.rng = rng_of(world.plan.seed, "person")

    async def keep(self) -> None:
        """Come by now and then."""
        while True:
            await asyncio.sleep(self.every)
            leads = self.maker.leader()
            if leads is None or not leads[1].going.is_set() or not leads[1].rounds.leading:
                continue
            try:
                await self._work(leads[1])
            except (Crash, PortError):
                continue

    async def _work(self, process: Process) -> None:
        rounds = process.rounds
        if process.context.brake.stopped is not None:
            await Switch(process.context, rounds.channels).resume("li", settling=True, channels=())
        desk = Desk(process.context, Inquiry(rounds.context, rounds.channels))
        for case in await process.context.ledger.cases(limit=20):
            await self._handle(desk, case)

    async def _handle(self, desk: Desk, case: Case) -> None:
        chance = self.rng.random()
        if chance < 0.4:  # most are looked at only
            return
        if case.kind in APPROVABLE and chance < 0.8:  # twice as often as not
            self.world.approved.add(case.order_key)  # from now on, whatever becomes of the word of it
            await desk.approve(Approve(case.id, by="li", shown=case.digest))
        else:
            await desk.act(
                Resolve(case.id, by="li", note="looked at", final=chance > 0.9, shown=case.digest)
            )  # now and then


async def _live(world: World) -> Ended:
    hosts = [Host(world, number) for number in range(world.plan.hosts)]
    maker = Troublemaker(world, hosts)
    maker.begin()
    world.begin()
    tasks = [asyncio.ensure_future(host.keep()) for host in hosts]
    if world.plan.person_every is not None:
        tasks.append(asyncio.ensure_future(Person(world, maker, world.plan.person_every).keep()))
    while world.broken is None and world.now() < world.plan.end:
        await asyncio.wait(tasks, timeout=STOP_LOOKING_EVERY, return_when=asyncio.FIRST_EXCEPTION)
        for task in tasks:
            if task.done():
                task.result()
    asks = sum(host.process.context.tally.asked.total() for host in hosts if host.process is not None)
    if world.broken is None:
        checks.at_the_end(world)
    world.over = True
    for host in hosts:
        if host.process is not None:
            host.process.kill()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    broken = world.broken
    story = tuple(world.stories.get(broken.order, ())) if broken else ()
    return Ended(
        plan=world.plan,
        broken=broken,
        story=story,
        delivered=checks.deliveries_by(world),
        cases=len(world.shelf.contents.cases),
        asks=asks,
        lives=sum(host.lives for host in hosts),
    )


def _told_briefly(format_exc: Callable[[], str]) -> Callable[[], str]:
    """Spare the traceback of what is broken on purpose: nobody reads it, and it costs more than the rest of a world."""

    def told() -> str:
        fault = sys.exc_info()[1]
        return f"Poison: {fault}" if isinstance(fault, Poison) else format_exc()

    return told


def simulate(plan: Plan) -> Ended:
    """Run one world from its beginning to its end, in virtual time."""
    with (
        patch("traceback.format_exc", _told_briefly(traceback.format_exc)),
        asyncio.Runner(loop_factory=VirtualLoop) as runner,
    ):
        loop = runner.get_loop()
        loop.set_exception_handler(lambda _, __: None)  # of tasks that a crash left behind
        return runner.run(_live(World(plan, loop.time)))
