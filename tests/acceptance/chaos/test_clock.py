"""The machine's clock jumps, both ways and by as much as a day, and is put right in the end."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Final

import pytest

from tests.acceptance.chaos.daemons import Daemon, leading
from tests.acceptance.chaos.town import Fate, Town
from tests.acceptance.moving_clock import MovingClock

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
NEAR_S: Final = 8.0
LINES: Final = 200
JUMPS: Final = (20.0, -20.0, 5 * MINUTE, -5 * MINUTE, 3 * HOUR, -3 * HOUR, 13 * HOUR, -13 * HOUR, DAY, -DAY)


@pytest.mark.parametrize("kind", ["mysql", "postgresql"])
async def test_a_clock_that_jumps_both_ways_moves_nothing_unproven_and_loses_nothing(
    town: Town, chance: random.Random
) -> None:
    clock = MovingClock(town.directory / "clock")
    configs = [town.configure(name) for name in ("one", "two")]
    daemons = [await town.start(config, clock=clock.file) for config in configs]
    jumps = chance.sample(JUMPS, k=len(JUMPS))
    async with town.buyers(every_s=0.1):
        for jump in jumps:
            leader = await leading(daemons)
            clock.set_wrong(jump)
            leader.send(signal.SIGHUP)  # a reload is told of in a line, by that clock
            await asyncio.sleep(chance.uniform(0.5, 2.5))  # so long it goes wrong
            await town.until(partial(has_said, daemons, jump), f"a line from a clock that is {jump:g} s ahead")
    clock.set_wrong(0)
    after = await town.order(Fate.LOST)
    await town.moved(after)
    town.unproven = set(Fate)  # a payment of yesterday, or of tomorrow, is for a person to look at
    await town.comes_to_rest(configs[0])


async def has_said(daemons: Sequence[Daemon], ahead_s: float) -> bool:
    """Whether one of them has said something by a clock that is so far ahead."""
    now = datetime.now(UTC)
    off = (datetime.fromisoformat(line["at"]) - now for daemon in daemons for line in daemon.lines[-LINES:])
    return any(abs(each.total_seconds() - ahead_s) < NEAR_S for each in off)
