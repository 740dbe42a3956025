"""Five daemons at once, and whoever leads is killed, again and again, while buyers go on ordering."""

from __future__ import annotations

import asyncio
import random
from typing import Final

import pytest

from tests.acceptance.chaos.daemons import Daemon, leading
from tests.acceptance.chaos.town import Town

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

DAEMONS: Final = 5
KILLS: Final = 76
"""In each of the four ways to keep the shop and the ledger."""
ORDER_EVERY_S: Final = 0.05


@pytest.mark.parametrize("kind", ["mysql", "postgresql"])
@pytest.mark.parametrize("town", ["file", "server"], indirect=True, ids=["ledger-in-a-file", "ledger-on-the-server"])
async def test_kills_at_random_moments_lose_no_order_and_move_none_twice(town: Town, chance: random.Random) -> None:
    configs = [town.configure(f"daemon-{place}") for place in range(DAEMONS)]
    daemons = [await town.start(config) for config in configs]
    led = 0
    async with town.buyers(ORDER_EVERY_S):
        while town.cut_short < KILLS:
            leader = await leading(daemons)
            led += 1
            await asyncio.sleep(chance.uniform(0, 0.5))  # the moment of the kill is what is drawn
            victims = {leader, *chance.sample(daemons, k=chance.choice((0, 0, 0, 1, 2)))}
            for victim in victims:
                town.cut_short += await kill(victim)
            for place, daemon in enumerate(daemons):
                if not daemon.is_alive:
                    daemons[place] = await town.start(configs[place])
    assert led >= KILLS // 3
    town.done.update(kills=town.cut_short, daemons=DAEMONS)
    await town.comes_to_rest(configs[0])


async def kill(victim: Daemon) -> int:
    """Kill one; give 1 where it was a kill that ended it."""
    return int(await victim.kill() < 0)
