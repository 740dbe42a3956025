"""Enforcing without the right to write: one line with the statement that mends it, then quiet; over by itself."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterator

import pytest
from sqlalchemy import make_url

from tests.acceptance.world import PAID, World, until

pytestmark = [pytest.mark.acceptance, pytest.mark.parametrize("world", ["mysql"], indirect=True)]

FAST = '[find]\nevery = "100ms"\n[settle]\ngrace = "0s"\n[ask]\nages = ["30s", "1h"]\nlate_from = "1h"\n'
NEVER = ("shop.unavailable", "settle.recovered", "turn.failed", "case.opened", "order.row_busy")


@pytest.fixture
def user(world: World) -> Iterator[str]:
    """Make a user who may read the shop, and nothing else; give its name."""
    name = f"reader_{secrets.token_hex(6)}"
    world.hand.execute(f"CREATE USER '{name}'@'%'")
    world.hand.execute(f"GRANT SELECT ON orders TO '{name}'@'%'")
    yield name
    world.hand.execute(f"DROP USER '{name}'@'%'")


def paid(world: World) -> int:
    return sum(row[0] == PAID for row in world.rows().values())


def stuck(world: World, *numbers: str) -> None:
    for number in numbers:
        world.order(number)
        world.pay(number)


async def entries(world: World) -> int:
    written: int = (await world.json(world.directory / "a.toml", "status"))["ledger"]["entries"]
    return written


async def test_a_right_that_is_missing_at_start_and_one_that_is_taken_away(world: World, user: str) -> None:
    asked = Counter[str]()
    world.book.on_ask = lambda number: asked.update([number])
    config = world.configuration(extra=FAST)
    reader = make_url(world.url).set(username=user).render_as_string()
    config.write_text(config.read_text().replace(world.url, reader))
    stuck(world, "R1", "R2", "R3")
    daemon = await world.start(config)

    (line,) = await daemon.until("settle.blocked")
    said, _, remedy = line["why"].partition("; run there: ")
    assert f"does not let {user} do that" in said
    assert remedy.startswith("GRANT SELECT, UPDATE (status, transaction_id, paid_at) ON ")
    await until(lambda: len(asked) == 3)
    before = await entries(world)
    await until(lambda: max(asked.values()) >= 2)
    assert await entries(world) == before, "waiting leaves no trace in the ledger"
    (trouble,) = (await world.json(config, "status"))["daemon"]["troubles"]
    assert trouble.endswith(line["why"])

    world.hand.execute(remedy)
    await daemon.until("settle.unblocked")
    await daemon.until("order.settled", 3)
    assert len(daemon.events("settle.blocked")) == 1

    world.hand.execute(f"REVOKE UPDATE (status, transaction_id, paid_at) ON orders FROM '{user}'@'%'")
    stuck(world, "R4", "R5")
    await daemon.until("settle.blocked", 2)
    world.hand.execute(
        f"GRANT UPDATE ON {make_url(world.url).database}.* TO '{user}'@'%'"
    )  # not heard of by old sessions
    (lost,) = await daemon.until("lead.lost")
    assert "counts for new connections only" in lost["why"]
    await daemon.until("order.settled", 5)
    assert await daemon.stop() == 0

    assert sorted(number for number, _, _ in world.moves()) == ["R1", "R2", "R3", "R4", "R5"]
    assert paid(world) == 5
    assert not [line for line in daemon.lines if line["event"] in NEVER]
    assert len(daemon.events("settle.unblocked")) == 2
    assert (await world.command(config, "ledger", "verify"))[1].splitlines()[-1] == "sound"
