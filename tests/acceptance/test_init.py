"""`reconciler init`: from a schema to a configuration that its own check finds sound but for the credentials."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import sqlite3
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from reconciler.gateways import SETTINGS
from reconciler.settings import ConfigurationError, parse
from tests.acceptance.cradle import cradle
from tests.integration.databases import KINDS, Database, database

pytestmark = pytest.mark.acceptance

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "tests" / "integration" / "presets" / "schemas"
MOMENT = {"sqlite": "DATETIME", "mysql": "DATETIME", "postgresql": "TIMESTAMP"}


async def init(*words: str) -> tuple[int, str]:
    async with cradle() as born, asyncio.timeout(120):
        process = await born.start("init", *words)
        output, errors = await asyncio.gather(process.stdout.read(), process.stderr.read())
        return await process.wait(), (output + errors).decode()


async def begun(url: str, path: Path) -> dict[str, Any]:
    """Write a configuration, and see that only its credentials are missing."""
    code, told = await init("--url", url, "--config", str(path))
    assert code == 0, told
    assert "Traceback" not in told
    text = await asyncio.to_thread(path.read_text)
    with pytest.raises(ConfigurationError) as caught:
        parse(text, SETTINGS)
    assert all("there is no /" in problem.text for problem in caught.value.problems), (caught.value, text)
    read = tomllib.loads(text)
    assert read["mode"] == "observe"
    return read


def example() -> str:
    """Give the shop of the how-to page."""
    page = (ROOT / "docs" / "how-to" / "map-your-shop.md").read_text()
    found = re.search(r"```sql\n(CREATE TABLE shop_order .*?)```", page, re.DOTALL)
    assert found
    return found[1]


@pytest.mark.parametrize("name", ["acg-faka", "dujiaoka", "litemall", "mall", "yudao"])
async def test_a_known_shop_is_recognised(name: str, tmp_path: Path) -> None:
    async with database("mysql", tmp_path) as base:
        schema = (SCHEMAS / f"{name}.sql").read_text()
        await base.script(*(each for each in schema.split(";\n") if each.strip()))
        read = await begun(base.url, tmp_path / "reconciler.toml")
    assert read["shop"]["preset"] == name
    assert "orders" not in read["shop"], "the preset says it all"
    expected = {"wechat-main"} if name == "litemall" else {"alipay-main", "wechat-main"}
    assert read["channels"].keys() == expected


async def test_a_known_shop_with_another_prefix_is_recognised(tmp_path: Path) -> None:
    async with database("mysql", tmp_path) as base:
        schema = (SCHEMAS / "acg-faka.sql").read_text().replace("acg_", "faka_")
        await base.script(*(each for each in schema.split(";\n") if each.strip()))
        await base.script(
            "INSERT INTO faka_pay (id, name, code, handle) VALUES (1, '支付宝当面付', 'f2f', 'Alipay'),"
            " (2, '微信', 'native', 'WxPay'), (3, '余额', 'balance', 'System')",
            *(
                "INSERT INTO faka_order (trade_no, amount, commodity_id, card_num, pay_id, create_time, create_ip,"  # noqa: S608 # a test's own words
                f" create_device) VALUES ('20261123{way}', 9.9, 1, 1, {way}, NOW(), '127.0.0.1', 0)"
                for way in (1, 2, 3)
            ),
        )
        read = await begun(base.url, tmp_path / "reconciler.toml")
    assert read["shop"]["preset"] == "acg-faka"
    assert read["shop"]["orders"] == {"table": "faka_order"}
    assert read["channels"]["alipay-main"]["shop_values"] == [1], "by the shop's own table of ways to pay"
    assert read["channels"]["wechat-main"]["shop_values"] == [2]
    assert "ask" not in read


async def test_the_shop_of_the_how_to_page_is_guessed_as_the_page_maps_it(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with contextlib.closing(sqlite3.connect(path)) as shop, shop:
        shop.executescript(example())
        for number in range(1, 61):
            state = {0: 50, 1: 10}.get(number % 6, 20 + 10 * (number % 3))
            paid = number % 6 > 1
            shop.execute(
                "INSERT INTO shop_order (sn, pay_sn, total_fen, pay_type, state, trade_no, paid_time, add_time)"
                " VALUES (?, ?, 9900, ?, ?, ?, ?, 1795449600)",
                (f"S{number}", f"P{number}", number % 2 + 1, state, "2026" if paid else "", 1795449600 if paid else 0),
            )
    before = path.read_bytes()
    read = await begun(f"sqlite:///{path}", tmp_path / "reconciler.toml")
    orders = read["shop"]["orders"]
    states = orders.pop("states")
    assert orders == {
        "table": "shop_order",
        "key": "id",
        "order_no": "sn",
        "out_trade_no": "pay_sn",
        "amount": "total_fen",
        "amount_unit": "fen",
        "status": "state",
        "created_at": "add_time",
        "channel": "pay_type",
        "transaction_id": "trade_no",
        "paid_at": "paid_time",
        "touch": ["update_time"],
        "where": "is_deleted = 0",
    }
    assert states == {"pending": [10], "paid": [20, 30, 40], "closed": [50], "settled_as": 20}
    assert read["ask"]["channels"] == "all", "1 and 2 say nothing of whose they are"
    assert path.read_bytes() == before
    assert not [each for each in tmp_path.iterdir() if each.name not in {"shop.db", "reconciler.toml"}]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_shop_in_chinese_is_guessed_by_its_words(kind: str, tmp_path: Path) -> None:
    async with database(kind, tmp_path) as base:
        await chinese(base)
        read = await begun(base.url, tmp_path / "reconciler.toml")
    orders = read["shop"]["orders"]
    states = orders.pop("states")
    assert orders == {
        "table": "订单",
        "key": "id",
        "order_no": "订单号",
        "out_trade_no": "商户订单号",
        "amount": "实付金额",
        "amount_unit": "yuan",
        "status": "状态",
        "created_at": "下单时间",
        "channel": "支付方式",
        "transaction_id": "交易号",
        "paid_at": "支付时间",
        "touch": ["更新时间"],
    }
    assert states == {"pending": ["待付款"], "paid": ["已支付"], "closed": ["已取消"], "settled_as": "已支付"}
    assert read["channels"]["alipay-main"]["shop_values"] == ["支付宝"]
    assert read["channels"]["wechat-main"]["shop_values"] == ["微信支付"]


async def chinese(base: Database) -> None:
    q, moment = base.quoted, MOMENT[base.kind]
    columns = {
        "id": "BIGINT PRIMARY KEY",
        "订单号": "VARCHAR(32)",
        "商户订单号": "VARCHAR(32)",
        "实付金额": "DECIMAL(10,2)",
        "状态": "VARCHAR(16)",
        "支付方式": "VARCHAR(16)",
        "交易号": "VARCHAR(64)",
        "下单时间": moment,
        "支付时间": moment,
        "更新时间": moment,
    }
    await base.script(
        f"CREATE TABLE {q('订单')} ({', '.join(f'{q(name)} {type_}' for name, type_ in columns.items())})",
        f"CREATE TABLE {q('订单明细')} (id BIGINT PRIMARY KEY, {q('订单号')} VARCHAR(32))",
    )
    for number, (state, way) in enumerate((("待付款", "支付宝"), ("已支付", "微信支付"), ("已取消", "支付宝")), 1):
        names = ", ".join(map(q, ("id", "订单号", "商户订单号", "实付金额", "状态", "支付方式")))
        await base.script(
            f"INSERT INTO {q('订单')} ({names}) VALUES ({number}, 'D{number}', 'S{number}', 9.90, '{state}', '{way}')"  # noqa: S608 # a test's own words
        )


async def test_states_are_told_by_the_comment_of_their_column(tmp_path: Path) -> None:
    async with database("mysql", tmp_path) as base:
        await base.script(
            "CREATE TABLE wx_order (id INT AUTO_INCREMENT PRIMARY KEY, order_no VARCHAR(32) UNIQUE, pay_amount BIGINT,"
            " status INT COMMENT '订单状态：0->待付款；1->待发货；2->已发货；3->已完成；4->已关闭；5->已退款',"
            " create_time DATETIME)"
        )
        read = await begun(base.url, tmp_path / "reconciler.toml")
    states = read["shop"]["orders"]["states"]
    assert states == {"pending": [0], "paid": [1, 2, 3], "closed": [4], "refunded": [5], "settled_as": 1}


async def test_what_nobody_has_seen_of_an_enumeration_is_left_to_who_knows_it(tmp_path: Path) -> None:
    async with database("mysql", tmp_path) as base:
        await base.script(
            "CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY, order_no VARCHAR(32) UNIQUE, amount DECIMAL(10,2),"
            " status ENUM('unpaid', 'alpha', 'beta'), created_at DATETIME)"
        )
        path = tmp_path / "reconciler.toml"
        code, told = await init("--url", base.url, "--config", str(path))
    assert code == 0, told
    text = path.read_text()
    assert tomllib.loads(text)["shop"]["orders"]["states"] == {"pending": ["unpaid"]}
    assert "# TO DO: no order was seen in such a state, and no value's name says which it is (alpha, beta): ask" in text
    assert "to do: At shop.orders.states.paid: this key is missing" in told


WORDS = ("new", "pick", "sent", "done", "back")


def with_states(path: Path, *states: str) -> None:
    """Make a shop whose states are words, all but the first with a transaction; attempts have a table of their own."""
    with contextlib.closing(sqlite3.connect(path)) as shop, shop:
        shop.execute(
            "CREATE TABLE sales_order (id INTEGER PRIMARY KEY, order_no VARCHAR(32) UNIQUE, amount DECIMAL(10,2),"
            " stage VARCHAR(8), status VARCHAR(8), transaction_id VARCHAR(64), created_at DATETIME)"
        )
        shop.execute(
            "CREATE TABLE payment_try (id INTEGER PRIMARY KEY, order_id INT, pay_no VARCHAR(32), channel VARCHAR(8))"
        )
        shop.execute("CREATE TABLE payment_log (id INTEGER PRIMARY KEY, order_id INT, pay_no VARCHAR(32))")
        for number, state in enumerate(states):
            shop.execute(
                "INSERT INTO sales_order (order_no, amount, status, transaction_id, created_at)"
                " VALUES (?, 9.9, ?, ?, '2026-11-23 12:00:00')",
                (f"N{number}", state, f"2026{number}" if number else None),
            )


async def test_what_a_confirmed_order_becomes_is_the_state_that_is_called_paid(tmp_path: Path) -> None:
    with_states(tmp_path / "shop.db", *WORDS, "paid")
    read = await begun(f"sqlite:///{tmp_path}/shop.db", tmp_path / "reconciler.toml")
    assert read["shop"]["orders"]["states"] == {
        "pending": ["new"],
        "paid": ["done", "paid", "pick", "sent"],
        "refunded": ["back"],
        "settled_as": "paid",
    }


async def test_what_cannot_be_told_is_left_out_and_so_the_check_stops_there(tmp_path: Path) -> None:
    with_states(tmp_path / "shop.db", *WORDS)
    path = tmp_path / "reconciler.toml"
    code, told = await init("--url", f"sqlite:///{tmp_path}/shop.db", "--config", str(path))
    assert code == 0, told
    text = path.read_text()
    assert "# TO DO: one of done, pick, sent, and no name says which: what does your callback's code set?" in text
    assert "settled_as" not in tomllib.loads(text)["shop"]["orders"]["states"]
    assert "to do: At shop.orders.states.settled_as: this key is missing" in told


async def test_a_second_table_that_looks_like_attempts_is_shown_and_left_to_a_person(tmp_path: Path) -> None:
    with_states(tmp_path / "shop.db", *WORDS, "paid")
    path = tmp_path / "reconciler.toml"
    code, told = await init("--url", f"sqlite:///{tmp_path}/shop.db", "--config", str(path))
    assert (code, "payment_try looks like attempts: is pay_no what the gateway knows?" in told) == (0, True), told
    text = path.read_text()
    assert "attempts" not in tomllib.loads(text)["shop"]
    shown = text[text.index("#[shop.attempts]") :].split("\n\n")[0].replace("#", "")
    assert tomllib.loads(shown)["shop"]["attempts"] == {
        "table": "payment_try",
        "key": "id",
        "order": "order_id",
        "out_trade_no": "pay_no",
        "channel": "channel",
    }


async def test_the_file_is_its_owners_alone_and_never_overwritten_unasked(tmp_path: Path) -> None:
    shop, path = tmp_path / "shop.db", tmp_path / "reconciler.toml"
    with contextlib.closing(sqlite3.connect(shop)) as made:
        made.executescript(example())
    await begun(f"sqlite:///{shop}", path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    guesses = [line for line in text.splitlines() if line.startswith("# guess: ")]
    assert len(guesses) >= 15
    path.write_text("mine")
    code, told = await init("--url", f"sqlite:///{shop}", "--config", str(path))
    assert (code, path.read_text()) == (2, "mine")
    assert "--force" in told
    path.chmod(0o644)
    code, _ = await init("--url", f"sqlite:///{shop}", "--config", str(path), "--force")
    assert (code, path.read_text()) == (0, text)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "--url is missing, and there is no terminal"),
        (("--url", "mysql://reader:hunter2@127.0.0.1/shop"), 2, "carries a password"),
        (("--url", "mysql://reader@127.0.0.1:1/shop"), 1, "nothing answers at 127.0.0.1:1"),
        (("--url", "oracle://x/y"), 2, "is not one of sqlite://"),
        (("--url", "sqlite:////no/such/shop.db"), 1, "does not exist"),
        (("--url", "sqlite:////no/such/shop.db", "--password-file", "/no/such"), 2, "there is no /no/such"),
    ],
)
async def test_what_is_missing_or_wrong_is_said_in_a_line(
    words: tuple[str, ...], code: int, said: str, tmp_path: Path
) -> None:
    ended, told = await init(*words, "--config", str(tmp_path / "reconciler.toml"))
    assert (ended, said in told, "Traceback" in told, "hunter2" in told) == (code, True, False, False), told
    assert not (tmp_path / "reconciler.toml").exists()


async def test_a_database_without_orders_is_said_so(tmp_path: Path) -> None:
    shop = tmp_path / "shop.db"
    with contextlib.closing(sqlite3.connect(shop)) as made:
        made.execute("CREATE TABLE articles (id INTEGER PRIMARY KEY, text TEXT)")
    code, told = await init("--url", f"sqlite:///{shop}", "--config", str(tmp_path / "reconciler.toml"))
    assert code == 1
    assert "none of the tables looks like one of orders; looked at: articles. Only tables" in told


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ("bid INTEGER PRIMARY KEY, bcode CHAR(12), total DECIMAL(10,2), stage TEXT, created_at DATETIME",
         "booking comes nearest, and no column's name and type say order_no, status"),
        ("order_no CHAR(12), total DECIMAL(10,2), status TEXT, created_at DATETIME",
         "booking comes nearest, and has no primary key of one column"),
    ],
)  # fmt: skip
async def test_of_the_table_that_comes_nearest_it_is_said_what_it_lacks(
    columns: str, said: str, tmp_path: Path
) -> None:
    shop = tmp_path / "shop.db"
    with contextlib.closing(sqlite3.connect(shop)) as made:
        made.execute("CREATE TABLE articles (id INTEGER PRIMARY KEY, text TEXT)")
        made.execute(f"CREATE TABLE booking ({columns})")
    code, told = await init("--url", f"sqlite:///{shop}", "--config", str(tmp_path / "reconciler.toml"))
    assert (code, said in told) == (1, True), told


async def test_a_password_that_was_forgotten_is_named(tmp_path: Path) -> None:
    async with database("mysql", tmp_path) as base:
        user = f"init_{secrets.token_hex(6)}"
        await base.script(f"CREATE USER {user}@`%%` IDENTIFIED BY 'secret'")
        try:
            url = make_url(base.url).set(username=user, password=None).render_as_string()
            code, told = await init("--url", url, "--config", str(tmp_path / "reconciler.toml"))
        finally:
            await base.script(f"DROP USER {user}@`%%`")
    assert (code, "wrong user or password (no --password-file was given)" in told) == (1, True), told
