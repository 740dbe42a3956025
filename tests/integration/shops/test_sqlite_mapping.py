"""A mapping that does not fit is refused whole, in words that say what to change."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from reconciler.domain.order import ChannelName
from reconciler.ports import ShopUnavailable
from reconciler.shops.sql import AttemptsMapping, MappingError, ShopMapping, SqlShop, States, open_shop

Opens = Callable[..., Awaitable[SqlShop]]

ORDERS = (
    "CREATE TABLE orders (id INTEGER PRIMARY KEY, sn TEXT, actual_price DECIMAL(10,2), status INT, created DATETIME)"
)
GOOD = {"amount": "actual_price"}


async def refused(opens: Opens, **changes: object) -> tuple[str, ...]:
    with pytest.raises(MappingError) as caught:
        await opens(**{**GOOD, **changes})
    return caught.value.problems


async def test_a_mapping_that_fits_is_taken(database: sqlite3.Connection, opens: Opens) -> None:
    database.execute(ORDERS)
    await opens(**GOOD)
    await opens(**GOOD, table="main.orders")


async def test_a_missing_column_is_named_with_those_that_exist(database: sqlite3.Connection, opens: Opens) -> None:
    database.execute(ORDERS)
    assert await refused(opens, amount="actual_prise") == (
        (
            "shop.orders.amount: no column `actual_prise` in table orders; "
            "it has: id, sn, actual_price, status, created; did you mean `actual_price`?"
        ),
    )


async def test_a_missing_table_is_named_with_those_that_exist(database: sqlite3.Connection, opens: Opens) -> None:
    database.execute(ORDERS)
    assert await refused(opens, table="order") == (
        "shop.orders.table: no table `order`; there are: orders; did you mean `orders`?",
    )


async def test_all_problems_come_at_once(database: sqlite3.Connection, opens: Opens) -> None:
    database.execute(ORDERS)
    problems = await refused(
        opens,
        key="uid",
        status="state",
        paid_at="pay_time",
        touch=("updated",),
        set={"pay_status": 1},
        where="deleted IS NULL",
        shop={"attempts": AttemptsMapping(table="tries", key="id", order="order_id", out_trade_no="no")},
    )
    assert [problem.partition(":")[0] for problem in problems] == [
        "shop.orders.key",
        "shop.orders.status",
        "shop.orders.paid_at",
        "shop.orders.touch",
        "shop.orders.set.pay_status",
        "shop.orders.where",
        "shop.attempts.table",
    ]


@pytest.mark.parametrize("declared", ["FLOAT", "REAL", "DOUBLE", "DOUBLE PRECISION"])
async def test_a_floating_point_amount_is_refused_with_the_remedy(
    database: sqlite3.Connection, opens: Opens, declared: str
) -> None:
    database.execute(ORDERS.replace("DECIMAL(10,2)", declared))
    (problem,) = await refused(opens)
    assert problem.startswith("shop.orders.amount: actual_price is ")
    assert "DECIMAL" in problem


@pytest.mark.parametrize("declared", ["VARCHAR(64) UNIQUE", "DECIMAL(10,2) NOT NULL UNIQUE", "NUMERIC(10, 2) UNIQUE"])
async def test_a_column_that_is_unique_by_its_own_words_is_a_key_whatever_its_type(
    database: sqlite3.Connection, opens: Opens, declared: str
) -> None:
    database.execute(
        f"CREATE TABLE orders (id {declared}, sn TEXT, price DECIMAL(10,2), status INT, created DATETIME,"
        " a VARCHAR(9), b INT, UNIQUE (a, b))"
    )
    await opens()
    with pytest.raises(MappingError, match="a is neither the primary key of orders nor unique by itself"):
        await opens(key="a")


async def test_the_key_must_be_unique(database: sqlite3.Connection, opens: Opens) -> None:
    database.execute(ORDERS)
    (problem,) = await refused(opens, key="sn")
    assert "unique" in problem
    database.execute("CREATE UNIQUE INDEX part ON orders (sn) WHERE status = 1")
    await refused(opens, key="sn")
    database.execute("CREATE UNIQUE INDEX pair ON orders (sn, status)")
    await refused(opens, key="sn")
    database.execute("CREATE UNIQUE INDEX whole ON orders (sn)")
    await opens(**GOOD, key="sn")


async def test_values_that_the_status_column_can_never_hold_are_refused(
    database: sqlite3.Connection, opens: Opens
) -> None:
    database.execute(ORDERS)
    (problem,) = await refused(opens, states=States(pending=("waiting",), paid=(2,), settled_as=2))
    assert problem.startswith("shop.orders.states.pending: 'waiting' ")


@pytest.mark.parametrize(
    ("states", "setting"),
    [
        (States(pending=(1,), paid=(2, "1"), settled_as=2), "paid"),
        (States(pending=(1,), paid=(2,), settled_as=3), "settled_as"),
        (States(pending=(1,), paid=(2,), settled_as=1), "settled_as"),
        (States(pending=(1,), paid=(2,), settled_as=2, closed_as=1), "closed_as"),
        (States(pending=(), paid=(2,), settled_as=2), "pending"),
    ],
)
async def test_states_must_be_told_apart(
    database: sqlite3.Connection, opens: Opens, states: States, setting: str
) -> None:
    database.execute(ORDERS)
    (problem,) = await refused(opens, states=states)
    assert problem.startswith(f"shop.orders.states.{setting}: ")


@pytest.mark.parametrize(
    "where", ["status = 1) OR (1 = 1", "(status = 1", "sn = 'A", "1=1; DROP TABLE orders", "nope = 1"]
)
async def test_a_predicate_that_would_not_stay_within_the_guard_is_refused(
    database: sqlite3.Connection, opens: Opens, where: str
) -> None:
    database.execute(ORDERS)
    (problem,) = await refused(opens, where=where)
    assert problem.startswith("shop.orders.where: ")


async def test_a_transaction_column_that_is_too_narrow_is_refused(database: sqlite3.Connection, opens: Opens) -> None:
    database.execute(ORDERS)
    database.execute("ALTER TABLE orders ADD COLUMN trade_no VARCHAR(20)")
    database.execute("ALTER TABLE orders ADD COLUMN trade_id BIGINT")
    assert "VARCHAR(64)" in (await refused(opens, transaction_id="trade_no"))[0]
    assert "28 digits" in (await refused(opens, transaction_id="trade_id"))[0]


async def test_several_channels_need_a_column_to_tell_them_apart(database: sqlite3.Connection, opens: Opens) -> None:
    database.execute(ORDERS)
    two = {ChannelName("a"): ("1",), ChannelName("b"): ("2",)}
    (problem,) = await refused(opens, shop={"channels": two})
    assert problem.startswith("shop.orders.channel: ")
    await opens(**GOOD, shop={"channels": two, "ask_all_channels": True})
    same = {ChannelName("a"): ("1",), ChannelName("b"): ("1",)}
    (problem,) = await refused(opens, channel="sn", shop={"channels": same})
    assert problem == "channels.b.shop_values: 1 is a's already"


@pytest.mark.parametrize("fault", [{"table": "order"}, {"channel": "pay"}, {"channel": "pay", "amount": "prise"}])
async def test_a_channel_column_that_is_mapped_is_not_asked_for_again(
    database: sqlite3.Connection, opens: Opens, fault: dict[str, str]
) -> None:
    database.execute(ORDERS)
    two = {ChannelName("a"): ("1",), ChannelName("b"): ("2",)}
    problems = await refused(opens, **{"channel": "sn", **fault}, shop={"channels": two})
    assert [problem for problem in problems if "apart" in problem] == []
    assert len(problems) == len(fault)


async def test_a_wrong_channel_column_of_the_attempts_is_the_only_problem(
    database: sqlite3.Connection, opens: Opens
) -> None:
    database.execute(ORDERS)
    database.execute("CREATE TABLE tries (id INTEGER PRIMARY KEY, order_id INT, no TEXT)")
    two = {ChannelName("a"): ("1",), ChannelName("b"): ("2",)}
    attempts = AttemptsMapping("tries", "id", "order_id", "no", channel="code")
    (problem,) = await refused(opens, shop={"channels": two, "attempts": attempts})
    assert problem.startswith("shop.attempts.channel: no column `code`")


@pytest.mark.parametrize("values", [(), ("7",), ("zfbf2f",)])
async def test_the_only_channel_owns_every_row_where_no_column_tells(
    database: sqlite3.Connection, opens: Opens, values: tuple[str, ...]
) -> None:
    database.execute(ORDERS)
    database.execute("INSERT INTO orders VALUES (1, 'A1', '9.00', 1, '2026-03-01 12:00:00')")
    shop = await opens(**GOOD, shop={"channels": {ChannelName("a"): values}})
    (found,) = await shop.look_up("A1")
    assert [attempt.channel for attempt in found.attempts] == ["a"]
    assert found.strangers == ()


async def test_a_shop_value_that_the_column_can_never_hold_never_matches(
    database: sqlite3.Connection, opens: Opens
) -> None:
    database.execute(ORDERS)
    database.execute("ALTER TABLE orders ADD COLUMN pay INTEGER")
    for at, pay in ((1, 3), (2, 5), (3, 4)):
        database.execute("INSERT INTO orders VALUES (?, ?, '9.00', 1, '2026-03-01 12:00:00', ?)", (at, f"A{at}", pay))
    two = {ChannelName("a"): ("3", "zfbf2f"), ChannelName("b"): ("5", "99999999999999999999")}
    shop = await opens(**GOOD, channel="pay", shop={"channels": two})
    found = [(await shop.look_up(number))[0] for number in ("A1", "A2", "A3")]
    assert [[attempt.channel for attempt in each.attempts] for each in found] == [["a"], ["b"], []]
    assert [each.strangers for each in found] == [(), (), ("4",)]


async def test_a_column_is_not_set_twice(database: sqlite3.Connection, opens: Opens) -> None:
    database.execute(ORDERS)
    (problem,) = await refused(opens, set={"actual_price": 0})
    assert problem.startswith("shop.orders.set.actual_price: ")


async def test_a_database_file_that_does_not_exist_is_waited_for_and_never_created(
    path: Path, mapping: ShopMapping
) -> None:
    with pytest.raises(ShopUnavailable, match=r"shop\.db does not exist"):
        await open_shop(mapping)
    assert not path.exists()


async def test_a_directory_in_the_databases_place_is_a_mistake(path: Path, mapping: ShopMapping) -> None:
    path.mkdir()
    with pytest.raises(MappingError, match=r"shop\.url: .* is no file"):
        await open_shop(mapping)


async def test_a_file_that_is_no_database_is_unavailable(path: Path, mapping: ShopMapping) -> None:
    path.write_bytes(b"not a database, but long enough to be taken for one" * 40)
    with pytest.raises(ShopUnavailable):
        await open_shop(mapping)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("oracle://db/shop", "oracle://"),
        ("nonsense", "not a database URL"),
        ("sqlite://", "needs a file"),
        ("sqlite:///:memory:", "needs a file"),
    ],
)
async def test_a_url_that_leads_nowhere_is_refused(mapping: ShopMapping, url: str, says: str) -> None:
    with pytest.raises(MappingError, match=says):
        await open_shop(dataclasses.replace(mapping, url=url))


@pytest.mark.parametrize(("scheme", "extra"), [("mysql", "mysql"), ("postgresql", "postgres")])
async def test_a_missing_driver_is_named_with_what_installs_it(
    mapping: ShopMapping, monkeypatch: pytest.MonkeyPatch, scheme: str, extra: str
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(MappingError, match=rf"payment-reconciler\[{extra}\]"):
        await open_shop(dataclasses.replace(mapping, url=f"{scheme}://reconciler@127.0.0.1/shop"))


@pytest.mark.parametrize("scheme", ["mysql", "postgresql"])
async def test_a_server_that_does_not_answer_is_unavailable_and_the_password_is_not_told(
    mapping: ShopMapping, scheme: str
) -> None:
    pytest.importorskip({"mysql": "asyncmy", "postgresql": "asyncpg"}[scheme])
    elsewhere = dataclasses.replace(mapping, url=f"{scheme}://reconciler@127.0.0.1:1/shop", password=b"hunter2")
    with pytest.raises(ShopUnavailable) as caught:
        await open_shop(elsewhere)
    assert "hunter2" not in str(caught.value)
