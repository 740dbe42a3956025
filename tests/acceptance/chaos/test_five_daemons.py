"""Five daemons with five ledgers, of which none knows the others': the shop's lock and the guard are all they share."""

from __future__ import annotations

import asyncio
import random
import signal
from typing import Final

import pytest

from tests.acceptance.chaos.daemons import leading
from tests.acceptance.chaos.town import Fate, Town

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

DAEMONS: Final = 5
TURNS_MAX: Final = 40
CROWD: Final = 10
FATES: Final = (Fate.LOST, Fate.LOST, Fate.LOST, Fate.CALLED_BACK, Fate.UNPAID)
"""Nothing that becomes a case: each ledger would have its own."""


@pytest.mark.parametrize("kind", ["mysql", "postgresql"])
async def test_five_daemons_with_ledgers_of_their_own_lead_in_turn_and_move_each_order_once(
    town: Town, chance: random.Random
) -> None:
    configs = [
        town.configure(f"own-{place}", ledger=f"sqlite:///{town.directory}/{place}.db") for place in range(DAEMONS)
    ]
    daemons = [await town.start(config) for config in configs]
    led: set[int] = set()
    for _ in range(TURNS_MAX):
        leader = await leading(daemons)
        assert [daemon for daemon in daemons if daemon.leads] == [leader], "two lead"
        led.add(daemons.index(leader))
        for _ in range(CROWD):
            await town.order(chance.choice(FATES))
        await asyncio.sleep(chance.uniform(0, 0.3))  # the moment is what is drawn
        leader.send(chance.choice((signal.SIGKILL, signal.SIGTERM)))
        town.cut_short += int(await leader.ends() != 0)
        place = daemons.index(leader)
        await leading([daemon for daemon in daemons if daemon is not leader])  # before it is back
        daemons[place] = await town.start(configs[place])
        if len(led) == DAEMONS:
            break
    assert len(led) == DAEMONS
    await town.comes_to_rest(*configs)
