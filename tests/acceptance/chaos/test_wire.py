"""The wire to the database is slow, and cut: at any moment, in the middle of a COMMIT, or without telling anybody."""

from __future__ import annotations

import asyncio
import random
from typing import Final

import pytest
from sqlalchemy import make_url

from tests.acceptance.chaos.daemons import WITHIN_S, leading
from tests.acceptance.chaos.town import Fate, Town
from tests.integration.cutting_proxy import Cut, CuttingProxy, cutting_proxy

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

CUTS: Final = 12
DELAY_S_MAX: Final = 0.02
DELAYED: Final = 0.05
"""Of what passes, either way."""
COMMIT: Final = {"mysql": b"\x03COMMIT", "postgresql": b"COMMIT;"}
"""As the drivers say it to the server, and nothing else that they say."""


@pytest.mark.parametrize("kind", ["mysql", "postgresql"])
@pytest.mark.parametrize("town", ["server"], indirect=True)
async def test_a_wire_that_is_slow_and_cut_loses_no_order_and_moves_none_twice(
    town: Town, chance: random.Random
) -> None:
    url = make_url(town.shop.url)
    async with cutting_proxy(url.host or "", url.port or 0) as proxy:
        near, far = f":{proxy.port}/", f":{url.port}/"
        configs = [town.configure(name) for name in ("one", "two")]
        for config in configs:
            config.write_text(config.read_text().replace(far, near))
        proxy.delay_s = lambda: chance.uniform(0, DELAY_S_MAX) if chance.random() < DELAYED else 0.0
        daemons = [await town.start(config) for config in configs]
        ways = [*Cut, *chance.choices([None, Cut.BEFORE, Cut.AFTER], k=CUTS - len(Cut))]
        async with town.buyers(every_s=0.3):
            for way in ways:
                await leading(daemons)
                await asyncio.sleep(chance.uniform(0, 0.6))  # the moment is what is drawn
                await cut(town, proxy, way)
                await town.moved(await town.order(Fate.LOST))
        await town.comes_to_rest(configs[0])
    troubles = ("lead.lost", "ledger.unavailable", "shop.unavailable")
    assert sum(len(daemon.events(name)) for daemon in daemons for name in troubles) >= CUTS // 2


async def cut(town: Town, proxy: CuttingProxy, way: Cut | None) -> None:
    """Cut every connection now, or one where it commits: the shop's or the ledger's, whichever is first."""
    town.cut_short += 1
    if way is None:
        await proxy.cut_all()
        return
    proxy.arm(COMMIT[town.shop.kind], way)
    async with asyncio.timeout(WITHIN_S):
        await proxy.has_cut.wait()
