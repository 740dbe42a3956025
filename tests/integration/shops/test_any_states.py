"""Whatever tells what an order is, and whether it counts: read, found and written as the column has it."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from reconciler.domain.order import OrderKey, OrderState
from reconciler.ports import Moved, NotMoved
from reconciler.shops.sql import States
from tests.integration.databases import KINDS, Database
from tests.integration.shops.made import (
    MOMENT,
    NOON,
    move_of,
    problems_of,
    put,
    shop_over,
    table,
    walked,
)

pytestmark = pytest.mark.parametrize("kind", KINDS)


@dataclass(frozen=True)
class Told:
    """How a shop tells what an order is."""

    types: dict[str, str]
    """By database; one that is not named has no such type."""
    states: States
    rows: dict[object, OrderState]
    """What is in the column, as SQL writes it, and what it means."""
    paid: object = None
    """What the column shows once the order is settled."""
    before: dict[str, str] = field(default_factory=dict)


STATES = {
    "integers": Told(
        dict.fromkeys(KINDS, "SMALLINT"),
        States(pending=(101,), paid=(201, 301), closed=(102, 103), refunded=(203,), settled_as=201),
        {
            101: OrderState.PENDING,
            103: OrderState.CLOSED,
            301: OrderState.PAID,
            203: OrderState.REFUNDED,
            7: OrderState.UNKNOWN,
        },
        "201",
    ),
    "negative integers": Told(
        {"sqlite": "tinyint(1)", "mysql": "TINYINT(1)", "postgresql": "SMALLINT"},
        States(pending=(1,), paid=(2, 3, 4), closed=(-1,), settled_as=4),
        {1: OrderState.PENDING, -1: OrderState.CLOSED, 4: OrderState.PAID},
        "4",
    ),
    "unsigned integers": Told(
        {"mysql": "TINYINT UNSIGNED"},
        States(pending=(0,), paid=(255,), settled_as=255),
        {0: OrderState.PENDING, 255: OrderState.PAID},
        "255",
    ),
    "words": Told(
        dict.fromkeys(KINDS, "VARCHAR(16)"),
        States(pending=("waiting", "new"), paid=("paid",), closed=("expired",), settled_as="paid"),
        {
            "'waiting'": OrderState.PENDING,
            "'new'": OrderState.PENDING,
            "'expired'": OrderState.CLOSED,
            "'WAITING'": OrderState.UNKNOWN,
        },
        "paid",
    ),
    "padded words": Told(
        dict.fromkeys(KINDS, "CHAR(10)"),
        States(pending=("waiting",), paid=("paid",), settled_as="paid"),
        {"'waiting'": OrderState.PENDING, "'paid'": OrderState.PAID},
        "paid",
    ),
    "digits as text": Told(
        dict.fromkeys(KINDS, "VARCHAR(4)"),
        States(pending=(0,), paid=(10,), settled_as=10),
        {"'0'": OrderState.PENDING, "'10'": OrderState.PAID, "'0a'": OrderState.UNKNOWN},
        "10",
    ),
    "an enum": Told(
        {"mysql": "ENUM('waiting','paid','shut')", "postgresql": "order_state"},
        States(pending=("waiting",), paid=("paid",), closed=("shut",), settled_as="paid", closed_as="shut"),
        {"'waiting'": OrderState.PENDING, "'shut'": OrderState.CLOSED, "'paid'": OrderState.PAID},
        "paid",
        {"postgresql": "CREATE TYPE order_state AS ENUM ('waiting','paid','shut')"},
    ),
    "a boolean": Told(
        dict.fromkeys(KINDS, "BOOLEAN"),
        States(pending=(False,), paid=(True,), settled_as=True),
        {"FALSE": OrderState.PENDING, "TRUE": OrderState.PAID, "NULL": OrderState.UNKNOWN},
        "1",
    ),
    "a bit": Told(
        {"mysql": "BIT(1)", "postgresql": "BIT(1)"},
        States(pending=(0,), paid=(1,), settled_as=True),
        {"b'0'": OrderState.PENDING, "b'1'": OrderState.PAID},
        "1",
    ),
    "more bits": Told(
        {"mysql": "BIT(4)", "postgresql": "BIT(4)"},
        States(pending=(1,), paid=(10,), settled_as=10),
        {"b'0001'": OrderState.PENDING, "b'1010'": OrderState.PAID, "b'1111'": OrderState.UNKNOWN},
        "10",
    ),
    "exact numbers": Told(
        dict.fromkeys(KINDS, "DECIMAL(4,0)"),
        States(pending=(0,), paid=(1,), settled_as=1),
        {0: OrderState.PENDING, 1: OrderState.PAID, 2: OrderState.UNKNOWN},
        "1",
    ),
    "a domain": Told(
        {"postgresql": "state_code"},
        States(pending=(1,), paid=(2,), settled_as=2),
        {1: OrderState.PENDING, 2: OrderState.PAID},
        "2",
        {"postgresql": "CREATE DOMAIN state_code AS SMALLINT CHECK (VALUE > 0)"},
    ),
}


@pytest.mark.parametrize("told", STATES.values(), ids=STATES)
async def test_states_are_read_found_and_written_as_the_column_has_them(base: Database, told: Told) -> None:
    if base.kind not in told.types:
        pytest.skip("this database has no such type")
    await base.script(*([told.before[base.kind]] if base.kind in told.before else []))
    await table(base, status=told.types[base.kind])
    for key, raw in enumerate(told.rows, 1):
        when = f"'{NOON.isoformat(' ')}'"
        await base.script(f"INSERT INTO orders VALUES ({key}, 'A{key}', 99, {raw}, {when})")  # noqa: S608 # a test's own words
    async with shop_over(base, states=told.states) as shop:
        rows = await shop.read([OrderKey(str(key)) for key in range(1, len(told.rows) + 1)])
        assert [row.state for row in rows.values()] == list(told.rows.values())
        candidates = {OrderState.PENDING, OrderState.CLOSED}
        assert [found.row.state for found in await walked(shop)] == [s for s in told.rows.values() if s in candidates]
        assert await shop.take_lock()
        for name, row in rows.items():
            if row.state in candidates:
                assert await shop.settle(await move_of(shop, name)) == Moved()
        for row in (await shop.read(list(rows))).values():
            assert row.state not in candidates
            if rows[row.key].state in candidates:
                assert row.status == told.paid


async def test_a_state_that_the_column_can_never_hold_is_refused(base: Database) -> None:
    await table(base, status="SMALLINT")
    (problem,) = await problems_of(base, states=States(pending=("waiting",), paid=(2,), settled_as=2))
    assert problem.startswith("shop.orders.states.pending: 'waiting' can never be in an integer column (status is ")


async def test_a_word_in_other_letters_is_another_word_to_the_guard(base: Database) -> None:
    await table(base, status="VARCHAR(16)", sn="VARCHAR(64)")
    await put(base, status="waiting")
    async with shop_over(base, states=States(pending=("waiting",), paid=("paid",), settled_as="paid")) as shop:
        assert await shop.take_lock()
        for column, value in (("status", "Waiting"), ("status", "waiting "), ("sn", "a1"), ("sn", "A1 ")):
            move = await move_of(shop, "1")
            await base.execute(f"UPDATE orders SET {column} = :value", value=value)  # noqa: S608 # a test's own words
            assert isinstance(await shop.settle(move), NotMoved), (column, value)
            await base.execute("UPDATE orders SET status = 'waiting', sn = 'A1'")
        assert await shop.settle(await move_of(shop, "1")) == Moved()


@pytest.mark.parametrize(
    ("types", "where", "here", "gone"),
    [
        (MOMENT, "gone IS NULL", "NULL", "'2026-01-01 00:00:00'"),
        ({"mysql": "BIT(1)", "postgresql": "BIT(1)"}, "gone = b'0'", "b'0'", "b'1'"),
        (dict.fromkeys(KINDS, "SMALLINT"), "gone = 0", "0", "1"),
        (dict.fromkeys(KINDS, "BOOLEAN"), "gone = FALSE AND sn LIKE 'A%' AND sn <> 'a:b'", "FALSE", "TRUE"),
        (dict.fromkeys(KINDS, "VARCHAR(8)"), "gone IN ('', '否') -- 12:00, 100%", "'否'", "'是'"),
    ],
    ids=["a time", "a bit", "an integer", "a boolean, with per cent and colon", "text, with a comment"],
)
async def test_rows_that_are_softly_deleted_do_not_count(
    base: Database, types: dict[str, str], where: str, here: str, gone: str
) -> None:
    if base.kind not in types:
        pytest.skip("this database has no such type")
    await table(base, gone=types[base.kind])
    await put(base)
    await put(base, id=2, sn="A2")
    await base.script(f"UPDATE orders SET gone = {here} WHERE id = 1", f"UPDATE orders SET gone = {gone} WHERE id = 2")  # noqa: S608 # a test's own words
    async with shop_over(base, where=where) as shop:
        assert [found.row.key for found in await walked(shop)] == ["1"]
        assert list(await shop.read([OrderKey("1"), OrderKey("2")])) == ["1"]
        assert await shop.take_lock()
        move = await move_of(shop, "1")
        await base.script(f"UPDATE orders SET gone = {gone}")  # noqa: S608 # a test's own words
        assert await shop.settle(move) == NotMoved({})
        await base.script(f"UPDATE orders SET gone = {here}")  # noqa: S608 # a test's own words
        assert await shop.settle(move) == Moved()
