"""A hundred thousand orders of which a thousand become cases at once, and a hundred thousand open cases."""

from __future__ import annotations

import asyncio
import io
import json
import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.cli import main
from reconciler.domain.money import Money
from reconciler.events import Event
from reconciler.ledger import open_ledger
from reconciler.ledger.values import to_us
from reconciler.ops.log import configure
from reconciler.sandbox.keys import keep_keys
from reconciler.testing.events import RecordingEvents
from tests.small_configuration import small_configuration
from tests.unit.flow.bench import NOON, Bench

WATCHES, CASES, OPEN_CASES = 100_000, 1_000, 100_000
LISTED_WITHIN_S = 1.0
"""Of this process's own time: what else the machine does is not the command's."""


class Both(RecordingEvents):
    """Events as a test sees them, and as the log writes them."""

    def __init__(self, stream: io.StringIO, bench: Bench) -> None:
        super().__init__()
        self.log = configure("json", clock=bench.clock, stream=stream)

    def emit(self, event: Event) -> None:
        super().emit(event)
        self.log.emit(event)


def many(path: Path, table: str, count: int) -> None:
    """Copy the table's first row until there are so many, each of an order of its own."""
    with closing(sqlite3.connect(path)) as ledger:
        columns = [column[1] for column in ledger.execute(f"PRAGMA table_info({table})")]
        own = {"id": "(SELECT max(id) FROM {t}) + seq", "order_key": "'k' || seq", "order_no": "'K' || seq",
               "out_trade_no": "'K' || seq"}  # fmt: skip
        picked = ", ".join(own[name].format(t=table) if name in own else name for name in columns)
        series = "WITH RECURSIVE series(seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM series WHERE seq < ?)"
        copies = f"INSERT INTO {table} SELECT {picked} FROM series, (SELECT * FROM {table} LIMIT 1)"  # noqa: S608 # a test's own words
        ledger.execute(f"{series} {copies}", [count])
        ledger.commit()


@pytest.fixture
def configured(tmp_path: Path) -> Path:
    keep_keys(tmp_path / "keys")
    path = tmp_path / "reconciler.toml"
    shop, ledger = f"sqlite:///{tmp_path}/shop.db", f"sqlite:///{tmp_path}/ledger.db"
    path.write_text(small_configuration(tmp_path / "keys", shop=shop, ledger=ledger))
    return path


def main_once(config: Path) -> None:
    with suppress(SystemExit):
        main(["cases", "list", "--limit", "1", "--config", str(config)])


def listed(config: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[str, str]:
    """Run `cases list`; give what it printed, on standard output and beside it."""
    began_s = time.process_time()
    with suppress(SystemExit):
        main(["cases", "list", *words, "--config", str(config)])
    took_s = time.process_time() - began_s
    assert took_s < LISTED_WITHIN_S, f"{took_s:.2f} s"
    printed = capsys.readouterr()
    return printed.out, printed.err


async def _once(bench: Bench, tmp_path: Path) -> None:
    """Make one pass with the doubles, but for the ledger."""
    ledger = await open_ledger(f"sqlite:///{tmp_path}/ledger.db")
    try:
        await bench.once(bench.process(ledger=ledger))  # type: ignore[arg-type] # another than the double
    finally:
        await ledger.close()


async def _in_the_flow(tmp_path: Path) -> tuple[Sequence[dict[str, object]], RecordingEvents]:
    bench, stream = Bench(), io.StringIO()
    both = Both(stream, bench)
    bench.events = both
    bench.order("first", minutes=1)
    await _once(bench, tmp_path)
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as book:
        book.execute("UPDATE watches SET next_ask_at = ?", [to_us(NOON + timedelta(days=1))])
        book.commit()
    many(tmp_path / "ledger.db", "watches", WATCHES - CASES)
    for number in range(CASES):
        bench.order(f"{number}")
        bench.pay(f"N{number}", amount=Money(1))
    await _once(bench, tmp_path)
    both.log.close()
    return [json.loads(line) for line in stream.getvalue().splitlines()], both


async def test_a_thousand_cases_at_once_are_all_kept_and_the_log_stays_short(tmp_path: Path) -> None:
    lines, events = await _in_the_flow(tmp_path)
    assert Counter(events.names)["case.opened"] == CASES, "figures and alerts hear of each"
    counted = Counter(line["event"] for line in lines)
    assert counted["case.opened"] == 20
    (more,) = [line for line in lines if line["event"] == "case.more"]
    assert (more["kind"], more["cases"]) == ("amount_mismatch", CASES - 20)
    assert len(lines) < 50
    ledger = await open_ledger(f"sqlite:///{tmp_path}/ledger.db")
    assert {kind.value: found.count for kind, found in (await ledger.open_cases()).items()} == {
        "amount_mismatch": CASES
    }
    await ledger.close()


async def _one_case(tmp_path: Path) -> None:
    bench = Bench()
    bench.order("1")
    bench.pay("N1", amount=Money(1))
    await _once(bench, tmp_path)


def test_a_hundred_thousand_open_cases_are_listed_within_a_second_page_by_page(
    tmp_path: Path, configured: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(_one_case(tmp_path))
    many(tmp_path / "ledger.db", "cases", OPEN_CASES - 1)

    main_once(configured)  # loads the modules, whose time is bounded elsewhere and is not the ledger's
    capsys.readouterr()
    out, err = listed(configured, capsys)
    assert len(out.splitlines()) == 1000, "in a pipe"
    assert err.strip() == "… and 99000 more: reconciler cases list --after 1000"
    out, err = listed(configured, capsys, "--after", "1000", "--limit", "2", "--kind", "amount_mismatch")
    assert [line.split("\t")[0] for line in out.splitlines()] == ["1001", "1002"]
    assert err.strip() == "… and some more: reconciler cases list --kind amount_mismatch --after 1002"
    out, err = listed(configured, capsys, "--json", "--limit", "3")
    assert [case["id"] for case in json.loads(out)] == [1, 2, 3]
    out, err = listed(configured, capsys, "--kind", "stalled")
    assert out.strip() == "No open cases stalled."
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    out, err = listed(configured, capsys)
    assert out.splitlines()[-1] == "… and 99900 more: reconciler cases list --after 100"
    assert err == ""
