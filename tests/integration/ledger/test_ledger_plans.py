"""With 200,000 watches each statement that the ledger issues in a turn is served by an index.

EXPLAIN says so, of the very statements as they were issued.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event

from reconciler.domain.case import CaseKind
from reconciler.ledger import SqlLedger, open_ledger
from reconciler.ledger.values import to_us
from reconciler.ports import Batch, EndCases, Entry, Look, News, NewWatch, Outcome, Question
from reconciler.testing.ledger_examples import (
    CHANNEL,
    NOW,
    OTHER,
    attempt,
    begin,
    evidence,
    intention,
    lease,
    report,
    update,
)
from tests.integration.databases import SERVERS, Database

ROWS, OPEN, DUE = 200_000, 20_000, 2_000
OTHER_ROWS = 20_000  # of each other table
SECOND = 1_000_000
SERIES = {"mysql": "seq_1_to_{rows}", "postgresql": "generate_series(CAST(1 AS BIGINT), {rows}) seq"}
ANALYSED = {"mysql": "ANALYZE TABLE {}", "postgresql": "VACUUM ANALYZE {}"}
USED = {"const", "eq_ref", "ref", "range", "system", "index_merge"}
Columns = dict[str, object]
TABLES = ("watches", "intentions", "cases", "entries", "evidence", "verifying_keys", "marks")

pytestmark = pytest.mark.parametrize("kind", SERVERS)


@pytest.fixture
async def ledger(base: Database) -> AsyncIterator[SqlLedger]:
    """Give a ledger that leads: of 200,000 watches a tenth is open, and a tenth of those due."""
    ledger = await open_ledger(base.url)
    await fill(base)
    await ledger.lead("first", NOW)
    yield ledger
    await ledger.close()


async def fill(base: Database) -> None:
    """Fill the tables as years would: `seq` is the number of a row."""
    now, at = to_us(NOW), f"{to_us(NOW)} - MOD({ROWS} - seq, {OTHER_ROWS}) * {SECOND}"
    false = "0" if base.kind == "mysql" else "FALSE"
    key, number, digest, transaction = (f"CONCAT('{name}', seq)" for name in ("k", "A", "d", "t"))
    names: Columns = {"order_key": key, "order_no": number, "out_trade_no": number, "channel": f"'{CHANNEL}'"}
    texts: Columns = dict.fromkeys(("previous", "hash"), "'h'")
    rows: dict[str, Columns] = {
        "watches": names
        | dict.fromkeys(("interruptions", "failures", "untrusted_run"), 0)
        | {
            "channel": f"CASE MOD(seq, 2) WHEN 1 THEN '{OTHER}' ELSE '{CHANNEL}' END",
            "created_at": at,
            "next_ask_at": now,
        }
        | {"due_at": f"CASE WHEN seq <= {OPEN} THEN {now} + seq * {SECOND} - {DUE} * {SECOND} END"}
        | {"ended_at": f"CASE WHEN seq > {OPEN} THEN {at} END", "was_paid": false, "last_decision": "''"}
        | {"why": "''", "asks": "'[]'"},
        "entries": names
        | texts
        | {"id": "seq", "at": at, "kind": "'noted'", "body": "'{}'", "evidence_digest": digest},
        "evidence": {"digest": digest, "gateway": "'alipay'", "request": "''", "status": 200, "headers": "'[]'"}
        | {"body": "''", "received_at": f"'{NOW.isoformat()}'", "used_at": at},
        "intentions": names
        | {"id": "CONCAT('i', seq)", "share": 0, "transaction_id": transaction, "amount_fen": 9900, "currency": "'CNY'"}
        | {"paid_at": at, "why": "''", "begun_at": at, "outcome": "'settled'", "concluded_at": at, "claim": 1},
        "cases": names
        | {"kind": "'amount_mismatch'", "why": "''", "facts": "'[]'", "facts_digest": "'d'", "opened_at": at}
        | {"repeated": 0, "ended_at": at, "ending": "''", "final": false}
        | {"end_untold": "CASE WHEN MOD(seq, 100) = 0 THEN seq END", "told_at": at}
        | {"remind_at": f"CASE WHEN MOD(seq, 100) = 1 THEN {now} END"},
    }
    for table, columns in rows.items():
        series = SERIES[base.kind].format(rows=ROWS if table == "watches" else OTHER_ROWS)
        values = ", ".join(str(value) for value in columns.values())
        await base.script(f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM {series}")  # noqa: S608 # our own words
    await base.script(*(ANALYSED[base.kind].format(table) for table in TABLES))


class Issued:
    """The statements that an engine was given."""

    def __init__(self) -> None:
        self.statements: dict[str, Any] = {}

    def note(self, _c: object, _cursor: object, statement: str, parameters: Any, _x: object, many: bool) -> None:  # noqa: ANN401 # the driver's own
        if any(table in statement for table in TABLES) and not statement.startswith("INSERT"):
            self.statements.setdefault(statement, parameters[0] if many else parameters)


@contextmanager
def issued_by(ledger: SqlLedger) -> Iterator[Issued]:
    issued = Issued()
    engines = (ledger._engines.write.sync_engine, ledger._engines.read.sync_engine)
    for engine in engines:
        event.listen(engine, "before_cursor_execute", issued.note)
    yield issued
    for engine in engines:
        event.remove(engine, "before_cursor_execute", issued.note)


async def faults(base: Database, issued: Issued) -> dict[str, list[str]]:
    """Give each statement that is not served, with what is wrong with its plan."""
    assert issued.statements
    judge = {"mysql": mysql_faults, "postgresql": postgresql_faults}[base.kind]
    found = {statement: await judge(base, statement, values) for statement, values in issued.statements.items()}
    return {statement: wrong for statement, wrong in found.items() if wrong}


async def mysql_faults(base: Database, statement: str, values: Any) -> list[str]:  # noqa: ANN401 # the driver's own
    result = await base.connection.exec_driver_sql(f"EXPLAIN {statement}", values)
    wrong = []
    for row in result.mappings():
        if row["table"] in {None, "marks"} or str(row["table"]).startswith(
            "<"
        ):  # a mark is found by its key, or all are
            continue
        # the newest entry, at the index's end
        is_short = row["type"] == "index" and "LIMIT" in statement and int(row["rows"]) <= 1000
        if row["key"] is None or not (row["type"] in USED or is_short):
            wrong.append(str(dict(row)))
    return wrong


async def postgresql_faults(base: Database, statement: str, values: Any) -> list[str]:  # noqa: ANN401 # the driver's own
    result = await base.connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", values)
    (plan,) = result.scalar_one()
    return list(_nodes(plan["Plan"], is_short=False))


def _nodes(node: dict[str, Any], *, is_short: bool) -> Iterator[str]:
    kind = node["Node Type"]
    for child in node.get("Plans", ()):
        yield from _nodes(child, is_short=kind == "Limit")
    if not kind.endswith("Scan") or node.get("Relation Name") in {None, "marks"}:
        return
    is_short &= "Filter" not in node  # the first few in the index's own order
    if kind == "Seq Scan" or not ("Index Cond" in node or kind == "Bitmap Heap Scan" or is_short):
        yield str({name: value for name, value in node.items() if name != "Plans"})


async def a_turn(ledger: SqlLedger) -> None:
    """Do all that the flow does with its ledger in a turn, from the due ask to the settlement."""
    for channel in (CHANNEL, OTHER):
        assert await ledger.next_due(channel)
        assert (await ledger.held_up(channel, NOW)).orders
    watches = await lease(ledger, 100)
    assert len(watches) == 100
    history = await ledger.histories([Question(watch, f"t{watch.attempt.order_key[1:]}") for watch in watches])
    assert all(item.settled for item in history)
    ends = tuple(EndCases(watch.attempt.order_key, "settled") for watch in watches)
    entries = (Entry("noted", evidence=evidence()),)
    await ledger.record(Batch(tuple(update(watch) for watch in watches), entries, (report("x1"),), ends), NOW)
    known = await begin(ledger, intention("x1", transaction_id="T-x1"))
    await ledger.conclude(known, Outcome.SETTLED, "done", Batch(), NOW)
    await ledger.watch([NewWatch(attempt(str(number)), NOW) for number in range(500)], NOW)
    await ledger.wake([watch.attempt.order_key for watch in watches], NOW)
    assert (await ledger.settled(NOW - timedelta(hours=1))).orders > 3000
    assert await ledger.open_intentions() == []
    assert await ledger.ends(NOW - timedelta(minutes=5), NOW + timedelta(minutes=5))
    assert await ledger.stuck()
    await ledger.set_mark("find.quick", "[1]")
    assert (await ledger.cases(limit=10))[0].kind is CaseKind.AMOUNT_MISMATCH
    assert (await ledger.open_cases())[CaseKind.AMOUNT_MISMATCH].count == 1
    entry, _ = await ledger.head()
    assert entry
    for news in News:
        look = Look(news, frozenset(CaseKind), NOW, entry)
        await ledger.news(look)
        await ledger.told(look)
    assert await ledger.untold() == 0


async def at_the_start(ledger: SqlLedger) -> None:
    """Do what is done when the lead was taken, when ages are learned, and what an operator asks for."""
    await ledger.free_leases()
    await ledger.wake_would_settle(NOW)
    assert (await ledger.story("A15000")).entries
    assert await ledger.walk(10_000, 100)
    seen = await ledger.payments(NOW - timedelta(hours=1), 1000)
    assert (len(seen.delays), seen.orders) == (500, 1000)  # half of these settlements have no watch of their channel


async def test_each_is_served_by_an_index_and_counting_reads_no_row(base: Database, ledger: SqlLedger) -> None:
    with issued_by(ledger) as counting:  # for the figures, not for each ask
        counted = await ledger.counts(NOW)
    assert (counted.open, counted.ended, counted.due) == (OPEN, ROWS - OPEN, DUE)
    assert await reads_no_row(base, counting)
    for turn in (a_turn, at_the_start):
        with issued_by(ledger) as issued:
            await turn(ledger)
        assert await faults(base, issued) == {}
    planted = Issued()  # the test of these tests
    scan, look = "SELECT id FROM watches WHERE failures = 5", "SELECT id FROM watches WHERE id = 5"
    planted.statements |= {scan: (), look: ()}
    assert list(await faults(base, planted)) == [scan]


async def reads_no_row(base: Database, issued: Issued) -> bool:
    ((statement, values),) = issued.statements.items()
    if base.kind == "mysql":
        (row,) = (await base.connection.exec_driver_sql(f"EXPLAIN {statement}", values)).mappings()
        return (row["type"], row["Extra"]) == ("index", "Using index")
    await base.script("SET enable_seqscan = off")  # these rows are so short that to read them costs no more
    result = await base.connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", values)
    await base.script("RESET enable_seqscan")
    return "Index Only Scan" in str(result.scalar_one())
