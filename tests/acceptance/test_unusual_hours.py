"""An hour that is not as the last two weeks were, said by the running daemon."""

from __future__ import annotations

import pytest

from tests.acceptance.past_hours import remember
from tests.acceptance.world import World

pytestmark = pytest.mark.acceptance

ORDERS = 25


async def test_callbacks_that_are_all_lost_are_said_with_the_figures(world: World) -> None:
    for at in range(ORDERS):
        world.order(f"A{at}")
        world.pay(f"A{at}")
    config = world.configuration()
    code, told, _ = await world.once(config)
    assert code == 0, told
    assert len(world.moves()) == ORDERS
    remember(world.directory / "a-ledger.db", "alipay-main")
    daemon = await world.start(config)
    (unusual,) = await daemon.until("channel.unusual")
    assert (unusual["channel"], unusual["what"]) == ("alipay-main", "callbacks lost")
    assert unusual["why"].startswith(f"callbacks lost: {ORDERS} of {ORDERS} in the last hour, usually 0 %, at most 0 %")
    assert await daemon.stop() == 0
