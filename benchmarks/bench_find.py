"""What a quick find costs among millions of orders, on MariaDB and PostgreSQL, by which plans; and the slow walk.

Each statement of a quick find is explained as it was issued: one that no index serves ends the benchmark.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import ours
import report
import servers
from sqlalchemy import event, text

from reconciler.flow.find import Finder
from reconciler.sandbox.keys import keep_keys

QUICK_MS_MAX = 20
WALK_MB_MAX = 64
NEW_ROWS = 20
"""Orders that the shop takes between two looks."""
SERVED = {"const", "eq_ref", "ref", "range", "system"}
Issued = dict[str, Any]


@asynccontextmanager
async def noted(assembly: ours.Assembly) -> AsyncIterator[Issued]:
    """Note what the shop is asked: statement and parameters, as the driver is given them."""
    issued: Issued = {}
    engine = assembly.shop._primary.sync_engine  # noqa: SLF001 # to listen, there is no other way in

    def note(_connection: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        if "orders" in statement:
            issued.setdefault(statement, parameters)

    event.listen(engine, "before_cursor_execute", note)
    yield issued
    event.remove(engine, "before_cursor_execute", note)


async def faults(shop: servers.Served, issued: Issued) -> list[str]:
    """Say of each statement's plan what no index serves."""
    found = []
    async with shop.engine.connect() as connection:
        for statement, parameters in issued.items():
            explained = await connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
            if shop.kind == "postgresql":
                found += [line for (line,) in explained if "Seq Scan" in line]
                continue
            for row in explained.mappings():
                if str(row["table"]).startswith("<derived"):
                    continue  # some rows that the statement has found already
                walks_its_end = row["type"] == "index" and "LIMIT" in statement and "WHERE" not in statement
                if row["table"] and (row["key"] is None or not (row["type"] in SERVED or walks_its_end)):
                    found.append(str(dict(row)))
    return found


class Look(NamedTuple):
    """One quick find, in milliseconds."""

    wall: float
    cpu: float
    found: int


async def timed_ms(finder: Finder) -> Look:
    """Look once."""
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    found = await finder.quick()
    return Look(1000 * (time.perf_counter() - wall_s), 1000 * (time.process_time() - cpu_s), found)


async def measure(kind: str, rows: int, looks: int, directory: Path) -> tuple[list[str], list[report.Bound]]:
    """Fill a server, walk and look; give the table's column and the bounds."""
    directory.mkdir()  # noqa: ASYNC240 # nothing else runs yet
    keep_keys(directory / "keys")
    began_s = time.perf_counter()
    async with servers.shop_of(kind, rows) as shop:
        filled_s = time.perf_counter() - began_s
        ledger = f"sqlite:///{directory / 'ledger.db'}"
        configuration = ours.configuration(shop.url, ledger, directory / "keys", "http://127.0.0.1:9")
        async with ours.leading(configuration) as assembly:
            finder = Finder(assembly.rounds.context, assembly.rounds.find)
            before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            began_s = time.perf_counter()
            watches = await finder.walk()
            walk_s = time.perf_counter() - began_s
            walk_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb) / 1024
            quiet = [await timed_ms(finder) for _ in range(looks)]
            busy, found = [], 0
            async with noted(assembly) as issued, shop.engine.connect() as hand:
                for look in range(looks):
                    for place in range(NEW_ROWS):
                        new = text(servers.escaped(servers.NEW[kind]))
                        await hand.execute(new, {"number": f"N{look}-{place}"})
                    look_ms = await timed_ms(finder)
                    busy.append(look_ms)
                    found += look_ms.found
            assert found == looks * NEW_ROWS, f"found {found}"  # noqa: S101 # the benchmark's own check
            assert issued  # noqa: S101 # the benchmark's own check
            bad = await faults(shop, issued)
    for line in bad:
        print(f"{kind}: no index serves: {line}")
    column = [
        f"{filled_s:.0f}",
        *(f"{of(look.wall for look in looks_):.1f}" for looks_ in (quiet, busy) for of in (min, median)),
        *(f"{min(look.cpu for look in looks_):.1f}" for looks_ in (quiet, busy)),
        f"{len(issued) - len(bad)} of {len(issued)}",
        f"{watches:,}",
        f"{walk_s:.1f}",
        f"{walk_mb:.0f}",
    ]
    return column, [
        report.Bound(f"{kind}: one quick find, ms", min(look.wall for look in quiet), QUICK_MS_MAX, at_least=False),
        report.Bound(f"{kind}: statements that no index serves", len(bad), 0, at_least=False),
        report.Bound(f"{kind}: memory that the slow walk adds, MB", walk_mb, WALK_MB_MAX, at_least=False),
    ]


ROWS = (
    "filling the table, s",
    "quick find, nothing new: ms (best)",
    "quick find, nothing new: ms (median)",
    f"quick find, {NEW_ROWS} new orders made watches: ms (best)",
    f"quick find, {NEW_ROWS} new orders made watches: ms (median)",
    "quick find, nothing new: ms of our CPU (best)",
    f"quick find, {NEW_ROWS} new orders: ms of our CPU (best)",
    "statements served by an index",
    "watches that the walk of seven days made",
    "that walk, s",
    "memory that it added, MB",
)


def main() -> None:
    """Read the arguments, and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=1_000_000, help="in the shop's table")
    parser.add_argument("--looks", type=int, default=30)
    parser.add_argument("--on", choices=sorted(servers.URLS), action="append", help="one server alone")
    parser.add_argument("--full", action="store_true", help="10,000,000 orders")
    arguments = parser.parse_args()
    rows = 10_000_000 if arguments.full else arguments.orders
    report.heading()
    kinds = arguments.on or sorted(servers.URLS)
    columns, found = [], []
    with tempfile.TemporaryDirectory() as directory:
        for kind in kinds:
            column, bounds = asyncio.run(measure(kind, rows, arguments.looks, Path(directory) / kind))
            columns.append(column)
            found += bounds
    table = [[name, *(column[at] for column in columns)] for at, name in enumerate(ROWS)]
    report.table([f"{rows:,} orders", *kinds], table)
    report.bounds(found)


if __name__ == "__main__":
    main()
