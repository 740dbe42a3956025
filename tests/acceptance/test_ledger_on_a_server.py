"""The real program with its ledger in a file, on MariaDB and on PostgreSQL: the same lines, the same record."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.acceptance.world import PENDING, World, moved_once, until
from tests.integration.databases import KINDS, Database, database

pytestmark = [pytest.mark.acceptance, pytest.mark.parametrize("kind", KINDS)]


@pytest.fixture
async def base(kind: str, tmp_path: Path) -> AsyncIterator[Database]:
    (tmp_path / "ledger").mkdir()
    async with database(kind, tmp_path / "ledger") as made:
        yield made


def configured(world: World, base: Database, name: str = "a", mode: str = "enforce") -> Path:
    """Write a configuration whose ledger is that database."""
    path = world.configuration(name, mode=mode)
    text, file = path.read_text(), f"sqlite:///{world.directory}/{name}-ledger.db"
    assert file in text
    path.write_text(text.replace(file, base.url))
    return path


async def test_a_pass_settles_once_and_its_record_verifies(world: World, base: Database) -> None:
    for number in ("A1", "A2"):
        world.order(number)
        world.pay(number)
    world.order("A3")
    world.pay("A3", fen=1)
    config = configured(world, base, mode="observe")

    code, output, _ = await world.once(config)
    assert code == 0, output
    assert "would settle 2" in output
    config = configured(world, base)
    code, output, log = await world.once(config)
    assert code == 0, output
    assert {line["order_no"] for line in log.events("order.settled")} == {"A1", "A2"}
    assert log.events("library.warning") == []
    code, _, log = await world.once(config)
    assert (code, log.events("order.settled")) == (0, [])

    assert sorted(order_no for order_no, _, _ in world.moves()) == ["A1", "A2"]
    assert moved_once(world.moves())
    code, output = await world.command(config, "ledger", "verify")
    assert (code, output.splitlines()[-1]) == (0, "sound")
    (case,) = await world.json(config, "cases", "list")
    assert (case["order_no"], case["kind"]) == ("A3", "amount_mismatch")
    code, output = await world.command(config, "explain", "A1")
    assert code == 0
    assert "settled" in output
    ((led,),) = await base.rows("SELECT count(*) FROM entries WHERE kind = 'led'")
    assert led == 3


async def test_a_daemon_that_was_killed_is_followed_by_another_and_nothing_is_moved_twice(
    world: World, base: Database
) -> None:
    config = configured(world, base)
    for at in range(6):
        world.order(f"A{at}")
        world.pay(f"A{at}")
    first = await world.start(config)
    await first.until("order.settled")
    first.process.kill()
    await first.ends()
    second = await world.start(config)
    await until(lambda: all(row[0] != PENDING for row in world.rows().values()))
    assert await second.stop() == 0
    assert moved_once(world.moves())
    code, output = await world.command(config, "ledger", "verify")
    assert (code, output.splitlines()[-1]) == (0, "sound")
