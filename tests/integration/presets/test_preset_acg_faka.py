"""acg-faka by update: goods that staff deliver; and rows that the shop deletes."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.integration.presets.shops import Shop, cells, local, shop

pytestmark = pytest.mark.acceptance

CARDS, BY_HAND, SHARED = 1, 2, 3
ALIPAY, WECHAT, BALANCE, OTHER = 1, 2, 3, 4
MORE = """
ignore_channels = [3]
[shop.orders]
where = "commodity_id IN (SELECT id FROM acg_commodity WHERE delivery_way = 1 AND COALESCE(shared_id, 0) = 0)"
"""
CHANNELS = {"alipay": "shop_values = [1]", "wechat": "shop_values = [2]"}


async def order(shop: Shop, number: int, **other: object) -> int:
    values: dict[str, object] = {
        "trade_no": f"{number:018d}",
        "amount": "101.50",
        "pay_cost": "1.50",
        "commodity_id": BY_HAND,
        "card_num": 1,
        "pay_id": ALIPAY,
        "create_time": local(),
        "create_ip": "127.0.0.1",
        "create_device": 0,
        "contact": "13800000000",
        "widget": "[]",
        "sku": '{"颜色": "红"}',
    }
    return await shop.insert("acg_order", **(values | other))


async def goods(shop: Shop) -> None:
    await shop.insert("acg_commodity", name="卡密", delivery_way=0, stock=0)
    await shop.insert("acg_commodity", name="代充", delivery_way=1, stock=5)
    await shop.insert("acg_commodity", name="对接", delivery_way=1, shared_id=7)
    await shop.insert("acg_card", commodity_id=CARDS, secret="CARD-1")


async def test_it_settles_goods_that_staff_deliver_and_leaves_all_else_byte_for_byte(tmp_path: Path) -> None:
    async with shop("acg-faka", tmp_path) as made:
        await goods(made)
        keys = [await order(made, 1), await order(made, 2, pay_id=WECHAT)]
        made.paid(f"{1:018d}", 10150)
        made.paid(f"{2:018d}", 10150, "wechat")
        await order(made, 3, commodity_id=CARDS)
        await order(made, 4, commodity_id=SHARED)
        await order(made, 5, pay_id=OTHER)
        await order(made, 6, pay_id=BALANCE)
        await order(made, 7, status=1, pay_time=local(), delivery_status=1, secret="CARD-0")
        for number in (3, 4, 5, 6, 7):
            made.paid(f"{number:018d}", 10150)
        await order(made, 8)
        made.unpaid(f"{8:018d}", 10150)
        await order(made, 9)
        made.paid(f"{9:018d}", 10000)  # without the surcharge
        await order(made, 10)
        made.paid(f"{10:018d}", 10150, refunded=True)
        config = made.configured(MORE, **CHANNELS)
        before = await made.snapshot()

        code, output, log = await made.once(config)

        after = await made.snapshot()
        assert code == 0, "".join(log.raw)
        assert "settled   2" in output
        moved = cells("acg_order", keys, "status pay_time")
        assert before.changed(after) == moved
        assert after.checksum(but=moved) == before.checksum(but=moved)
        rows = [await made.row("acg_order", key) for key in keys]
        assert [(row["status"], row["delivery_status"]) for row in rows] == [(1, 0), (1, 0)], "on the list of staff"
        assert await made.cases(config) == {
            (f"{9:018d}", "amount_mismatch"),
            (f"{10:018d}", "refunded_while_pending"),
        }


async def test_an_order_that_the_shop_deleted_and_the_buyer_paid_is_a_case(tmp_path: Path) -> None:
    ages = ", ".join(f'"{age}s"' for age in range(1, 41))
    async with shop("acg-faka", tmp_path) as made:
        await goods(made)
        key = await order(made, 1, create_time=local(timedelta(0)))
        made.unpaid(f"{1:018d}", 10150)
        config = made.configured(f'{MORE}\n[ask]\nages = [{ages}]\n[find]\nevery = "1s"\n', **CHANNELS)
        daemon = await made.start(config)
        await daemon.until("lead.taken")
        asked = made.asked(f"{1:018d}")
        await asked.wait()
        await made.tables.execute("DELETE FROM acg_order WHERE id = :key", key=key)
        made.paid(f"{1:018d}", 10150)
        (line,) = await daemon.until("case.opened")
        assert (line["order_no"], line["kind"]) == (f"{1:018d}", "order_vanished")
        await daemon.stop()
