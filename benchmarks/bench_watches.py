"""What a million open watches cost: memory, a tick with nothing due, the start, and one ask beside ten thousand.

Two ledgers in SQLite, one small and one large, each with a shop of its own. The daemon is the real process, started by
the notify protocol as systemd does. Figures in CPU stand beside those by the clock: on a shared machine they are the
ones to go by.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import lean_gateway
import ours
import report

from reconciler.domain.order import OrderKey
from reconciler.flow.ask import Asker
from reconciler.ledger import open_ledger
from reconciler.sandbox.keys import keep_keys

SMALL = 10_000
RSS_MB_MAX, TICK_MS_MAX, READY_S_MAX, GROWTH_MAX = 300, 5, 2, 1.3
SETTLED_S = 20
"""How long a daemon runs before its memory is read: past the first count of its figures."""
_FILL = """
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
INSERT INTO watches (order_key, order_no, channel, out_trade_no, created_at, amount_fen, currency, next_ask_at, due_at,
  interruptions, failures, untrusted_run, last_decision, why, asks, was_paid)
SELECT 'filler' || i, 'F2026' || i, 'wechat', 'F2026' || i, 1764000000000000 + i * 1000, 9900, 'CNY',
  4000000000000000 + i * 1000, 4000000000000000 + i * 1000, 0, 0, 0, 'ask_again', 'not paid yet', '[]', 0 FROM n
