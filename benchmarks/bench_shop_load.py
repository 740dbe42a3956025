"""What we cost a shop's MariaDB: statements, rows read and time in transactions, and the tail of its own writer.

A writer of the shop's creates orders at a steady rate on its own connection, each in a transaction of its own, and
marks three in four of them as paid a second later, as callbacks do, in turns with the daemon's rounds beside it and
turns without, by lot. What an order takes at its 99th percentile is that of all turns with us together, against all
without; the turns one by one say how much of a difference is chance. Nothing of that is in the second comparison: of
the orders of the same turns, all against those that met no transaction of ours. One order in a hundred was paid and its
callback lost: those we recover, at the age of five seconds and without grace, so that a turn sees all of it. Everything
else is as shipped, but that the rate of asking suits a shop of that size. `--lost 10` is a bad day.

`--apart` is the daemon on a machine of its own: the shop's side keeps the first core, we (and the gateway, which stands
for one far away) the others, with the ledger in memory, so that neither a core nor a disk is shared. Without it, all of
it shares what there is, and we give way by the priority that reconciler.service has.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import tempfile
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from statistics import median, quantiles
from typing import NamedTuple

import lean_gateway
import ours
import report
import servers
from sqlalchemy import Connection as SyncConnection
from sqlalchemy import event, text

from reconciler.sandbox.keys import keep_keys

LOSS_MAX = 0.03
AFTER_S = 0.001
"""How long a transaction of ours may go on being felt once its end was asked for: the commit itself."""
NICE = 10
"""As in reconciler.service."""
IN_MEMORY = "/dev/shm"  # noqa: S108 # for a ledger that lives as long as the benchmark
BEGINS_S = 2
"""What a daemon does once, as opening connections, is over by then; its first find, too. The next is at 15 s."""
TURN_S = 62
"""Three finds of what is new, and one that steps back."""
UNPAID_ONE_IN = 4
SEED = 20261201
ASKS_A_SECOND = 60
"""Those of its orders that still wait at the first age, and some more."""


class Span(NamedTuple):
    """From when to when, in seconds of the clock that all processes of this machine share."""

    began_s: float
    ended_s: float

    @property
    def ms(self) -> float:
        """How long that is."""
        return 1000 * (self.ended_s - self.began_s)


@dataclass
class Cost:
    """What the shop's database was asked while our rounds ran."""

    statements: int = 0
    rows_read: int = 0
    transactions: list[Span] = field(default_factory=list)
    seconds: float = 0.0
    settled: int = 0
    _began_s: dict[int, float] = field(default_factory=dict)

    @contextmanager
    def counting(self, assembly: ours.Assembly) -> Iterator[None]:
        """Listen on the shop's connections."""
        engine = assembly.shop._primary.sync_engine  # noqa: SLF001 # to listen, there is no other way in
        listeners = {
            "before_cursor_execute": self._statement,
            "after_cursor_execute": self._read,
            "begin": self._begin,
            "commit": self._end,
            "rollback": self._end,
        }
        for name, listener in listeners.items():
            event.listen(engine, name, listener)
        began_s, settled = time.perf_counter(), assembly.rounds.context.tally.settled
        yield
        self.seconds += time.perf_counter() - began_s
        self.settled += assembly.rounds.context.tally.settled - settled
        for name, listener in listeners.items():
            event.remove(engine, name, listener)

    def _statement(self, *_: object) -> None:
        self.statements += 1

    def _read(self, _connection: object, cursor: object, statement: str, *_: object) -> None:
        if statement.lstrip().upper().startswith("SELECT"):
            self.rows_read += max(0, getattr(cursor, "rowcount", 0))

    def _begin(self, connection: SyncConnection) -> None:
        self._began_s[id(connection)] = time.perf_counter()

    def _end(self, connection: SyncConnection) -> None:
        began_s = self._began_s.pop(id(connection), None)
        if began_s is not None:
            self.transactions.append(Span(began_s, time.perf_counter()))

    def met_none(self, orders: Sequence[Span]) -> list[Span]:
        """Pick the orders during which no transaction of ours was open, nor had just been ended."""
        ours_ = sorted(self.transactions)
        longest_s = max((ended_s - began_s for began_s, ended_s in ours_), default=0.0) + AFTER_S
        picked = []
        for order in orders:
            first = bisect_left(ours_, (order.began_s - longest_s,))
            last = bisect_left(ours_, (order.ended_s,))
            if all(ended_s + AFTER_S < order.began_s for _, ended_s in ours_[first:last]):
                picked.append(order)
        return picked


