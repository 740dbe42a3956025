"""What the doctor's way into the shop's database can and cannot do."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from reconciler.databases import Access
from reconciler.doctor import Verdict
from reconciler.ops.clock import SystemClock
from reconciler.ports import ShopUnavailable
from reconciler.sandbox.keys import Keys, keep_keys
from reconciler.shops.sql.inspection import inspecting
from reconciler.shops.sql.inspection.examiner import Use
from reconciler.shops.sql.inspection.mysql import MysqlExaminer, _excess, _read
from tests.integration.databases import KINDS, database
from tests.integration.doctor.patient import SHANGHAI, orders, patient, troubles

WRITES = (
    "UPDATE orders SET status = 2",
    "INSERT INTO orders (id) VALUES (7)",
    "DELETE FROM orders",
    "DROP TABLE orders",
    "CREATE TABLE others (id INT)",
    "CREATE INDEX by_status ON orders (status)",
)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Keys]:
    directory = tmp_path_factory.mktemp("keys")
    return directory, keep_keys(directory)


@pytest.mark.parametrize("kind", KINDS)
async def test_its_sessions_refuse_to_write_even_for_a_user_who_may(kind: str, tmp_path: Path) -> None:
    async with database(kind, tmp_path) as base:
        await base.script("CREATE TABLE orders (id INT, status INT)", "INSERT INTO orders VALUES (1, 1)")
        access = Access(base.url, None, None, None, "shop.url", zone=SHANGHAI)
        async with inspecting(access) as inspection:
            for statement in WRITES:
                with pytest.raises(ShopUnavailable):
                    async with inspection.session() as connection:
                        await connection.execute(text(statement))
            async with inspection.session() as connection:
                assert (await connection.execute(text("SELECT count(*) FROM orders"))).scalar() == 1
        assert await base.rows("SELECT * FROM orders") == [(1, 1)]


@pytest.mark.parametrize("kind", ["mysql", "postgresql"])
async def test_an_index_that_is_missing_in_a_large_table_is_a_fault_with_its_cost(
    kind: str, tmp_path: Path, kept: tuple[Path, Keys]
) -> None:
    async with patient(kind, tmp_path, *kept, {"order_no": "VARCHAR(32) NOT NULL"}) as made:
        series = {"mysql": "seq_1_to_25000", "postgresql": "generate_series(1, 25000) seq"}[kind]
        sequenced = {"mysql": "CONCAT('N', seq)", "postgresql": "'N' || seq"}[kind]
        await made.base.script(
            "INSERT INTO orders (order_no, amount, status, pay_channel, created_at)"  # noqa: S608 # a test's own words
            f" SELECT {sequenced}, 9, 2, 'alipay', '2026-01-01 12:00:00' FROM {series}",
            {"mysql": "ANALYZE TABLE orders", "postgresql": "VACUUM ANALYZE orders"}[kind],
        )
        await orders(made)
        (missing,) = [remark for remark in await made.visited() if remark.subject == "indexes"]
        assert missing.verdict is Verdict.FAULT
        assert missing.text.endswith("before each settlement, reads all 25,004 rows")
        await made.base.script(missing.remedy)
        (index,) = [remark for remark in await made.visited() if remark.subject == "indexes"]
        assert index.verdict is Verdict.WELL, "the statement that was named is the remedy"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        ("", 2),
        ('[shop.orders]\nwhere = "created_at IS NOT NULL"\n', 0),
        ('ignore_channels = ["cash"]\n[shop.orders]\n', 1),
    ],
    ids=["all", "where", "ignored"],
)
async def test_orders_without_a_time_count_where_they_are_ours(
    kind: str, edit: str, expected: int, tmp_path: Path, kept: tuple[Path, Keys]
) -> None:
    columns = {"order_no": "VARCHAR(32) NOT NULL", "created_at": "TIMESTAMP NULL"}
    async with patient(kind, tmp_path, *kept, columns) as made:
        await orders(made)
        made.edit('key = "id"', 'key = "order_no"')
        if "shop.orders" in edit:
            made.edit("[shop.orders]\n", edit)
        await made.base.script(
            "CREATE UNIQUE INDEX by_number ON orders (order_no)",
            "CREATE INDEX by_time ON orders (created_at, order_no)",
            "INSERT INTO orders (order_no, amount, status, pay_channel) VALUES ('T1', 9, 1, 'alipay')",
            "INSERT INTO orders (order_no, amount, status, pay_channel) VALUES ('T2', 9, 1, 'cash')",
        )
        told = [remark.text for remark in await made.visited() if "never found" in remark.text]
        assert [text.split()[0] for text in told] == [str(expected)] * bool(expected)


@pytest.mark.parametrize("time", ["infinity", "-infinity", "20261-01-01"])
async def test_a_time_that_python_does_not_know_counts_as_none(
    time: str, tmp_path: Path, kept: tuple[Path, Keys]
) -> None:
    columns = {"order_no": "VARCHAR(32) NOT NULL", "created_at": "TIMESTAMP NULL"}
    async with patient("postgresql", tmp_path, *kept, columns) as made:
        await orders(made)
        made.edit('key = "id"', 'key = "order_no"')
        await made.base.script(
            "CREATE UNIQUE INDEX by_number ON orders (order_no)",
            "CREATE INDEX by_time ON orders (created_at, order_no)",
            "INSERT INTO orders (order_no, amount, status, pay_channel, created_at)"  # noqa: S608 # a test's own words
            f" VALUES ('T1', 9, 1, 'alipay', '{time}')",
        )
        (told,) = [remark.text for remark in await made.visited() if "never found" in remark.text]
        assert told.startswith("1 of those that wait")


async def test_the_trap_of_timestamp_columns_shows_as_orders_of_the_future(
    tmp_path: Path, kept: tuple[Path, Keys]
) -> None:
    async with patient("mysql", tmp_path, *kept, {"created_at": "TIMESTAMP NOT NULL"}) as made:
        await made.base.script("SET time_zone = '+00:00'")  # the shop's own connection, into which it writes its clock
        await orders(made)
        found = [remark for remark in troubles(await made.visited()) if remark.subject == "time zone"]
        assert found
        assert "4 orders are from the future by created_at, by up to 7 h" in "\n".join(each.text for each in found)
        assert all("TIMESTAMP" in each.text + each.remedy for each in found)
        assert all("shop.session_time_zone" in each.remedy for each in found)
        made.edit("[shop.orders]\n", 'session_time_zone = "UTC"\n[shop.orders]\n')
        assert not [remark for remark in troubles(await made.visited()) if remark.subject == "time zone"]


async def test_where_every_channel_is_asked_an_order_is_tried_where_it_was_recorded(
    tmp_path: Path, kept: tuple[Path, Keys]
) -> None:
    async with patient("sqlite", tmp_path, *kept, {}) as made:
        await orders(made)
        made.text += '\n[ask]\nchannels = "all"\n'
        assert troubles(await made.visited()) == []


async def test_times_of_the_server_and_ours_are_compared(tmp_path: Path) -> None:
    for kind, is_known in (("sqlite", False), ("mysql", True), ("postgresql", True)):
        directory = tmp_path / kind
        directory.mkdir()
        async with (
            database(kind, directory) as base,
            inspecting(Access(base.url, None, None, None, "shop.url", zone=SHANGHAI)) as inspection,
        ):
            off = await inspection.clock_off(SystemClock())
            assert (off is not None) is is_known
            assert off is None or abs(off) < timedelta(seconds=10)


TARGET = Use("orders", "shop_db", ("status",))


@pytest.mark.parametrize(
    ("line", "covers", "updates", "excess"),
    [
        ("GRANT USAGE ON *.* TO `r`@`%`", True, False, []),
        ("GRANT SELECT, UPDATE (`paid_at`, `status`) ON `shop_db`.`orders` TO `r`@`%`", True, True, []),
        ("GRANT SELECT, UPDATE (paid_at) ON `shop_db`.`orders` TO `r`@`%`", True, False, []),
        ("GRANT ALL PRIVILEGES ON `shop\\_db`.* TO `r`@`%`", True, True, ["ALL PRIVILEGES on shop\\_db.*"]),
        ("GRANT ALL PRIVILEGES ON `other`.* TO `r`@`%`", False, True, ["ALL PRIVILEGES on other.*"]),
        ("GRANT SELECT, INSERT, DROP ON `shop%`.* TO `r`@`%`", True, False, ["INSERT on shop%.*", "DROP on shop%.*"]),
        ("GRANT UPDATE ON `shop_db`.`users` TO `r`@`%`", False, True, ["UPDATE on shop_db.users"]),
        (
            "GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION",
            True,
            True,
            ["ALL PRIVILEGES on *.*", "GRANT OPTION on *.*"],
        ),
    ],
)
def test_grants_are_read(line: str, covers: bool, updates: bool, excess: list[str]) -> None:
    grant = _read(line)
    assert grant is not None
    assert grant.covers(TARGET) is covers
    assert grant.gives("UPDATE", "status") is updates
    assert list(_excess(grant, TARGET)) == excess


@pytest.mark.parametrize("line", ["GRANT `reader`@`%` TO `r`@`%`", "SET DEFAULT ROLE reader FOR `r`@`%`"])
def test_a_line_that_grants_no_right_is_passed_over(line: str) -> None:
    assert _read(line) is None


@pytest.mark.parametrize(
    ("plan", "statement", "found"),
    [
        ('{"table": {"table_name": "orders", "access_type": "ALL", "rows": 9}}', "… WHERE sn = 1", ["orders"]),
        (
            '{"table": {"table_name": "orders", "access_type": "ALL", "possible_keys": ["sn"], "rows": 9}}',
            "… WHERE sn = 1",
            [],
        ),
        ('{"table": {"table_name": "orders", "access_type": "range", "key": "sn"}}', "… WHERE sn = 1", []),
        ('{"table": {"table_name": "orders", "access_type": "index", "key": "PRIMARY", "rows": 9}}', "… LIMIT 1", []),
        ('{"table": {"table_name": "orders", "access_type": "index", "rows": 90000}}', "… WHERE a", ["orders"]),
        ('{"table": {"table_name": "orders", "access_type": "ALL", "rows": 9}}', "… ORDER BY a", ["orders"]),
        ('{"nested_loop": [{"table": {"table_name": "<derived2>", "access_type": "ALL"}}]}', "… WHERE a", []),
        ('{"message": "Impossible WHERE noticed"}', "… WHERE sn = 1", []),
    ],
)
def test_plans_are_read(plan: str, statement: str, found: list[str]) -> None:
    assert [scan.table for scan in MysqlExaminer().scans([(plan,)], statement)] == found


@pytest.mark.parametrize("kind", KINDS)
async def test_attempts_in_a_table_of_their_own_are_looked_at_and_so_is_a_replica(
    kind: str, tmp_path: Path, kept: tuple[Path, Keys]
) -> None:
    async with patient(kind, tmp_path, *kept, {}) as made:
        await orders(made)
        await made.base.script(
            "CREATE TABLE tries (id BIGINT PRIMARY KEY, order_id BIGINT, no VARCHAR(64))",
            "INSERT INTO tries SELECT id, id, order_no FROM orders",
            *([] if kind == "sqlite" else [f"GRANT SELECT ON tries TO {made.user}{'@`%%`' * (kind == 'mysql')}"]),
        )
        made.edit('out_trade_no = "order_no"\n', "")
        made.edit("[shop]\n", f'[shop]\nread_url = "{made.url()}"\n')
        made.text += '\n[shop.attempts]\ntable = "tries"\nkey = "id"\norder = "order_id"\nout_trade_no = "no"\n'
        remarks = await made.visited()
        assert [each.verdict for each in remarks if each.subject == "replica"] == [Verdict.WELL]
        found = troubles(remarks)
        assert {each.subject for each in found} == {"indexes"}, found
        assert {each.remedy for each in found} == {
            "CREATE INDEX idx_order_id ON tries (order_id);",
            "CREATE INDEX idx_no ON tries (no);",
        }
        await made.base.script(*(each.remedy for each in found), "UPDATE tries SET no = 'A-paid-1' WHERE id = 2")
        (twice,) = [each for each in troubles(await made.visited()) if each.subject == "numbers"]
        assert "A-paid-1 stands on 2 rows" in twice.text
