"""The machine's clock jumps, both ways and by as much as a day, and is put right in the end."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from tests.acceptance.chaos.daemons import leading
from tests.acceptance.chaos.nursery import OFFSET
from tests.acceptance.chaos.town import Fate, Town

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
JUMPS: Final = (20.0, -20.0, 5 * MINUTE, -5 * MINUTE, 3 * HOUR, -3 * HOUR, 13 * HOUR, -13 * HOUR, DAY, -DAY)


@pytest.mark.parametrize("kind", ["mysql", "postgresql"])
async def test_a_clock_that_jumps_both_ways_moves_nothing_unproven_and_loses_nothing(
    town: Town, chance: random.Random
) -> None:
    clock = town.directory / "seconds-ahead"
    clock.write_bytes(OFFSET.pack(0))
    configs = [town.configure(name) for name in ("one", "two")]
    daemons = [await town.start(config, clock=clock) for config in configs]
    jumps = chance.sample(JUMPS, k=len(JUMPS))
    async with town.buyers(every_s=0.1):
        for jump in jumps:
            await leading(daemons)
            put(clock, jump)
            await asyncio.sleep(chance.uniform(0.5, 2.5))  # so long it goes wrong
    put(clock, 0)
    after = await town.order(Fate.LOST)
    await town.moved(after)
    told = [datetime.fromisoformat(line["at"]) - datetime.now(UTC) for daemon in daemons for line in daemon.lines]
    assert min(told) < -timedelta(seconds=DAY / 2), "their clock was never behind"
    assert max(told) > timedelta(seconds=DAY / 2), "their clock was never ahead"
    town.unproven = set(Fate)  # a payment of yesterday, or of tomorrow, is for a person to look at
    await town.comes_to_rest(configs[0])


def put(clock: Path, seconds: float) -> None:
    """Let the daemons' clock be ahead by so much, from now on."""
    with clock.open("r+b") as file:  # in place: they have it mapped
        file.write(OFFSET.pack(seconds))
