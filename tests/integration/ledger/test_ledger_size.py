"""How much room the ledger takes, on each kind of database."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.ledger import open_ledger
from reconciler.ports import Batch, Entry, LedgerUnavailable
from reconciler.testing.ledger_examples import NOW
from tests.integration.databases import KINDS, Database


@pytest.mark.parametrize("kind", KINDS)
async def test_a_ledger_grows_with_what_is_written(base: Database, kind: str) -> None:
    ledger = await open_ledger(base.url)
    await ledger.lead("test", NOW)
    before = await ledger.size()
    # Nothing that compresses to nothing: PostgreSQL would keep a row of one letter in a few bytes.
    text = "".join(f"{number:x}" for number in range(200_000))
    entries = tuple(Entry("noted", body={"text": f"{number} {text}"}) for number in range(4))
    await ledger.record(Batch(entries=entries), NOW)
    if kind == "mysql":
        await base.script("ANALYZE TABLE entries")  # its catalogue looks again when told to, or by itself later
    after = await ledger.size()
    await ledger.close()
    assert before.bytes
    assert after.bytes
    assert after.bytes - before.bytes > 1_000_000
    assert (after.free_bytes is None) == (kind != "sqlite"), "a server's disk is not ours to see"


async def test_the_room_left_on_its_disk_is_told_of_a_file(tmp_path: Path) -> None:
    ledger = await open_ledger(f"sqlite:///{tmp_path}/ledger.db")
    size = await ledger.size()
    await ledger.close()
    assert size.free_bytes is not None
    assert size.free_bytes > 0


async def test_a_file_that_has_gone_is_an_unavailable_ledger(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = await open_ledger(f"sqlite:///{path}")
    path.unlink()
    with pytest.raises(LedgerUnavailable, match=r"ledger\.db"):
        await ledger.size()
    await ledger.close()
