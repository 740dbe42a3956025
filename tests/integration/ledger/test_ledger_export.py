"""Exports: what is in a selection, and that a stranger can check one with the page's recipe and nothing of ours."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from reconciler.domain.order import OrderKey
from reconciler.ledger import SqlLedger, open_ledger
from reconciler.ledger import walk as walk_of
from reconciler.ledger.export import jsonl, record, table
from reconciler.ledger.walk import Selection, TooManyOrders
from reconciler.ports import Batch, Entry
from reconciler.testing.ledger_examples import NOW
from tests.integration.databases import KINDS, Database
from tests.integration.ledger.signed import KINDS_OF_ENTRIES, day, key_of
from tests.unit.docs.book import DOCS, FENCE

ALL = range(1, len(KINDS_OF_ENTRIES) + 1)
every_kind = pytest.mark.parametrize("kind", KINDS)
in_a_file = pytest.mark.parametrize("kind", ["sqlite"])


@pytest.fixture
async def ledger(base: Database) -> AsyncIterator[SqlLedger]:
    ledger = await open_ledger(base.url)
    await day(ledger)
    yield ledger
    await ledger.close()


async def chosen(ledger: SqlLedger, limit: int = 2, **selection: object) -> list[int]:
    pages = [page async for page in ledger.chosen(Selection(**selection), limit)]  # type: ignore[arg-type] # as the test has it
    assert all(0 < len(page) <= limit for page in pages)
    return [step.row.id for page in pages for step in page]


# ---- what is selected


@every_kind
async def test_entries_are_chosen_by_order_by_time_and_by_both(ledger: SqlLedger) -> None:
    later = [NOW + timedelta(hours=hour) for hour in (1, 2)]
    for at in later:
        await ledger.record(Batch(entries=(Entry("noted", OrderKey("1"), "A1"),)), at)
    assert await chosen(ledger) == [*ALL, 10, 11]
    for number in ("A1", "N1", "1"):
        assert await chosen(ledger, number=number) == [2, 3, 4, 5, 10, 11]
    assert await chosen(ledger, number="A3") == [8]
    assert await chosen(ledger, number="A9") == []
    assert await chosen(ledger, since=later[0]) == [10, 11]
    assert await chosen(ledger, since=later[0], until=later[1]) == [10]
    assert await chosen(ledger, until=later[0]) == list(ALL)
    assert await chosen(ledger, number="A1", since=later[1]) == [11]
    assert await chosen(ledger, until=NOW) == []


@in_a_file
async def test_a_time_is_looked_for_in_short_statements_over_any_gap(
    ledger: SqlLedger, base: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk_of, "WINDOW", 3)
    await base.script(
        "UPDATE entries SET id = 9223372036854775807 WHERE id = 9", "UPDATE entries SET id = -4 WHERE id = 1"
    )
    assert await chosen(ledger) == [-4, *range(2, 9), 2**63 - 1]
    assert await chosen(ledger, limit=5, since=NOW + timedelta(seconds=1)) == []


@in_a_file
async def test_a_number_that_stands_for_too_many_orders_is_refused(
    ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk_of, "ORDERS_MAX", 1)
    entries = tuple(Entry("noted", OrderKey(key), out_trade_no="shared") for key in ("7", "8"))
    await ledger.record(Batch(entries=entries), NOW)
    with pytest.raises(TooManyOrders, match="shared stands for more than 1 orders"):
        await chosen(ledger, number="shared")


# ---- what a stranger makes of it


def recipe(directory: Path) -> Path:
    """Take the program off the page."""
    page = (DOCS / "how-to" / "keep-the-ledger.md").read_text()
    (program,) = [body for language, body in FENCE.findall(page) if language == "python"]
    path = directory / "check_export.py"
    path.write_text(program)
    return path


def checked(export: Path, *heads: str) -> tuple[int, list[str]]:
    """Let a stranger check it: no code of ours can even be imported."""
    program = recipe(export.parent)
    ran = subprocess.run(  # noqa: S603 # our own page's program
        [
            sys.executable,
            "-I",
            "-c",
            f"import sys; sys.modules['reconciler'] = None\n{program.read_text()}",
            export,
            *heads,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert not ran.stderr
    return ran.returncode, ran.stdout.splitlines()


async def exported(ledger: SqlLedger, path: Path, selection: Selection | None = None) -> Path:
    written = table if path.suffix == ".csv" else jsonl
    pages = [page async for page in ledger.chosen(selection or Selection(), 2)]
    path.write_bytes(b"".join(written(map(record, page), first=not place) for place, page in enumerate(pages)))
    return path


@every_kind
@pytest.mark.parametrize("form", ["jsonl", "csv"])
async def test_a_stranger_verifies_chain_evidence_and_signatures_from_the_export_alone(
    ledger: SqlLedger, form: str, tmp_path: Path
) -> None:
    number, digest = await ledger.head()
    code, said = checked(await exported(ledger, tmp_path / f"all.{form}"), f"{number}:{digest}")
    assert (code, said) == (
        0,
        [
            f"compare with alipay's own key: {key_of('alipay').fingerprint}",
            f"compare with wechat's own key: {key_of('wechat').fingerprint}",
            "9 entries, 0 faults",
        ],
    )
    part = Selection(number="A2")
    code, said = checked(await exported(ledger, tmp_path / f"part.{form}", part))
    assert (code, said[-1]) == (0, "2 entries, 0 faults")
    await ledger.prune(datetime.max.replace(tzinfo=NOW.tzinfo))
    code, said = checked(await exported(ledger, tmp_path / f"pruned.{form}"), f"{number}:{digest}")
    assert (code, said[-1]) == (0, "9 entries, 0 faults")


EDITS = {
    "an entry's text": ("amounts differ", "amounts agree", "entry 8: the hash is another"),
    "a hash": ("DIGEST5", "f" * 64, "entry 5: the hash is another"),
    "what the gateway said": ("98.00", "99.00", "entry 8: the evidence is not the entry's"),
    "when it was said": ("2026-11-23T08:00:01", "2026-11-23T08:00:02", "entry 4: the evidence is not the entry's"),
    "a key": (
        "-----BEGIN PUBLIC KEY-----\\nMIIB",
        "-----BEGIN PUBLIC KEY-----\\nMIIC",
        "entry 4: the key cannot be read",
    ),
}


@in_a_file
@pytest.mark.parametrize("edit", EDITS)
async def test_a_stranger_finds_what_was_edited_in_an_export(
    ledger: SqlLedger, edit: str, base: Database, tmp_path: Path
) -> None:
    export = await exported(ledger, tmp_path / "all.jsonl")
    ((fifth,),) = await base.rows("SELECT hash FROM entries WHERE id = 5")
    was, becomes, fault = EDITS[edit]
    text = export.read_text()
    was = was.replace("DIGEST5", fifth)
    assert was in text
    export.write_text(text.replace(was, becomes))
    code, said = checked(export)
    assert code == 1
    assert fault in said


@in_a_file
async def test_a_stranger_finds_a_line_that_was_taken_out_or_is_not_the_logged_one(
    ledger: SqlLedger, tmp_path: Path
) -> None:
    export = await exported(ledger, tmp_path / "all.jsonl")
    assert checked(export, f"9:{'f' * 64}")[1][0] == "entry 9: is not the entry that was logged"
    lines = export.read_text().splitlines(keepends=True)
    export.write_text("".join([lines[0], lines[1].replace('"entry": 2', '"entry": 3'), *lines[3:]]))
    code, said = checked(export)
    assert (code, said[:2]) == (1, ["entry 3: the hash is another", "entry 4: does not follow the entry before"])
