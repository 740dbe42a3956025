"""What `verify` finds, each tampering done behind the ledger's back: and which entry it names first."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Mapping, Sequence

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import Executable, delete, insert, select, update

from reconciler.ledger.chain import EntryRow, hash_of
from reconciler.ledger.tables import entries, evidence, metadata, verifying_keys
from reconciler.ledger.verify import PROBLEMS_MAX, Problem, Verification
from reconciler.ports import Batch, Entry
from reconciler.testing.ledger_examples import NOW
from tests.integration.databases import KINDS, Database
from tests.integration.ledger.signed import KINDS_OF_ENTRIES, alipay, key_of
from tests.integration.ledger.tampering import (
    LAST,
    MODULE,
    SETTLED_BY_ALIPAY,
    SETTLED_BY_WECHAT,
    TABLES,
    Bench,
    bench_of,
    certified,
    entry,
    kept,
    key,
    renewed,
)

every_kind = pytest.mark.parametrize("kind", KINDS)
in_a_file = pytest.mark.parametrize("kind", ["sqlite"])


@pytest.fixture
async def bench(base: Database) -> AsyncIterator[Bench]:
    async with bench_of(base) as made:
        yield made


@every_kind
async def test_an_untouched_ledger_is_sound(bench: Bench) -> None:
    assert await bench.base.rows("SELECT kind FROM entries ORDER BY id") == [(kind,) for kind in KINDS_OF_ENTRIES]
    found = await bench.found(bench.head, bench.head, (0, "0" * 64))
    assert found == Verification(LAST, bench.head, 6, 5, 0, None, ())
    assert found.is_sound


# ---- tampering


def another_pem() -> str:
    public = generate_private_key(65537, 2048).public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def without_one_digit(pem: str) -> str:
    return pem[:40] + ("A" if pem[40] != "A" else "B") + pem[41:]


CHANGED: Mapping[str, object] = {
    "id": 99,
    "at": 0,
    "kind": "seen",
    "order_key": "9",
    "order_no": "A9",
    "channel": "wechat-main",
    "out_trade_no": "N9",
    "body": "{}",
    "evidence_digest": SETTLED_BY_WECHAT,
    "previous": "f" * 64,
    "hash": "f" * 64,
}
CHANGED_EVIDENCE: Mapping[str, object] = {
    "digest": "f" * 64,
    "gateway": "wechat",
    "request": "alipay.trade.query N9",
    "status": 201,
    "headers": '[["a","b"]]',
    "body": alipay("N1", yuan="98.00").body,
    "key_fingerprint": key_of("wechat").fingerprint,
    "received_at": "2026-11-23T08:00:02+00:00",
}
"""All but `used_at`, which says when it may be pruned, and is no part of it."""
EMPTIED = ("order_key", "channel", "evidence_digest")

Tampering = tuple[Sequence[Executable], int, str]
"""What is done, the first bad entry, and words about it."""

TAMPERINGS: dict[str, Tampering] = {
    **{
        f"an entry's {name} changed": ([entry(5, **{name: value})], 6 if name == "id" else 5, "")
        for name, value in CHANGED.items()
    },
    **{f"an entry's {name} taken away": ([entry(5, **{name: None})], 5, "has been altered") for name in EMPTIED},
    "an entry removed": ([delete(entries).where(entries.c.id == 5)], 6, "entry 5 is missing"),
    "the first entries removed": ([delete(entries).where(entries.c.id < 3)], 3, "entries 1 to 2 are missing"),
    "two entries swapped": ([entry(4, id=99), entry(5, id=4), entry(99, id=5)], 4, "the hash of the entry before"),
    "evidence exchanged between entries": (
        [entry(5, evidence_digest=SETTLED_BY_WECHAT), entry(7, evidence_digest=SETTLED_BY_ALIPAY)],
        5,
        "has been altered",
    ),
    "evidence exchanged under its digests": (
        [
            kept(SETTLED_BY_ALIPAY, digest="f" * 64),
            kept(SETTLED_BY_WECHAT, digest=SETTLED_BY_ALIPAY),
            kept("f" * 64, digest=SETTLED_BY_WECHAT),
        ],
        4,
        "its evidence has been altered",
    ),
    **{
        f"evidence's {name} changed": ([kept(SETTLED_BY_ALIPAY, **{name: value})], 4, "its evidence")
        for name, value in CHANGED_EVIDENCE.items()
    },
    "evidence's key taken away": ([kept(SETTLED_BY_WECHAT, key_fingerprint=None)], 6, "its evidence has been altered"),
    "evidence that is none": ([kept(SETTLED_BY_WECHAT, headers="1")], 6, "its evidence cannot be read"),
    "evidence of no time": ([kept(SETTLED_BY_WECHAT, received_at="never")], 6, "its evidence cannot be read"),
    "evidence removed": (
        [delete(evidence).where(evidence.c.digest == SETTLED_BY_WECHAT)],
        6,
        "its evidence is missing, though nothing from its time was pruned",
    ),
    "a key edited": ([key("wechat", pem=without_one_digit(key_of("wechat").pem))], 6, "is another key"),
    "a key exchanged": ([key("wechat", pem=another_pem())], 6, "is another key"),
    "a key that is none": ([key("wechat", pem="PEM")], 6, "is another key"),
    "a key under another name": ([key("wechat", fingerprint="f" * 64)], 6, "of its evidence is missing"),
    "a key removed": ([delete(verifying_keys)], 4, "of its evidence is missing"),
    "a certificate of another key behind a key": (
        [key("alipay", pem=certified(generate_private_key(65537, 2048)))],
        4,
        "another key's certificate",
    ),
    "something else behind a key": (
        [key("alipay", pem=key_of("alipay").pem + "-----BEGIN X-----")],
        4,
        "what is no certificate",
    ),
    "the end cut off with its evidence's traces left": (
        [delete(entries).where(entries.c.id >= 8)],
        8,
        "no entry names 1 of the evidence",
    ),
}


@pytest.mark.parametrize(("kind", "page"), [*((kind, 2) for kind in KINDS), ("sqlite", 500)])
async def test_each_tampering_is_found_and_the_first_bad_entry_named(
    bench: Bench, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MODULE, "PAGE", page)
    rows = {
        table.name: [row._asdict() for row in await bench.base.connection.execute(select(table))] for table in TABLES
    }
    missed = {}
    for name, (statements, first, words) in TAMPERINGS.items():
        await bench.tamper(statements)
        problems = (await bench.found()).problems
        said = [problem.text for problem in problems if problem.entry == first]
        if not problems or problems[0].entry != first or not any(words in text for text in said):
            missed[name] = problems
        for table in TABLES:
            await bench.base.connection.execute(delete(table))
            await bench.base.connection.execute(insert(table), rows[table.name])
    assert not missed
    assert (await bench.found()).is_sound


async def inserted(bench: Bench, at: int, row: EntryRow) -> None:
    """Put an entry in between; those behind it move up by one."""
    await bench.tamper([update(entries).where(entries.c.id >= at).values(id=entries.c.id + 1000)])
    await bench.tamper([update(entries).where(entries.c.id >= 1000).values(id=entries.c.id - 999)])
    await bench.tamper([insert(entries).values(**dataclasses.asdict(row))])


@every_kind
@pytest.mark.parametrize("well_made", [True, False])
async def test_an_inserted_entry_is_found_itself_or_by_the_one_behind_it(bench: Bench, well_made: bool) -> None:
    rows = await bench.base.rows("SELECT hash FROM entries WHERE id = 4")
    row = EntryRow(5, 0, "noted", None, "forged", None, "", "{}", None, rows[0][0])
    await inserted(bench, 5, dataclasses.replace(row, hash=hash_of(row) if well_made else "f" * 64))
    first = (await bench.found()).problems[0]
    assert first.entry == (6 if well_made else 5)
    assert first.text == (
        "does not carry the hash of the entry before" if well_made else "has been altered: its hash is another"
    )


@pytest.mark.parametrize(("kind", "number"), [*((kind, -(2**63)) for kind in KINDS), ("sqlite", 0)])
async def test_an_entry_before_the_first_is_found(bench: Bench, number: int) -> None:
    row = EntryRow(number, 0, "noted", None, "forged", None, "", "{}", None, "0" * 64)
    await bench.tamper([insert(entries).values(**dataclasses.asdict(dataclasses.replace(row, hash=hash_of(row))))])
    problems = (await bench.found()).problems
    assert [(problem.entry, problem.order_no) for problem in problems] == [(number, "forged")]


@every_kind
async def test_the_first_bad_entry_is_named_with_its_time_and_its_order(bench: Bench) -> None:
    await bench.tamper([entry(5, body="{}"), entry(7, body="{}")])
    problems = (await bench.found()).problems
    assert [problem.entry for problem in problems] == [5, 7]
    assert problems[0] == Problem(5, "has been altered: its hash is another", NOW, "A1")


@every_kind
async def test_a_cut_or_rewritten_end_is_found_by_heads_kept_elsewhere(bench: Bench) -> None:
    ((fourth,),) = await bench.base.rows("SELECT hash FROM entries WHERE id = 4")
    await bench.tamper([delete(entries).where(entries.c.id == LAST)])
    assert (await bench.found((4, fourth))).is_sound
    (problem,) = (await bench.found(bench.head, (4, fourth))).problems
    assert (problem.entry, problem.at, problem.order_no) == (LAST, None, "")
    assert problem.text == f"is missing: the chain ends with {LAST - 1}, and its hash was kept elsewhere"

    await bench.tamper([entry(2, body="{}")])
    await renewed(bench)
    assert (await bench.found()).is_sound
    (problem,) = (await bench.found((4, fourth))).problems
    assert (problem.entry, problem.order_no) == (4, "A1")
    assert problem.text.startswith("is not the entry whose hash was kept elsewhere")


@in_a_file
async def test_of_two_heads_with_one_number_the_wrong_one_is_told(bench: Bench) -> None:
    """As in the log of a daemon whose ledger was restored from yesterday's."""
    (problem,) = (await bench.found(bench.head, (LAST, "e" * 64))).problems
    assert (problem.entry, "(eeeeeeeeeeee…)" in problem.text) == (LAST, True)
    assert [problem.entry for problem in (await bench.found((0, "e" * 64))).problems] == [0]


@in_a_file
async def test_no_more_than_so_many_problems_are_told(bench: Bench) -> None:
    await bench.ledger.record(Batch(entries=tuple(Entry("noted", order_no=str(at)) for at in range(PROBLEMS_MAX))), NOW)
    await bench.tamper([update(entries).values(body="[]")])
    problems = (await bench.found()).problems
    assert [problem.entry for problem in problems] == list(range(1, PROBLEMS_MAX + 1))


async def test_the_tables_that_are_tampered_with_are_all_that_the_chain_rests_on() -> None:
    assert {table.name for table in metadata.sorted_tables} - {table.name for table in TABLES} == {
        "marks",
        "watches",
        "intentions",
        "cases",
    }
    assert set(CHANGED) == {column.name for column in entries.c}
    assert set(CHANGED_EVIDENCE) | {"used_at"} == {column.name for column in evidence.c}
