"""The database is restarted under the daemons, in order and by SIGKILL; buyers go on ordering."""

from __future__ import annotations

import asyncio
import random
from typing import Final

import pytest

from tests.acceptance.chaos.daemons import leading
from tests.acceptance.chaos.town import Fate, Town
from tests.integration.private_servers import PrivateServer

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

RESTARTS: Final = 5
"""In each of the four ways to keep the shop and the ledger; half of them are kills."""


@pytest.mark.parametrize("kind", ["mysql", "postgresql"])
@pytest.mark.parametrize("town", ["file", "server"], indirect=True, ids=["ledger-in-a-file", "ledger-on-the-server"])
async def test_restarts_of_the_database_lose_no_order_and_move_none_twice(
    town: Town, server: PrivateServer, chance: random.Random
) -> None:
    configs = [town.configure(name) for name in ("one", "two")]
    daemons = [await town.start(config) for config in configs]
    async with town.buyers(every_s=0.05):
        for turn in range(RESTARTS):
            await leading(daemons)
            before = await town.order(Fate.LOST)
            await asyncio.sleep(chance.uniform(0, 0.6))  # the moment is what is drawn
            await asyncio.to_thread(server.down, killed=turn % 2 == 1)
            town.cut_short += 1
            await asyncio.sleep(chance.uniform(0, 0.6))
            await asyncio.to_thread(server.up)
            town.done["restarts"] += 1
            await town.moved(before, await town.order(Fate.LOST))
    taken = sum(len(daemon.events("lead.taken")) for daemon in daemons)
    assert taken > RESTARTS  # anew after each; who was overtaken unawares may say `lead.lost` once for two of them
    await town.comes_to_rest(configs[0])
