"""What a command costs an engineer in seconds, on a ledger with a hundred thousand watches and a thousand open cases.

Most of a command is loading: beside them stands a bare program that loads the same libraries and reads one row of the
same file. All take turns, and the best of each counts.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import ours
import report

from reconciler.domain.case import CaseKind, Fact
from reconciler.domain.order import Attempt, ChannelName, OrderKey
from reconciler.ledger import open_ledger
from reconciler.ports import Batch, CaseReport, NewWatch
from reconciler.sandbox.keys import keep_keys

WATCHES, CASES = 100_000, 1000
AT_ONCE = 1000
LIST_S_MAX = 1.0
BARE = "the libraries, one row"
_BARE = """
import asyncio, sys
import cryptography.x509, pydantic, typer
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
async def read():
    async with create_async_engine(sys.argv[1]).connect() as connection:
        print((await connection.execute(text("SELECT COUNT(*) FROM cases"))).scalar_one())
asyncio.run(read())
"""


async def fill(url: str) -> None:
    """Make the ledger."""
    ledger, now, channel = await open_ledger(url), datetime.now(UTC), ChannelName("wechat")
    why = "paid, but not as ordered: amount CNY 0.01 at the gateway, CNY 99.00 in the shop"
    fact = Fact("amount", "CNY 0.01", "CNY 99.00", agrees=False)
    numbers = [f"W{place:010}" for place in range(WATCHES)]
    try:
        await ledger.lead("a benchmark", now)
        for first in range(0, WATCHES, AT_ONCE):
            some = numbers[first : first + AT_ONCE]
            attempts = [Attempt(OrderKey(number), number, channel, number, now) for number in some]
            await ledger.watch([NewWatch(attempt, now) for attempt in attempts], now)
        kind = CaseKind.AMOUNT_MISMATCH
        cases = [CaseReport(kind, OrderKey(n), n, channel, n, why, (fact,)) for n in numbers[:CASES]]
        await ledger.record(Batch(cases=tuple(cases)), now)
    finally:
        await ledger.close()


def took_s(command: Sequence[str]) -> float:
    """Run a command, show nothing of it, and say how many seconds it took."""
    since = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)  # noqa: S603 # ourselves
    return time.perf_counter() - since


def measure(directory: Path, rounds: int) -> int:
    """Run every command some times, in turn; print what the best took."""
    keep_keys(directory / "keys")
    ledger = directory / "ledger.db"
    asyncio.run(fill(f"sqlite:///{ledger}"))
    ours.fill_shop(directory / "shop.db", 1)
    config = directory / "reconciler.toml"
    shop = f"sqlite:///{directory / 'shop.db'}"
    config.write_text(ours.configuration(shop, f"sqlite:///{ledger}", directory / "keys", "http://127.0.0.1:9"))
    words = {
        BARE: [sys.executable, "-c", _BARE, f"sqlite+aiosqlite:///{ledger}"],
        **{
            f"reconciler {command}": [sys.executable, "-m", "reconciler", *command.split(), "--config", str(config)]
            for command in ("cases list --limit 1", "cases list --limit 1000", "status", "explain W0000000001")
        },
        "reconciler --help": [sys.executable, "-m", "reconciler", "--help"],
    }
    best = dict.fromkeys(words, float("inf"))
    for _ in range(rounds):
        best = {name: min(best[name], took_s(command)) for name, command in words.items()}
    report.table(
        ["", "s (best)", "× the libraries"],
        [[name, f"{seconds:.2f}", f"{seconds / best[BARE]:.1f}"] for name, seconds in best.items()],
    )
    listed = best["reconciler cases list --limit 1000"]
    return report.bounds([report.Bound("cases list of a thousand: s", listed, LIST_S_MAX, at_least=False)])


def main() -> None:
    """Read the arguments, and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--full", action="store_true", help="15 rounds")
    arguments = parser.parse_args()
    report.heading()
    with tempfile.TemporaryDirectory() as directory:
        measure(Path(directory), 15 if arguments.full else arguments.rounds)


if __name__ == "__main__":
    main()
