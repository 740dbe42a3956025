"""yudao by update: several attempts of one order; the other module's table and the attempts stay as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.presets.shops import Shop, cells, local, shop

pytestmark = pytest.mark.acceptance

WAITING, SUCCESS, REFUND, CLOSED = 0, 10, 20, 30
MORE = 'ignore_channels = ["wallet"]\n'
CHANNELS = {"alipay": 'shop_values = ["alipay_pc", "alipay_wap"]', "wechat": 'shop_values = ["wx_lite"]'}


async def order(shop: Shop, number: str, *attempts: str, **other: object) -> int:
    """Place an order with its attempts: each a number, or "number channel_code"."""
    values: dict[str, object] = {
        "app_id": 1,
        "merchant_order_id": number,
        "subject": "商品",
        "body": "商品",
        "notify_url": "http://127.0.0.1/notify",
        "price": 9900,
        "status": WAITING,
        "user_ip": "127.0.0.1",
        "expire_time": local(),
        "create_time": local(),
        "update_time": local(),
    }
    key = await shop.insert("pay_order", **(values | other))
    for attempt in attempts:
        no, _, code = attempt.partition(" ")
        await attempted(shop, key, no, code or "alipay_pc")
    await shop.insert("trade_order", no=f"T{number}", pay_price=9900, pay_order_id=key)
    return key


async def attempted(shop: Shop, key: int, no: str, code: str, **other: object) -> None:
    values: dict[str, object] = {
        "no": no,
        "order_id": key,
        "channel_id": 18,
        "channel_code": code,
        "status": WAITING,
        "create_time": local(),
        "update_time": local(),
    }
    await shop.insert("pay_order_extension", **(values | other))


async def test_it_settles_by_the_attempt_that_was_paid_and_leaves_all_else_byte_for_byte(tmp_path: Path) -> None:
    async with shop("yudao", tmp_path) as made:
        keys = [
            await order(made, "1", "P20261123-1"),
            await order(made, "2", "P20261123-2A", "P20261123-2B wx_lite", "P20261123-2C alipay_wap"),
            await order(made, "3", "P20261123-3A", "P20261123-3B wx_lite"),
        ]
        made.paid("P20261123-1", 9900)
        made.paid("P20261123-2B", 9900, "wechat")
        made.paid("P20261123-3A", 9900)
        made.paid("P20261123-3B", 9900, "wechat")  # the buyer paid twice
        await order(made, "4", "P20261123-4")
        made.unpaid("P20261123-4", 9900)
        await order(made, "5", "P20261123-5")
        made.paid("P20261123-5", 9901)
        await order(made, "6", "P20261123-6", status=CLOSED)
        made.paid("P20261123-6", 9900)
        await order(made, "7", "P20261123-7")
        made.paid("P20261123-7", 9900, refunded=True)
        await order(made, "8", "P20261123-8", deleted=True)
        made.paid("P20261123-8", 9900)
        deleted = await order(made, "9")
        await attempted(made, deleted, "P20261123-9", "alipay_pc", deleted=True)
        made.paid("P20261123-9", 9900)
        await order(made, "10", "P20261123-10 wallet", "P20261123-10B wx_native")
        made.paid("P20261123-10", 9900)
        made.paid("P20261123-10B", 9900, "wechat")
        await order(made, "11")
        await order(
            made,
            "12",
            "P20261123-12",
            status=SUCCESS,
            no="P20261123-12",
            channel_order_no="4" * 28,
            success_time=local(),
        )
        made.paid("P20261123-12", 9900)
        config = made.configured(MORE, **CHANNELS)
        before = await made.snapshot()

        code, output, log = await made.once(config)

        after = await made.snapshot()
        assert code == 0, "".join(log.raw)
        assert "settled   3" in output
        moved = cells("pay_order", keys, "status channel_order_no success_time update_time no")
        assert before.changed(after) == moved
        assert after.checksum(but=moved) == before.checksum(but=moved)
        rows = [await made.row("pay_order", key) for key in keys]
        assert [row["status"] for row in rows] == [SUCCESS] * 3
        assert [row["no"] for row in rows][:2] == ["P20261123-1", "P20261123-2B"]
        assert rows[2]["no"] in {"P20261123-3A", "P20261123-3B"}
        assert await made.cases(config) == {
            ("3", "duplicate_payment"),
            ("5", "amount_mismatch"),
            ("6", "late_payment"),
            ("7", "refunded_while_pending"),
        }
        unpaid = await made.tables.rows("SELECT COUNT(*) FROM trade_order WHERE pay_status = b'0' AND status = 0")
        assert unpaid == [(12,)], "only the module's own code moves that table: the preset's header says so"
