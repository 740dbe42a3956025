"""dujiaoka by update: goods that staff deliver, and nothing of what the shop's own code delivers."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.integration.presets.shops import AGE, Shop, cells, local, shop

pytestmark = pytest.mark.acceptance

ALIPAY, WECHAT, YIPAY, PAYPAL = 1, 2, 3, 4
AUTOMATIC, MANUAL = 1, 2
WAIT, PROCESS, COMPLETED, EXPIRED = 1, 2, 4, -1
MORE = """
ignore_channels = [3]
[shop.orders]
where = "deleted_at IS NULL AND type = 2"
[ask]
channels = "all"
"""
CHANNELS = {"alipay": "shop_values = [1]", "wechat": "shop_values = [2]"}


async def order(shop: Shop, number: str, **other: object) -> int:
    values: dict[str, object] = {
        "order_sn": number,
        "goods_id": 1,
        "title": "会员 月卡",
        "type": MANUAL,
        "actual_price": "99.00",
        "total_price": "100.00",
        "email": "buyer@shop.example",
        "info": "QQ: 10001",
        "pay_id": ALIPAY,
        "buy_ip": "127.0.0.1",
        "created_at": local(),
        "updated_at": local(),
    }
    return await shop.insert("orders", **(values | other))


async def populate(shop: Shop) -> list[int]:
    """Place an order of each kind; give the keys of those to be settled."""
    await shop.insert("goods", gd_name="会员", in_stock=9)
    await shop.insert("carmis", goods_id=1, carmi="CARD-1")
    settled = [
        await order(shop, "MANUALALIPAY0001"),
        await order(shop, "MANUALWECHAT0001", pay_id=WECHAT),
        await order(shop, "STALECHANNEL0001", pay_id=WECHAT),
        await order(shop, "PAIDBYBOTH000001"),
        await order(shop, "NEVERRECORDED001", pay_id=None),
        await order(shop, "WENTONTOPAYPAL01", pay_id=PAYPAL),
    ]
    for number in ("MANUALALIPAY0001", "STALECHANNEL0001", "PAIDBYBOTH000001", "NEVERRECORDED001", "WENTONTOPAYPAL01"):
        shop.paid(number, 9900)
    shop.paid("MANUALWECHAT0001", 9900, "wechat")
    shop.paid("PAIDBYBOTH000001", 9900, "wechat")
    await order(shop, "AUTOMATIC0000001", type=AUTOMATIC, info="")
    shop.paid("AUTOMATIC0000001", 9900)
    await order(shop, "UNPAID0000000001")
    shop.unpaid("UNPAID0000000001", 9900)
    await order(shop, "WRONGAMOUNT00001")
    shop.paid("WRONGAMOUNT00001", 1)
    await order(shop, "EXPIREDPAID00001", status=EXPIRED)
    shop.paid("EXPIREDPAID00001", 9900)
    await order(shop, "REFUNDEDMEANTIME")
    shop.paid("REFUNDEDMEANTIME", 9900, refunded=True)
    await order(shop, "SOFTDELETED00001", deleted_at=local())
    shop.paid("SOFTDELETED00001", 9900)
    await order(shop, "OTHERPAYPAL00001", pay_id=PAYPAL)
    await order(shop, "IGNOREDYIPAY0001", pay_id=YIPAY)
    shop.paid("IGNOREDYIPAY0001", 9900)
    await order(shop, "DELIVERED0000001", status=COMPLETED, trade_no="2026112322001", info="CARD-0")
    shop.paid("DELIVERED0000001", 9900)
    return settled


async def test_it_settles_manual_goods_and_leaves_all_else_byte_for_byte(tmp_path: Path) -> None:
    async with shop("dujiaoka", tmp_path) as made:
        keys = await populate(made)
        config = made.configured(MORE, **CHANNELS)
        before = await made.snapshot()

        code, output, log = await made.once(config)

        after = await made.snapshot()
        assert code == 0, "".join(log.raw)
        assert f"settled   {len(keys)}" in output
        moved = cells("orders", keys, "status trade_no updated_at")
        assert before.changed(after) == moved
        assert after.checksum(but=moved) == before.checksum(but=moved)
        rows = [await made.row("orders", key) for key in keys]
        assert {row["status"] for row in rows} == {PROCESS}
        assert all(len(row["trade_no"]) == 28 for row in rows)
        assert await made.cases(config) == {
            ("WRONGAMOUNT00001", "amount_mismatch"),
            ("EXPIREDPAID00001", "late_payment"),
            ("REFUNDEDMEANTIME", "refunded_while_pending"),
            ("PAIDBYBOTH000001", "duplicate_payment"),
        }
        again = await made.once(config)
        assert again[0] == 0
        assert after.changed(await made.snapshot()) == set()


async def test_by_the_recorded_channel_alone_the_stale_one_is_missed(tmp_path: Path) -> None:
    async with shop("dujiaoka", tmp_path) as made:
        await order(made, "STALECHANNEL0001", pay_id=WECHAT)
        made.paid("STALECHANNEL0001", 9900)
        config = made.configured(MORE.replace('channels = "all"', 'channels = "recorded"'), **CHANNELS)
        before = await made.snapshot()
        assert (await made.once(config))[0] == 0
        assert before.changed(await made.snapshot()) == set(), "this is why the preset says ask.channels = all"


async def test_observing_with_the_preset_alone_names_each_stuck_order_and_writes_nothing(tmp_path: Path) -> None:
    async with shop("dujiaoka", tmp_path) as made:
        await order(made, "AUTOMATIC0000001", type=AUTOMATIC)
        made.paid("AUTOMATIC0000001", 9900)
        config = made.configured('[ask]\nchannels = "all"\n', mode="observe", **CHANNELS)
        before = await made.snapshot()
        code, _, log = await made.once(config)
        assert code == 0
        assert [line["order_no"] for line in log.events("order.would_settle")] == ["AUTOMATIC0000001"]
        assert before.changed(await made.snapshot()) == set()


async def test_where_the_databases_zone_is_not_the_shops_nothing_is_settled_until_it_is_named(tmp_path: Path) -> None:
    """This is what the preset's header warns of: TIMESTAMP columns, written by the shop's clock into a UTC session."""
    async with shop("dujiaoka", tmp_path) as made:
        await made.tables.script("SET time_zone = '+00:00'")
        key = await order(made, "MANUALALIPAY0001")
        made.paid("MANUALALIPAY0001", 9900)
        config = made.configured(MORE, **CHANNELS)
        before = await made.snapshot()
        assert (await made.once(config))[0] == 0
        assert before.changed(await made.snapshot()) == set(), "the order seems to be of the future"

        config = made.configured(f'session_time_zone = "UTC"\n{MORE}', **CHANNELS)
        (made.directory / "ledger.db").unlink()
        code, output, log = await made.once(config)
        assert code == 0, "".join(log.raw)
        assert "settled   1" in output
        assert before.changed(await made.snapshot()) == cells("orders", [key], "status trade_no updated_at")
        row = await made.row("orders", key)
        assert row["updated_at"] - row["created_at"] >= AGE, "written as the shop writes its times"
        assert row["updated_at"] - row["created_at"] < AGE + timedelta(hours=1)
