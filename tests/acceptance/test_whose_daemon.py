"""Two shops of one machine whose configurations name one control socket: no command goes to the other's daemon."""

from __future__ import annotations

import json

import pytest

from tests.acceptance.world import World

pytestmark = pytest.mark.acceptance


async def test_a_command_does_not_reach_another_shops_daemon(world: World) -> None:
    config = world.configuration("a")
    other = world.configuration("b")
    other.write_text(other.read_text().replace("b.sock", "a.sock"))
    await world.once(other)
    daemon = await world.start(config)
    await daemon.until("lead.taken")

    code, told = await world.command(other, "pause")
    assert code == 1
    assert "looks after another shop" in told
    assert "a-ledger.db" in told
    assert "control.socket of its own" in told
    assert daemon.events("settle.paused") == []
    status = json.loads((await world.command(other, "status", "--json"))[1])
    assert status["daemon"] is None
    assert (await world.json(config, "status"))["daemon"]["leading"] is True
    assert await daemon.stop() == 0
