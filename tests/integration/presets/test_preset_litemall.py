"""litemall by update: as its own callback does, and past its own optimistic lock."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.integration.presets.shops import Shop, cells, local, shop

pytestmark = pytest.mark.acceptance

CREATED, CANCELLED, AUTO_CANCELLED, ADMIN_CANCELLED, PAID, SHIPPED = 101, 102, 103, 104, 201, 301
WRITTEN = "order_status pay_id pay_time update_time"
WECHAT = {"wechat": "# the only one"}


async def order(shop: Shop, number: str, **other: object) -> int:
    values: dict[str, object] = {
        "user_id": 1,
        "order_sn": number,
        "order_status": CREATED,
        "consignee": "王",
        "mobile": "13800000000",
        "address": "北京",
        "goods_price": "99.00",
        "freight_price": "0.00",
        "order_price": "99.00",
        "actual_price": "99.00",
        "add_time": local(),
        "update_time": local(),
    }
    return await shop.insert("litemall_order", **(values | other))


async def test_it_settles_what_was_paid_and_leaves_all_else_byte_for_byte(tmp_path: Path) -> None:
    async with shop("litemall", tmp_path) as made:
        keys = [await order(made, "20261123000001"), await order(made, "20261123000002", update_time=None)]
        for number in (1, 2, 5, 6, 7, 8, 9, 10):
            made.paid(f"20261123{number:06d}", 9900, "wechat")
        await order(made, "20261123000003")
        made.unpaid("20261123000003", 9900, "wechat")
        await order(made, "20261123000004")
        made.paid("20261123000004", 9899, "wechat")
        await order(made, "20261123000005", order_status=CANCELLED, end_time=local())
        await order(made, "20261123000006", order_status=AUTO_CANCELLED, end_time=local())
        await order(made, "20261123000007", order_status=ADMIN_CANCELLED, end_time=local())
        await order(made, "20261123000008", deleted=True)
        await order(made, "20261123000009")
        await order(made, "20261123000009", user_id=2)
        await order(made, "20261123000010", order_status=SHIPPED, pay_id="4" * 28, pay_time=local())
        await order(made, "20261123000011")
        made.paid("20261123000011", 9900, "wechat", refunded=True)
        config = made.configured(**WECHAT)
        before = await made.snapshot()

        code, output, log = await made.once(config)

        after = await made.snapshot()
        assert code == 0, "".join(log.raw)
        assert "settled   2" in output
        moved = cells("litemall_order", keys, WRITTEN)
        assert before.changed(after) == moved
        assert after.checksum(but=moved) == before.checksum(but=moved)
        assert {(await made.row("litemall_order", key))["order_status"] for key in keys} == {PAID}
        assert await made.cases(config) == {
            ("20261123000004", "amount_mismatch"),
            ("20261123000005", "late_payment"),
            ("20261123000006", "late_payment"),
            ("20261123000007", "late_payment"),
            ("20261123000009", "ambiguous_number"),
            ("20261123000011", "refunded_while_pending"),
        }


async def test_an_update_of_the_shops_own_that_was_under_way_misses(tmp_path: Path) -> None:
    async with shop("litemall", tmp_path) as made:
        key = await order(made, "20261123000001")
        made.paid("20261123000001", 9900, "wechat")
        read = (await made.row("litemall_order", key))["update_time"]
        assert (await made.once(made.configured(**WECHAT)))[0] == 0
        met = await made.tables.execute(
            "UPDATE litemall_order SET order_status = 103, end_time = NOW() WHERE id = :key AND update_time = :read",
            key=key, read=read,
        )  # fmt: skip
        assert met == 0, "it would have written its order back over the payment"
        row = await made.row("litemall_order", key)
        assert (row["order_status"], row["end_time"]) == (PAID, None)


async def test_reviving_as_the_shop_does_leaves_out_what_staff_cancelled(tmp_path: Path) -> None:
    async with shop("litemall", tmp_path) as made:
        revived = [
            await order(made, "20261123000001", order_status=CANCELLED),
            await order(made, "20261123000002", order_status=AUTO_CANCELLED),
        ]
        await order(made, "20261123000003", order_status=ADMIN_CANCELLED)
        old = await order(made, "20261123000004", order_status=AUTO_CANCELLED, add_time=local(timedelta(hours=9)))
        for number in (1, 2, 3):
            made.paid(f"20261123{number:06d}", 9900, "wechat")
        made.paid("20261123000004", 9900, "wechat", ago=timedelta(hours=8))
        own = '[shop.orders.states]\nclosed = [102, 103]\n[settle]\nlate_payment = "revive"\nrevive_within = "6h"\n'
        config = made.configured(own, **WECHAT)
        before = await made.snapshot()
        code, _, log = await made.once(config)
        assert code == 0, "".join(log.raw)
        assert before.changed(await made.snapshot()) == cells("litemall_order", revived, WRITTEN), f"not {old}"
        assert await made.cases(config) == {("20261123000004", "late_payment")}
