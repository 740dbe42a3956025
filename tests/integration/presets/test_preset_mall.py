"""mall by update: the order moves, the stock does not; numbers without an index or a promise to be unique."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.presets.shops import Shop, cells, local, shop

pytestmark = pytest.mark.acceptance

WAITING, TO_SHIP, SHIPPED, CLOSED, INVALID = 0, 1, 2, 4, 5


async def order(shop: Shop, number: str | None, **other: object) -> int:
    values: dict[str, object] = {
        "member_id": 1,
        "order_sn": number,
        "create_time": local(),
        "total_amount": "120.00",
        "pay_amount": "99.00",
        "pay_type": 0,
        "status": WAITING,
        "note": "请尽快发货",
    }
    return await shop.insert("oms_order", **(values | other))


async def test_it_settles_what_was_paid_and_leaves_all_else_byte_for_byte(tmp_path: Path) -> None:
    async with shop("mall", tmp_path) as made:
        await made.insert("pms_sku_stock", product_id=1, stock=10, lock_stock=1)
        keys = [await order(made, "202611230100000001"), await order(made, "202611230100000002")]
        for number in range(1, 11):
            made.paid(f"20261123010000{number:04d}", 9900)
        made.unpaid("202611230100000003", 9900)
        await order(made, "202611230100000003")
        await order(made, "202611230100000004", pay_amount="99.01")
        await order(made, "202611230100000005", status=CLOSED)
        await order(made, "202611230100000006", delete_status=1)
        made.paid("202611230100000007", 9900, refunded=True)
        await order(made, "202611230100000007")
        await order(made, "202611230100000008")
        await order(made, "202611230100000008", member_id=2)
        await order(made, "202611230100000009", status=SHIPPED, payment_time=local(), pay_type=1)
        await order(made, "202611230100000010", status=INVALID)
        nameless = await order(made, None)
        config = made.configured("[shop.orders.set]\npay_type = 1\n", alipay="# the only one")
        before = await made.snapshot()

        code, output, log = await made.once(config)

        after = await made.snapshot()
        assert code == 0, "".join(log.raw)
        assert "settled   2" in output
        moved = cells("oms_order", keys, "status payment_time modify_time pay_type")
        assert before.changed(after) == moved
        assert after.checksum(but=moved) == before.checksum(but=moved), "stock as well: the preset's header says so"
        assert {(await made.row("oms_order", key))["status"] for key in keys} == {TO_SHIP}
        assert await made.cases(config) == {
            ("202611230100000004", "amount_mismatch"),
            ("202611230100000005", "late_payment"),
            ("202611230100000007", "refunded_while_pending"),
            ("202611230100000008", "ambiguous_number"),
            ("202611230100000010", "late_payment"),
            (str(nameless), "unreadable_order"),
        }


async def test_with_two_channels_both_are_asked(tmp_path: Path) -> None:
    async with shop("mall", tmp_path) as made:
        keys = [await order(made, "202611230100000001"), await order(made, "202611230100000002")]
        made.paid("202611230100000001", 9900)
        made.paid("202611230100000002", 9900, "wechat")
        config = made.configured('[ask]\nchannels = "all"\n', alipay="# one", wechat="# two")
        before = await made.snapshot()
        assert (await made.once(config))[0] == 0
        assert before.changed(await made.snapshot()) == cells("oms_order", keys, "status payment_time modify_time")


async def test_where_the_channel_is_recorded_others_are_left_alone(tmp_path: Path) -> None:
    async with shop("mall", tmp_path) as made:
        ours = await order(made, "202611230100000001", pay_type=1)
        await order(made, "202611230100000002", pay_type=2)
        await order(made, "202611230100000003", pay_type=0)
        for number in ("202611230100000001", "202611230100000002", "202611230100000003"):
            made.paid(number, 9900)
        config = made.configured('[shop.orders]\nchannel = "pay_type"\n', alipay="shop_values = [1]")
        before = await made.snapshot()
        assert (await made.once(config))[0] == 0
        assert before.changed(await made.snapshot()) == cells("oms_order", [ours], "status payment_time modify_time")