def write(pipe: Connection, url: str, rate: int, lost: int) -> None:
    """Be the shop's writer, in a process of its own: for so many seconds at a time, as told."""
    asyncio.run(_write(pipe, url, rate, lost))


async def _write(pipe: Connection, url: str, rate: int, lost: int) -> None:
    engine = servers.engine_of("mysql", url)
    new, called_back = text(servers.escaped(servers.NEW["mysql"])), text(servers.CALLED_BACK)
    placed = 0
    async with engine.connect() as connection:
        while seconds := await asyncio.to_thread(pipe.recv):
            orders = []
            start_s = time.perf_counter()
            for turn in range(int(seconds * rate)):
                await asyncio.sleep(max(0.0, start_s + turn / rate - time.perf_counter()))
                began_s = time.perf_counter()
                await connection.execute(new, {"number": _number(placed, lost)})
                orders.append(Span(began_s, time.perf_counter()))
                placed += 1
                if placed > rate and (number := _number(placed - rate, lost))[0] == "C":
                    await connection.execute(called_back, {"number": number})
            pipe.send(orders)
    await engine.dispose()


def _number(place: int, lost: int) -> str:
    """Name an order by what becomes of it: paid with its callback lost, not paid, or paid and called back."""
    return f"{'P' if place % lost == 0 else 'N' if place % UNPAID_ONE_IN == 1 else 'C'}{place}"


async def turn(pipe: Connection, seconds: float) -> list[Span]:
    """Have the writer write for so long; give when it placed each order, and had."""
    pipe.send(seconds)
    orders: list[Span] = await asyncio.to_thread(pipe.recv)
    return orders


async def with_us(text_: str, cost: Cost, pipe: Connection, seconds: float, *, walks: bool = False) -> list[Span]:
    """Have the writer write while our rounds run."""
    async with ours.leading(text_) as assembly:
        # The books are open: what is left is what a leading daemon does, turn after turn. Each turn is a daemon that
        # begins, and would walk first, which in production it does once an hour.
        assembly.rounds._walk_wanted = walks  # noqa: SLF001 # or else a turn is nothing but its walk
        with cost.counting(assembly):
            rounds = asyncio.create_task(assembly.rounds._turn_together())  # noqa: SLF001 # the lead is taken
            try:
                await asyncio.sleep(BEGINS_S)
                return await turn(pipe, seconds)
            finally:
                assembly.rounds.stop()
                await rounds


def _p99(orders: Sequence[Span]) -> float:
    return quantiles((order.ms for order in orders), n=100)[98]


def _one_by_one(turns: Sequence[Sequence[Span]]) -> str:
    return " ".join(f"{p99:.2f}" for p99 in sorted(map(_p99, turns)))


def _stand_aside(writer: int, *, apart: bool) -> None:
    """Leave the shop's side a core of its own, or give way to it on all of them."""
    if not apart:
        os.nice(NICE)
        return
    first, *others = sorted(os.sched_getaffinity(0))
    for process in (writer, *servers.processes_of("mariadbd")):
        servers.keep_on(process, {first})
    for process in (os.getpid(), *servers.children_of(os.getpid()) - {writer}):
        servers.keep_on(process, set(others))


def _come_together() -> None:
    """Give the server all cores back."""
    for process in servers.processes_of("mariadbd"):
        servers.keep_on(process, set(range(os.cpu_count() or 1)))


