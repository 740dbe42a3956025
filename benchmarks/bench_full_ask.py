"""A full ask against the floor and against the Python SDKs, on one gateway process, in one run.

A full ask reads the shop, signs, queries, verifies, decides and records, on SQLite; the floor signs, exchanges and
verifies, and nothing else; the SDKs do the query alone. Rounds are interleaved and the best of each counts, so that
whatever else the machine does falls on all alike. CPU is of the asking process, its threads included. The bounds are on
checks a second: on a crowded machine they say nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import contenders
import lean_gateway
import ours
import report

from reconciler.domain.order import OrderKey
from reconciler.sandbox.keys import keep_keys

AT_ONCE = 64
OURS, FLOOR = "ours, WeChat Pay", "floor: aiohttp + cryptography"
ALIPAY = "ours, Alipay"
WECHATPAY, WECHATPAY_SYNC, ALIPAY_SDK = "wechatpayv3 async", "wechatpayv3 sync", "python-alipay-sdk"


class Contender(Protocol):
    """Something that checks orders."""

    async def check(self, numbers: Sequence[str], at_once: int) -> None:
        """Check every number, so many at once."""
        ...

    async def close(self) -> None:
        """Let go of everything."""
        ...


@dataclass
class Entrant:
    """One row of the table."""

    name: str
    contender: Contender
    numbers: Sequence[str]
    at_once: int
    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    async def run(self) -> None:
        """Run one round of it."""
        if isinstance(self.contender, ours.FullAsk):
            await self.contender.make_due()
        gc.collect()
        cpu_s, wall_s = time.process_time(), time.perf_counter()
        await self.contender.check(self.numbers, self.at_once)
        self.wall_s.append((time.perf_counter() - wall_s) / len(self.numbers))
        self.cpu_s.append((time.process_time() - cpu_s) / len(self.numbers))

    @property
    def rate(self) -> float:
        """Checks a second, in the best round."""
        return 1 / min(self.wall_s)


def entrants(assembly: ours.Assembly, url: str, keys: Path, checks: int) -> list[Entrant]:
    """List who runs."""
    numbers = {channel: ours.numbers_of(channel, checks) for channel in ours.CHANNELS}
    fewer = numbers["wechat"][: max(AT_ONCE, checks // 4)]  # the slow ones would take the time of all others
    of_wechat, of_alipay = ([OrderKey(str(first + place)) for place in range(checks)] for first in (1, checks + 1))
    asynchronous, sync, alipay = (
        contenders.WechatpayAsync(url, keys),
        contenders.WechatpaySync(url, keys),
        contenders.AlipaySync(url, keys),
    )
    return [
        Entrant(FLOOR, contenders.Floor(url, keys), numbers["wechat"], AT_ONCE),
        Entrant(OURS, ours.FullAsk(assembly, "wechat", of_wechat), numbers["wechat"], AT_ONCE),
        Entrant(ALIPAY, ours.FullAsk(assembly, "alipay", of_alipay), numbers["alipay"], AT_ONCE),
        *(
            Entrant(name, contender, fewer, at_once)
            for name, contender in zip(
                (WECHATPAY, WECHATPAY_SYNC, ALIPAY_SDK), (asynchronous, sync, alipay), strict=True
            )
            for at_once in (AT_ONCE, 1)
        ),
    ]


def judged(rows: Sequence[Entrant]) -> list[report.Bound]:
    """Hold the checks a second against the bounds, each SDK against ours on its own gateway.

    At 64 at once an SDK is what it offers for that, its asynchronous client where it has one; at its best, any of its
    rows.
    """
    rates = {(row.name, row.at_once): row.rate for row in rows}
    found = [report.Bound("ours / floor", rates[OURS, AT_ONCE] / rates[FLOOR, AT_ONCE], 0.6)]
    for mine, sdk, clients in (
        (OURS, "wechatpayv3", (WECHATPAY, WECHATPAY_SYNC)),
        (ALIPAY, ALIPAY_SDK, (ALIPAY_SDK,)),
    ):
        rate, best = rates[mine, AT_ONCE], max(rate for (name, _), rate in rates.items() if name in clients)
        found.append(report.Bound(f"{mine} / {sdk}, {AT_ONCE} at once", rate / rates[clients[0], AT_ONCE], 2.5))
        found.append(report.Bound(f"{mine} / {sdk} at its best", rate / best, 1.5))
    return found


async def _rounds(rows: Sequence[Entrant], rounds: int) -> None:
    for row in rows:  # warm: connections opened, answers signed, statements compiled
        await row.run()
        row.wall_s.clear()
        row.cpu_s.clear()
    for _ in range(rounds):
        for row in rows:
            await row.run()


async def measure(arguments: argparse.Namespace, directory: Path) -> int:
    """Run all rounds and print what came of them."""
    keys = directory / "keys"
    keep_keys(keys)
    ours.fill_shop(directory / "shop.db", arguments.checks)
    with lean_gateway.running(keys) as url:
        text = ours.configuration(
            f"sqlite:///{directory / 'shop.db'}", f"sqlite:///{directory / 'ledger.db'}", keys, url, AT_ONCE
        )
        async with ours.leading(text) as assembly:
            await ours.find(assembly)
            rows = entrants(assembly, url, keys, arguments.checks)
            try:
                await _rounds(rows, arguments.rounds)
            finally:
                for row in rows:
                    await row.contender.close()
    floor = rows[0]
    report.table(
        ["", "at once", "checks/s", "CPU ms a check", "CPU: × floor", "wall: × floor"],
        [
            [
                row.name,
                str(row.at_once),
                f"{row.rate:,.0f}",
                f"{1000 * min(row.cpu_s):.2f}",
                f"{min(floor.cpu_s) / min(row.cpu_s):.2f}",
                f"{row.rate / floor.rate:.2f}",
            ]
            for row in rows
        ],
    )
    return report.bounds(judged(rows))


def main() -> None:
    """Read the arguments, and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checks", type=int, default=512, help="orders a round and contender")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--full", action="store_true", help="2,048 orders and 9 rounds")
    parser.add_argument("--loop", choices=["uvloop", "asyncio"], default="uvloop", help="of every contender")
    arguments = parser.parse_args()
    if arguments.full:
        arguments.checks, arguments.rounds = 2048, 9
    os.environ["NO_PROXY"] = "127.0.0.1"
    report.heading()
    with tempfile.TemporaryDirectory() as directory:
        if arguments.loop == "uvloop":
            import uvloop  # noqa: PLC0415 # optional

            uvloop.run(measure(arguments, Path(directory)))
        else:
            asyncio.run(measure(arguments, Path(directory)))


if __name__ == "__main__":
    main()
