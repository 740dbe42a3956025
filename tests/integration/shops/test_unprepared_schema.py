"""A schema that nobody prepared for, mapped by a configuration file alone: everything awkward at once."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from reconciler.domain.money import Money
from reconciler.domain.order import Order, OrderKey, OrderState
from reconciler.gateways import SETTINGS
from reconciler.ports import Move, Moved, NotMoved
from reconciler.settings import parse
from reconciler.shops.sql import open_shop
from reconciler.testing.clock import ManualClock
from reconciler.wiring import shop_mapping
from tests.integration.databases import KINDS, Database
from tests.integration.shops.made import CREATED, NOW, PAID_AT, TRANSACTION, walked

UNIX = int(CREATED.timestamp())
CONFIGURATION = """
[shop]
url = "{url}"

[shop.orders]
table = "order"
key = "key"
order_no = "单号"
amount = "金额"
amount_unit = "fen"
status = "已付"
created_at = "time"
paid_at = "paid time"
transaction_id = "group"
touch = ["更新"]
where = "deleted = 0"

[shop.orders.states]
pending = [false]
paid = [true]
settled_as = true

[shop.orders.set]
"select" = "{{out_trade_no}}"

[shop.attempts]
table = "支付"
key = "key"
order = "order"
out_trade_no = "no"
created_at = "time"
channel = "from"

[channels.alipay-main]
gateway = "alipay"
shop_values = ["支付宝"]
app_id = "2021000000000001"
private_key = "env:OURS"
alipay_public_key = "env:THEIRS"
"""


@pytest.fixture
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    key = generate_private_key(65537, 2048)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = generate_private_key(65537, 2048).public_key()
    monkeypatch.setenv("OURS", private.decode())
    monkeypatch.setenv("THEIRS", public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


async def make(base: Database) -> None:
    q = base.quoted
    orders = f"{q('key')} VARCHAR(20) PRIMARY KEY, {q('单号')} VARCHAR(32), {q('金额')} BIGINT, {q('已付')} BOOLEAN"
    orders += f", {q('time')} INT, {q('paid time')} INT DEFAULT 0, {q('group')} VARCHAR(64), {q('更新')} BIGINT"
    orders += f", {q('select')} VARCHAR(64), deleted SMALLINT DEFAULT 0"
    tries = f"{q('key')} BIGINT PRIMARY KEY, {q('order')} BIGINT, {q('no')} VARCHAR(64), {q('time')} INT"
    columns = ", ".join(map(q, ("key", "单号", "金额", "已付", "time", "deleted")))
    row = f"('{{0}}', '单{{0}}', 9901, FALSE, {UNIX}, {{1}})"
    await base.script(
        f"CREATE TABLE {q('order')} ({orders})",
        f"CREATE TABLE {q('支付')} ({tries}, {q('from')} VARCHAR(16))",
        f"INSERT INTO {q('order')} ({columns}) VALUES {row.format(101, 0)}, {row.format(102, 1)}",  # noqa: S608 # a test's own words
        f"INSERT INTO {q('支付')} VALUES (1, 101, 'P1', {UNIX}, '支付宝'), (2, 101, 'P2', {UNIX}, '支付宝'),"  # noqa: S608 # a test's own words
        f" (3, 101, 'P3', {UNIX}, '现金'), (4, 102, 'P4', {UNIX}, '支付宝')",
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("_keys")
async def test_it_is_found_settled_and_otherwise_left_alone(base: Database, tmp_path: Path) -> None:
    await make(base)
    settings = parse(CONFIGURATION.format(url=base.url), SETTINGS)
    assert settings.shop.time_zone == ZoneInfo("Asia/Shanghai")
    shop = await open_shop(shop_mapping(settings, ManualClock(NOW)))
    try:
        found, *again = await walked(shop)  # by its own place, and by those of its attempts
        assert {each.row.key for each in again} <= {found.row.key}
        assert [attempt.out_trade_no for attempt in found.attempts] == ["P1", "P2"]
        assert found.strangers == ("现金",)
        order = found.row
        assert isinstance(order, Order)
        assert (order.order_no, order.amount, order.created_at) == ("单101", Money(9901), CREATED)
        held = await shop.holders(["P2", "P4"])
        assert {number: [row.key for row in rows] for number, rows in held.items()} == {"P2": ["101"]}
        move = Move("i", (order,), found.attempts[1].channel, "P2", TRANSACTION, order.amount, PAID_AT)
        assert await shop.take_lock()
        assert await shop.settle(move) == Moved()
        assert isinstance(await shop.settle(move), NotMoved)
        settled = (await shop.read([OrderKey("101")]))[OrderKey("101")]
        assert isinstance(settled, Order)
        assert (settled.state, settled.transaction_id) == (OrderState.PAID, TRANSACTION)
        assert settled.paid_at == PAID_AT.replace(microsecond=0)
    finally:
        await shop.release()
    q = base.quoted
    columns = ", ".join(map(q, ("金额", "time", "更新", "select", "deleted")))
    rows = await base.rows(f"SELECT {columns} FROM {q('order')} ORDER BY {q('key')}")  # noqa: S608 # a test's own words
    assert rows == [(9901, UNIX, int(NOW.timestamp()), "P2", 0), (9901, UNIX, None, None, 1)]