async def measure(arguments: argparse.Namespace, directory: Path) -> int:
    """Fill, run in turn, and print."""
    keys = directory / "keys"
    keep_keys(keys)
    cost, theirs, alone = Cost(), [], []
    lots = Random(SEED)  # noqa: S311 # the order of the turns, and to be repeated
    async with servers.shop_of("mysql", arguments.orders) as shop:
        with lean_gateway.running(keys) as url:
            text_ = ours.configuration(shop.url, f"sqlite:///{directory / 'ledger.db'}", keys, url, 32, ASKS_A_SECOND)
            text_ += '[ask]\nages = ["5s", "1h", "48h"]\n'
            text_ += '[settle]\ngrace = "0s"\nmax_per_minute = 100000\nbrake_per_hour = 1000000\n'
            text_ += 'brake_yuan_per_hour = "100000000.00"\n'
            pipe, other = multiprocessing.Pipe()
            given = (other, shop.url, arguments.rate, arguments.lost)
            writer = multiprocessing.get_context("spawn").Process(target=write, args=given)
            writer.start()
            _stand_aside(writer.pid or 0, apart=arguments.apart)
            await turn(pipe, 2)  # to warm up; and the watches of the first walk
            await with_us(text_, Cost(), pipe, arguments.seconds, walks=True)
            for _ in range(arguments.turns):
                # By lot: whatever comes round every half a minute (the kernel writes back what is as old) meets both.
                for is_with_us in lots.sample((False, True), 2):
                    if is_with_us:
                        theirs.append(await with_us(text_, cost, pipe, arguments.seconds))
                    else:
                        alone.append(await turn(pipe, arguments.seconds))
            pipe.send(0)
            writer.join()
            if arguments.apart:
                _come_together()
    without, with_, met_none = [*chain(*alone)], [*chain(*theirs)], cost.met_none([*chain(*theirs)])
    p99_without, p99_with, p99_met_none = map(_p99, (without, with_, met_none))
    report.table(
        ["", "without us", "with us"],
        [
            ["the writer's median, ms", *(f"{median(order.ms for order in all_):.2f}" for all_ in (without, with_))],
            ["the writer's 99th percentile, ms", f"{p99_without:.3f}", f"{p99_with:.3f}"],
            ["the same, turn by turn", _one_by_one(alone), _one_by_one(theirs)],
            ["the same of the orders that met no transaction of ours", "", f"{p99_met_none:.3f}"],
            ["orders that met one", "", f"{1 - len(met_none) / len(with_):.1%}"],
            ["our statements a minute", "", f"{60 * cost.statements / cost.seconds:,.0f}"],
            ["rows read an order recovered", "", f"{cost.rows_read / max(1, cost.settled):.1f}"],
            ["orders recovered", "", f"{cost.settled:,}"],
            ["transactions a minute", "", f"{60 * len(cost.transactions) / cost.seconds:,.0f}"],
            [
                "held in transactions, ms a second",
                "",
                f"{sum(span.ms for span in cost.transactions) / cost.seconds:.1f}",
            ],
        ],
    )
    words = "loss of the writer at its 99th percentile"
    return report.bounds(
        [
            report.Bound(words, p99_with / p99_without - 1, LOSS_MAX, at_least=False),
            report.Bound(f"{words}, by meeting us", p99_with / p99_met_none - 1, LOSS_MAX, at_least=False),
        ]
    )


def main() -> None:
    """Read the arguments, and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=200_000, help="in the shop's table at the start")
    parser.add_argument("--rate", type=int, default=200, help="orders that the shop takes a second")
    parser.add_argument("--lost", type=int, default=100, help="one order in so many is paid and its callback lost")
    parser.add_argument("--seconds", type=float, default=TURN_S, help="of one turn")
    parser.add_argument("--turns", type=int, default=2, help="with us, and as many without")
    parser.add_argument("--apart", action="store_true", help="us on other cores and another disk (needs root)")
    parser.add_argument("--full", action="store_true", help="1,000,000 orders, 8 turns")
    arguments = parser.parse_args()
    if arguments.full:
        arguments.orders, arguments.turns = 1_000_000, 8
    report.heading()
    with tempfile.TemporaryDirectory(dir=IN_MEMORY if arguments.apart else None) as directory:
        asyncio.run(measure(arguments, Path(directory)))


if __name__ == "__main__":
    main()
