"""What nobody paid by its last age is closed where it could still be paid; the real process, both gateways."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.sandbox.trade import GatewayKind, Trade
from tests.acceptance.world import CLOSED, PAID, PENDING, World, moved_once, until

pytestmark = pytest.mark.acceptance

CLOSES = """
[find]
every = "200ms"
[ask]
ages = ["1s", "2s"]
late_from = "1s"
[settle]
grace = "10ms"
close = true
close_at_gateway = true
"""


def unpaid(world: World, order_no: str, channel: str) -> Trade:
    """Place an order whose payment page was opened, and left."""
    world.order(order_no, channel=channel)
    opened = datetime.now(UTC) - timedelta(minutes=5)
    trade = Trade(GatewayKind(channel), order_no, 9900, opened_at=opened)
    world.book.put(trade)
    return trade


async def test_unpaid_trades_are_closed_asked_about_once_more_and_then_closed_in_the_shop(world: World) -> None:
    for channel in ("alipay", "wechat"):
        unpaid(world, f"{channel}-unpaid", channel)
        world.order(f"{channel}-never-opened", channel=channel)
    daemon = await world.start(world.configuration(extra=CLOSES))
    closed = await daemon.until("order.closed", 2)
    await daemon.stop()

    numbers = {"alipay-unpaid", "wechat-unpaid"}
    assert {line["order_no"] for line in closed} == numbers
    assert {line["order_no"] for line in daemon.events("order.closed_at_gateway")} == numbers
    for channel in ("alipay", "wechat"):
        trade = world.book.get(GatewayKind(channel), f"{channel}-unpaid")
        assert trade is not None
        assert trade.closed_at is not None
        assert world.rows()[f"{channel}-unpaid"][0] == CLOSED
        assert world.rows()[f"{channel}-never-opened"][0] == PENDING
    assert world.book.closes_total == 2
    code, story = await world.command(world.configuration(extra=CLOSES), "explain", "alipay-never-opened")
    assert code == 0
    assert "cannot be closed" in story


async def test_a_payment_that_comes_while_we_close_is_settled(world: World) -> None:
    for channel in ("alipay", "wechat"):
        unpaid(world, f"{channel}-late", channel)

    def pay_right_after(number: str) -> None:
        trade = next(trade for trade in world.book.trades() if trade.out_trade_no == number)
        if trade.paid_at is None:
            paid = replace(trade, paid_at=datetime.now(UTC))
            asyncio.get_running_loop().call_soon(lambda: world.book.put(paid))

    world.book.on_ask = pay_right_after
    daemon = await world.start(world.configuration(extra=CLOSES))
    settled = await daemon.until("order.settled", 2)
    await daemon.stop()

    assert {line["order_no"] for line in settled} == {"alipay-late", "wechat-late"}
    assert world.book.closes_total == 2
    assert daemon.events("order.closed_at_gateway") == []
    assert {row[0] for row in world.rows().values()} == {PAID}
    assert moved_once(world.moves())


async def test_in_mode_observe_nothing_is_closed_anywhere(world: World) -> None:
    unpaid(world, "A-unpaid", "alipay")
    daemon = await world.start(world.configuration(extra=CLOSES, mode="observe"))
    await until(lambda: world.book.asks_total)
    await daemon.stop()  # what is in flight is finished
    assert world.book.closes_total == 0
    assert world.rows()["A-unpaid"][0] == PENDING
