"""Copies of a ledger that is in use, and going back to one: what holds then, and what shows it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest

from reconciler.domain.order import OrderKey
from reconciler.ledger import SqlLedger, open_ledger
from reconciler.ledger.verify import verify
from reconciler.ports import Batch, Begun, Entry, Outcome, Resolve
from reconciler.testing.ledger_examples import CHANNEL, LATER, NOW, evidence
from tests.acceptance.world import moved_once, world
from tests.integration.ledger.signed import KINDS_OF_ENTRIES, VERIFIERS, day, intention, settle

WRITES = 60


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[SqlLedger]:
    ledger = await open_ledger(f"sqlite:///{tmp_path}/ledger.db")
    await day(ledger)
    yield ledger
    await ledger.close()


def in_one_go(source: sqlite3.Connection, target: Path) -> None:
    with closing(sqlite3.connect(target)) as copy:
        source.backup(copy)


def page_by_page(source: sqlite3.Connection, target: Path) -> None:
    with closing(sqlite3.connect(target)) as copy:
        source.backup(copy, pages=5, sleep=0.001)


def vacuumed(source: sqlite3.Connection, target: Path) -> None:
    source.execute("VACUUM INTO ?", (str(target),))


def copied(source: Path, target: Path, copy: Callable[[sqlite3.Connection, Path], None] = in_one_go) -> Path:
    with closing(sqlite3.connect(source, timeout=30)) as file:
        copy(file, target)
    return target


@pytest.mark.parametrize("copy", [in_one_go, page_by_page, vacuumed])
async def test_a_copy_made_while_the_leader_writes_is_one_moment_of_its_ledger(
    ledger: SqlLedger, tmp_path: Path, copy: Callable[[sqlite3.Connection, Path], None]
) -> None:
    begun = asyncio.Event()

    async def write() -> None:
        for number in range(WRITES):
            pair = [Entry("noted", OrderKey("1"), evidence=evidence(f"{number}-{side}")) for side in ("a", "b")]
            await ledger.record(Batch(entries=tuple(pair)), NOW)
            begun.set()

    writing = asyncio.create_task(write())
    await begun.wait()
    path = await asyncio.to_thread(copied, tmp_path / "ledger.db", tmp_path / "copy.db", copy)
    await writing
    await ledger.record(Batch(entries=(Entry("still leading"),)), LATER)
    other = await open_ledger(f"sqlite:///{path}", create=False)
    try:
        found = await verify(other, VERIFIERS)
        assert found.is_sound
        assert len(KINDS_OF_ENTRIES) < found.entries <= len(KINDS_OF_ENTRIES) + 2 * WRITES
        assert found.entries % 2 == len(KINDS_OF_ENTRIES) % 2, "half a batch"
        assert (await verify(ledger, VERIFIERS, [found.head])).is_sound
    finally:
        await other.close()


async def test_a_head_logged_since_shows_that_an_older_copy_was_restored(ledger: SqlLedger, tmp_path: Path) -> None:
    copy = copied(tmp_path / "ledger.db", tmp_path / "copy.db")
    before = await ledger.head()
    await settle(ledger, "7", CHANNEL)
    since = await ledger.head()
    restored = await open_ledger(f"sqlite:///{copy}")
    try:
        assert (await verify(restored, VERIFIERS, [before])).is_sound
        (problem,) = (await verify(restored, VERIFIERS, [before, since])).problems
        assert problem.text == f"is missing: the chain ends with {before[0]}, and its hash was kept elsewhere"
        # It goes on, beyond where the lost one was: the hash gives it away for ever.
        assert await restored.lead("next", LATER) == 2
        await restored.record(Batch(entries=(Entry("noted"), Entry("noted"))), LATER)
        (problem,) = (await verify(restored, VERIFIERS, [before, since])).problems
        assert (problem.entry, problem.text[:34]) == (since[0], "is not the entry whose hash was ke")
    finally:
        await restored.close()


async def test_what_was_learned_since_a_copy_is_not_in_it_and_what_was_open_is_open(
    ledger: SqlLedger, tmp_path: Path
) -> None:
    begun = await ledger.begin(intention("7", CHANNEL), NOW)
    assert isinstance(begun, Begun)
    copy = copied(tmp_path / "ledger.db", tmp_path / "copy.db")
    await ledger.conclude(begun.id, Outcome.SETTLED, "done", Batch(), NOW)
    await settle(ledger, "8", CHANNEL)
    (case,) = await ledger.cases()
    await ledger.handle([Resolve(case.id, "root", "dealt with", final=True)], NOW)

    restored = await open_ledger(f"sqlite:///{copy}")
    try:
        await restored.lead("next", LATER)
        assert [item.id for item in await restored.open_intentions()] == [begun.id]
        assert [item.final for item in await restored.cases()] == [False]
        assert (await restored.story("8")).entries == ()
        again = await restored.begin(intention("8", CHANNEL), LATER)
        assert isinstance(again, Begun)  # the ledger does not know: the guard in the shop's table does
    finally:
        await restored.close()


async def test_after_yesterdays_ledger_was_restored_nothing_is_moved_twice_and_work_goes_on(tmp_path: Path) -> None:
    """The real program: settle, restore the copy from before it, run again."""
    async with world(tmp_path) as made:
        config, path = made.configuration(), tmp_path / "a-ledger.db"
        assert (await made.once(config))[0] == 0
        copy = copied(path, tmp_path / "yesterday.db")
        made.order("A1")
        trade = made.pay("A1")
        code, output, _ = await made.once(config)
        assert (code, made.moves()) == (0, [("A1", 0, 1)]), output
        head = (await made.json(config, "ledger", "verify"))["head"]
        logged = f"{head['entry']}:{head['hash']}"

        for file in tmp_path.glob("a-ledger.db*"):
            file.unlink()
        copied(copy, path)
        assert (await made.command(config, "ledger", "verify"))[0] == 0
        code, output = await made.command(config, "ledger", "verify", "--head", logged)
        assert (code, "is missing: the chain ends with" in output) == (1, True)

        made.order("A2")
        made.pay("A2")
        code, output, _ = await made.once(config)
        assert code == 0, output
        assert made.moves() == [("A1", 0, 1), ("A2", 0, 1)]
        assert moved_once(made.moves())
        assert made.rows()["A1"][2] == trade.transaction_id
        assert (await made.command(config, "ledger", "verify"))[0] == 0
        code, output = await made.command(config, "ledger", "verify", "--head", logged)
        assert code == 1
