"""An order that stays in a status for too long, seen by the running daemon."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.acceptance.world import PAID, SHANGHAI, World

pytestmark = pytest.mark.acceptance

DELIVERED = 2
LIMITS = '[processing_limits]\n"1" = "10m"\n'


def deliver(world: World, order_no: str, status: int = DELIVERED) -> None:
    world.hand.execute(
        "UPDATE orders SET status = :status WHERE order_no = :order_no", status=status, order_no=order_no
    )


def paid(world: World, order_no: str, ago: timedelta) -> None:
    """Place an order that the shop's own callback has called paid."""
    world.order(order_no, status=PAID, age=ago + timedelta(minutes=1))
    shows = (datetime.now(UTC) - ago).astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")
    world.hand.execute("UPDATE orders SET paid_at = :at WHERE order_no = :order_no", at=shows, order_no=order_no)
    world.pay(order_no, ago=ago)


async def test_an_order_that_is_paid_and_not_delivered_is_a_case_until_it_moves_on(world: World) -> None:
    paid(world, "S1", timedelta(minutes=30))
    paid(world, "F1", timedelta(minutes=1))
    before = world.rows()
    config = world.configuration(extra=LIMITS, mode="observe")
    daemon = await world.start(config)
    (opened,) = await daemon.until("case.opened")
    assert (opened["kind"], opened["order_no"]) == ("stalled", "S1")
    assert "in status 1 for 30 m by its paid time; processing_limits allows 10 m" in opened["why"]
    assert world.rows() == before

    _, told = await world.command(config, "cases", "show", str(opened["case_id"]))
    assert "moves on from 1" in told
    assert "stock, queues and workers" in told
    (status,) = (await world.json(config, "status"))["processing_limits"]
    assert (status["status"], status["limit_s"], status["stalled"], status["crowded"]) == ("1", 600, 1, False)
    _, told = await world.command(config, "status")
    assert "limits    status 1: 1 for longer than 10m, the oldest since" in told

    assert await daemon.stop() == 0
    daemon = await world.start(config)
    await daemon.until("lead.taken")
    deliver(world, "S1")
    (ended,) = await daemon.until("case.ended")
    assert (ended["order_no"], ended["ending"]) == ("S1", "stalled: it moved on to 2")
    assert daemon.events("case.opened") == []
    assert await world.json(config, "cases", "list") == []
    assert await daemon.stop() == 0
    code, told = await world.command(config, "ledger", "verify")
    assert (code, told.splitlines()[-1]) == (0, "sound")


async def test_a_limit_on_a_status_that_no_order_has_is_a_fault_with_its_remedy(world: World) -> None:
    config = world.configuration(extra='[processing_limits]\n"11" = "10m"\n"9" = "1h"\n')
    code, told = await world.command(config, "config", "check")
    assert code == 2, told
    assert "At processing_limits.11: is no value of shop.orders.states; write one of 0, 1, 2, 9" in told
    config = world.configuration(extra='[processing_limits]\n"9" = "1h"\n')
    _, told = await world.command(config, "doctor")
    assert "processing_limits.9 is a status in which orders end" in told