"""
"""Open watches, each with an age to come in 2096."""


@dataclass
class Sized:
    """One ledger of so many watches, and what was measured with it."""

    watches: int
    directory: Path
    text: str
    tick_s: list[float] = field(default_factory=list)
    tick_cpu_s: list[float] = field(default_factory=list)
    ask_cpu_s: list[float] = field(default_factory=list)
    ready_s: list[float] = field(default_factory=list)
    ready_cpu_s: list[float] = field(default_factory=list)
    rss_mb: float = 0.0


async def fill(directory: Path, watches: int, checks: int, keys: Path, gateway_url: str) -> Sized:
    """Make shop and ledger, and write the configuration."""
    directory.mkdir()  # noqa: ASYNC240 # nothing else runs yet
    ours.fill_shop(directory / "shop.db", checks)
    url = f"sqlite:///{directory / 'ledger.db'}"
    await (await open_ledger(url)).close()
    with contextlib.closing(sqlite3.connect(directory / "ledger.db")) as connection, connection:
        connection.execute(_FILL, (watches,))
    text = ours.configuration(f"sqlite:///{directory / 'shop.db'}", url, keys, gateway_url)
    text += f'[control]\nsocket = "{directory / "control.sock"}"\n'
    (directory / "reconciler.toml").write_text(text)
    return Sized(watches, directory, text)


async def timed(work: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """Do it; give its seconds by the clock and of CPU."""
    gc.collect()
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    await work()
    return time.perf_counter() - wall_s, time.process_time() - cpu_s


async def ticks_and_asks(sizes: list[Sized], checks: int, rounds: int) -> None:
    """Measure ticks with nothing due, and asks, in one process, the ledgers in turn."""
    async with contextlib.AsyncExitStack() as stack:
        led = []
        for sized in sizes:
            assembly = await stack.enter_async_context(ours.leading(sized.text))
            await ours.find(assembly)
            led.append((sized, assembly))
        keys, numbers = [OrderKey(str(place + 1)) for place in range(checks)], ours.numbers_of("wechat", checks)
        for round_ in range(rounds + 1):
            for sized, assembly in led:
                asks = ours.FullAsk(assembly, "wechat", keys)
                await asks.make_due()
                _, cpu_s = await timed(lambda asks=asks: asks.check(numbers, 64))  # type: ignore[misc] # mypy knows no such default
                (channel,) = (each for each in assembly.rounds.channels if each.name == "wechat")
                asker = Asker(assembly.rounds.context, channel)

                async def tick(asker: Asker = asker, assembly: ours.Assembly = assembly) -> None:
                    assert await asker.turn() == 0  # noqa: S101 # nothing is due
                    await assembly.ledger.next_due(ours.WECHAT)

                walls_cpus = [await timed(tick) for _ in range(10)]
                if round_:  # the first is to warm up
                    sized.ask_cpu_s.append(cpu_s / checks)
                    sized.tick_s += [wall for wall, _ in walls_cpus]
                    sized.tick_cpu_s += [cpu for _, cpu in walls_cpus]


def start(sized: Sized, settled_s: float) -> None:
    """Start the daemon; note when it is ready and, where it is let run, what memory it holds."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        address = str(sized.directory / "notify.sock")
        Path(address).unlink(missing_ok=True)
        notified.bind(address)
        notified.settimeout(120)
        began_s = time.perf_counter()
        program = [sys.executable, "-m", "reconciler", "run", "--config", str(sized.directory / "reconciler.toml")]
        with subprocess.Popen(  # noqa: S603 # ourselves
            program,
            env={**os.environ, "NOTIFY_SOCKET": address},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            while b"READY=1" not in notified.recv(4096):
                pass
            sized.ready_s.append(time.perf_counter() - began_s)
            sized.ready_cpu_s.append(_cpu_s(process.pid))
            if settled_s:
                time.sleep(settled_s)
                sized.rss_mb = max(sized.rss_mb, _rss_mb(process.pid))
            process.send_signal(signal.SIGTERM)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _rss_mb(pid: int) -> float:
    """Give the most that was ever resident."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmHWM")


async def measure(arguments: argparse.Namespace, directory: Path) -> int:
    """Fill, run and print."""
    keys = directory / "keys"
    keep_keys(keys)
    with lean_gateway.running(keys) as url:
        sizes = [
            await fill(directory / str(watches), watches, arguments.checks, keys, url)
            for watches in (SMALL, arguments.watches)
        ]
        for _ in range(arguments.starts):
            for sized in sizes:
                await asyncio.to_thread(start, sized, 0)
        for sized in sizes:
            await asyncio.to_thread(start, sized, SETTLED_S)
        await ticks_and_asks(sizes, arguments.checks, arguments.rounds)
    report.table(
        ["", *(f"{sized.watches:,} watches" for sized in sizes)],
        [
            ["most memory resident, MB", *(f"{each.rss_mb:.0f}" for each in sizes)],
            ["start to READY, s (best)", *(f"{min(each.ready_s):.2f}" for each in sizes)],
            ["start to READY, s of CPU (best)", *(f"{min(each.ready_cpu_s):.2f}" for each in sizes)],
            ["tick with nothing due, ms (best)", *(f"{1000 * min(each.tick_s):.2f}" for each in sizes)],
            ["tick with nothing due, ms of CPU (best)", *(f"{1000 * min(each.tick_cpu_s):.2f}" for each in sizes)],
            ["one ask, ms of CPU (best)", *(f"{1000 * min(each.ask_cpu_s):.2f}" for each in sizes)],
        ],
    )
    small, large = sizes
    return report.bounds(
        [
            report.Bound("most memory resident, MB", large.rss_mb, RSS_MB_MAX, at_least=False),
            report.Bound("tick with nothing due, ms", 1000 * min(large.tick_s), TICK_MS_MAX, at_least=False),
            report.Bound("start to READY, s", min(large.ready_s), READY_S_MAX, at_least=False),
            report.Bound("start to READY, s of CPU", min(large.ready_cpu_s), READY_S_MAX, at_least=False),
            report.Bound(
                f"one ask, {large.watches:,} watches / {small.watches:,}, by CPU",
                min(large.ask_cpu_s) / min(small.ask_cpu_s),
                GROWTH_MAX,
                at_least=False,
            ),
        ]
    )


def main() -> None:
    """Read the arguments, and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--watches", type=int, default=1_000_000, help="open watches in the large ledger")
    parser.add_argument("--checks", type=int, default=256, help="orders asked about a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--full", action="store_true", help="1,024 orders, 15 rounds and 9 starts")
    arguments = parser.parse_args()
    if arguments.full:
        arguments.checks, arguments.rounds, arguments.starts = 1024, 15, 9
    report.heading()
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(measure(arguments, Path(directory)))


if __name__ == "__main__":
    main()
