"""With 200,000 orders each statement that the shop's adapter issues is served by an index.

EXPLAIN says so, of the very statements as they were issued.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from reconciler.domain.order import Order, OrderKey
from reconciler.ports import Moved, Position
from reconciler.shops.sql import AttemptsMapping, SqlShop
from tests.integration.databases import SERVERS, Database, database
from tests.integration.shops.made import CREATED, move_of, orders_of, shop_over

ROWS = 200_500  # more than a table that is walked whole
TIMED = {
    "mysql": "'2026-03-01 12:00:00' - INTERVAL ({rows} - seq) SECOND FROM seq_1_to_{rows}",
    "postgresql": "TIMESTAMP '2026-03-01 12:00:00' - ({rows} - seq) * INTERVAL '1 second'"
    " FROM generate_series(1, {rows}) seq",
}
ANALYSED = {"mysql": "ANALYZE TABLE {}", "postgresql": "VACUUM ANALYZE {}"}
MOMENT = {"mysql": "DATETIME", "postgresql": "TIMESTAMP"}
SEQUENCED = {"mysql": "CONCAT('A', seq)", "postgresql": "'A' || seq"}
KEYED = {"mysql": "CONCAT('k', MD5(seq))", "postgresql": "'k' || md5(seq::text)"}
USED = {"const", "eq_ref", "ref", "range", "system"}
Values = tuple[object, ...] | dict[str, object]
"""As the driver is given them."""
FEW_ROWS = 20_000
"""One stretch of the walk."""


@dataclass(slots=True)
class Issued:
    """The statements that an engine was given."""

    statements: dict[str, tuple[str, Values]] = field(default_factory=dict)

    def note(self, _c: object, _cursor: object, statement: str, parameters: Values, _x: object, many: bool) -> None:
        if any(table in statement for table in ("orders", "tries")):
            assert not many
            self.statements.setdefault(statement, (statement, parameters))


@contextmanager
def issued_by(shop: SqlShop) -> Iterator[Issued]:
    issued = Issued()
    event.listen(shop._primary.sync_engine, "before_cursor_execute", issued.note)
    yield issued
    event.remove(shop._primary.sync_engine, "before_cursor_execute", issued.note)


async def plans_of(base: Database, issued: Issued) -> list[tuple[str, list[str]]]:
    """Give each statement with what is wrong with its plan."""
    assert issued.statements
    judge = {"mysql": _mysql_faults, "postgresql": _postgresql_faults}[base.kind]
    return [(statement, await judge(base, statement, values)) for statement, values in issued.statements.values()]


async def _mysql_faults(base: Database, statement: str, values: Values) -> list[str]:
    result = await base.connection.exec_driver_sql(f"EXPLAIN {statement}", values)
    faults = []
    for row in result.mappings():
        if row["table"] in {None, "<derived2>"}:
            continue
        # in the order of the index, as far as LIMIT goes
        is_short = row["type"] == "index" and "LIMIT" in statement and "WHERE" not in statement
        is_served = row["key"] is not None and (row["type"] in USED or is_short)
        if not is_served or ("filesort" in (row["Extra"] or "") and int(row["rows"]) > FEW_ROWS):
            faults.append(str(dict(row)))
    return faults


async def _postgresql_faults(base: Database, statement: str, values: Values) -> list[str]:
    result = await base.connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", values)
    (plan,) = result.scalar_one()
    return list(_nodes(plan["Plan"], statement, has_limit=False))


def _nodes(node: dict[str, Any], statement: str, *, has_limit: bool) -> Iterator[str]:
    kind = node["Node Type"]
    has_limit |= kind == "Limit"
    is_short = has_limit and "WHERE" not in statement
    if kind.endswith("Scan") and "Relation Name" in node and not is_short:
        served = "Index Cond" in node or kind == "Bitmap Heap Scan"
        if kind == "Seq Scan" or not served:
            yield str({name: value for name, value in node.items() if name != "Plans"})
    for child in node.get("Plans", ()):
        yield from _nodes(child, statement, has_limit=has_limit)


def faults(plans: list[tuple[str, list[str]]]) -> dict[str, list[str]]:
    return {statement: faults for statement, faults in plans if faults}


async def fill(base: Database, *, key: str, index_time: bool) -> None:
    """Make the orders, most of them paid, as they are in a shop that works."""
    id_, type_ = ("seq", "BIGINT") if key == "integer" else (KEYED[base.kind], "VARCHAR(40)")
    tenth = {"mysql": "MOD(seq, 10)", "postgresql": "seq % 10"}[base.kind]
    status = f"CASE {tenth} WHEN 1 THEN 1 WHEN 2 THEN -1 ELSE 2 END"
    columns = f"{id_}, {SEQUENCED[base.kind]}, 99, {status}, 'x', {TIMED[base.kind].format(rows=ROWS)}"
    await base.script(
        f"CREATE TABLE orders (id {type_} PRIMARY KEY, sn VARCHAR(32) UNIQUE, price DECIMAL(10,2), status SMALLINT,"
        f" note VARCHAR(100), created {MOMENT[base.kind]})",
        f"INSERT INTO orders SELECT {columns}",
    )
    if index_time:
        await base.script("CREATE INDEX by_time ON orders (created, id)")
    await base.script(ANALYSED[base.kind].format("orders"))


@pytest.fixture(scope="module", params=SERVERS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
async def base(kind: str, tmp_path: Path) -> AsyncIterator[Database]:
    async with database(kind, tmp_path) as made:
        yield made


async def use(shop: SqlShop) -> None:
    """Do all that the flow does, from the middle of the table and from its end."""
    newest = await shop.newest()
    middle = await shop.before(CREATED - timedelta(hours=3))
    page = await shop.candidates(middle, 500)
    assert len(page.found) == 500
    assert page.next is not None
    await shop.candidates(page.next, 500)
    await shop.candidates(newest, 500)
    await shop.candidates(Position("[null,null,0]"), 500)
    await shop.candidates(Position("[null,[200000],1]"), 500)  # orders of attempts that are newer, where there are any
    resting = await shop.resting(["1", "-1"], middle, 500)
    assert len(resting.found) == 500
    assert resting.next is not None
    await shop.resting(["1", "-1"], resting.next, 500)
    keys = [found.row.key for found in page.found]
    assert len(await shop.read(keys)) == 500
    (order,) = await orders_of(shop, keys[:1])
    assert len(await shop.look_up(order.order_no)) == 1
    assert len(await shop.holders([found.row.order_no for found in page.found])) == 500
    assert await shop.take_lock()
    assert await shop.settle(await move_of(shop, keys[0])) == Moved()
    (other,) = await orders_of(shop, keys[1:2])
    assert isinstance(other, Order)
    assert await shop.close_order(other) == Moved()


async def test_a_growing_key_and_an_index_on_time(base: Database) -> None:
    await fill(base, key="integer", index_time=True)
    columns = f"{SEQUENCED[base.kind]}, {TIMED[base.kind].format(rows=ROWS)}"
    await base.script(
        f"CREATE TABLE tries (id BIGINT PRIMARY KEY, order_id BIGINT, no VARCHAR(32), made {MOMENT[base.kind]})",
        f"INSERT INTO tries SELECT seq, seq, {columns}",
        "CREATE INDEX by_order ON tries (order_id)",
        "CREATE INDEX by_number ON tries (no)",
        "CREATE INDEX by_try_time ON tries (made, id)",
        ANALYSED[base.kind].format("tries"),
    )
    await all_are_served(base)
    attempts = AttemptsMapping("tries", "id", "order_id", "no", created_at="made")
    await all_are_served(base, attempts=attempts, out_trade_no=None)


async def test_a_text_key_and_an_index_on_time_and_key(base: Database) -> None:
    await fill(base, key="text", index_time=True)
    await all_are_served(base)


async def test_a_growing_key_alone_and_what_a_number_without_an_index_costs(base: Database) -> None:
    await fill(base, key="integer", index_time=False)
    await all_are_served(base)
    await base.script(
        "ALTER TABLE orders DROP " + {"mysql": "INDEX sn", "postgresql": "CONSTRAINT orders_sn_key"}[base.kind]
    )
    async with shop_over(base) as shop:
        with issued_by(shop) as issued:
            await shop.holders(["A5"])
            await shop.read([OrderKey("5")])
        (scan,) = faults(await plans_of(base, issued))  # the test of these tests: a scan is told
        assert "sn" in scan.partition("WHERE")[2]


async def all_are_served(base: Database, **mapped: Any) -> None:  # noqa: ANN401 # of `mapping_of`
    async with shop_over(base, **mapped) as shop:
        with issued_by(shop) as issued:
            await use(shop)
        assert faults(await plans_of(base, issued)) == {}
        assert any(statement.startswith("UPDATE") for statement in issued.statements)
