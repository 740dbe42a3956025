"""What `verify` makes of columns that hold nonsense, of signatures, and of evidence that was pruned."""

from __future__ import annotations

import dataclasses
import tracemalloc
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, update

from reconciler.ledger import SqlLedger
from reconciler.ledger.tables import entries, evidence
from reconciler.ledger.verify import verify
from reconciler.ports import Batch, Entry, LedgerUnavailable
from reconciler.testing.ledger_examples import LATER, NOW
from reconciler.testing.ledger_examples import evidence as unsigned
from tests.integration.databases import KINDS, Database
from tests.integration.ledger.signed import VERIFIERS, alipay, private
from tests.integration.ledger.tampering import (
    LAST,
    MODULE,
    SETTLED_BY_ALIPAY,
    SETTLED_BY_WECHAT,
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


# ---- what only a file can hold


@in_a_file
@pytest.mark.parametrize(
    ("statement", "first", "words"),
    [
        ("UPDATE evidence SET body = 1000000000000 WHERE gateway = 'wechat'", 6, "cannot be read"),
        ("UPDATE entries SET order_no = X'00' WHERE id = 2", 2, "altered"),
        ("UPDATE entries SET at = 'x' WHERE id = 2", 2, "altered"),
        ("UPDATE entries SET at = 9000000000000000000 WHERE id = 2", 2, "altered"),
        ("UPDATE entries SET evidence_digest = X'00' WHERE id = 4", 4, "altered"),
        ("UPDATE evidence SET key_fingerprint = X'00' WHERE gateway = 'wechat'", 6, "evidence"),
        ("UPDATE verifying_keys SET pem = X'00'", 4, "is another key"),
        ("UPDATE entries SET body = CAST(X'FF' AS TEXT) WHERE id = 2", 2, "cannot be read: "),
        ("UPDATE entries SET body = CAST(X'FF' AS TEXT) WHERE id = 9", 9, "cannot be read: "),
        ("UPDATE evidence SET request = CAST(X'FF' AS TEXT) WHERE gateway = 'wechat'", 6, "cannot be read: "),
    ],
)
async def test_what_no_column_should_hold_is_a_finding_and_no_end(
    bench: Bench, statement: str, first: int, words: str
) -> None:
    assert await bench.base.execute(statement)
    found = await bench.found(bench.head)
    assert found.problems[0].entry == first
    assert words in "".join(problem.text for problem in found.problems if problem.entry == first)
    assert found.head[0] == LAST


@in_a_file
async def test_one_entry_that_cannot_be_read_hides_no_other(bench: Bench) -> None:
    await bench.base.script("UPDATE entries SET body = CAST(X'FF' AS TEXT) WHERE id IN (2, 3)")
    await bench.tamper([entry(8, order_no="forged")])
    found = await bench.found()
    assert [problem.entry for problem in found.problems] == [2, 3, 8]
    assert found.entries == LAST - 2


@in_a_file
async def test_a_ledger_that_is_away_is_unavailable_and_not_unsound(bench: Bench, tmp_path: Path) -> None:
    await bench.base.script("ALTER TABLE entries RENAME TO elsewhere")
    with pytest.raises(LedgerUnavailable):
        await bench.found()


# ---- signatures


@in_a_file
async def test_a_signature_that_fails_is_told_with_its_reason(bench: Bench) -> None:
    found = await verify(bench.ledger, {**VERIFIERS, "wechat": lambda _evidence, _key: "wrong signature"})
    said = "the gateway's signature does not verify: wrong signature"
    assert [(problem.entry, problem.text) for problem in found.problems] == [(6, said), (7, said)]
    assert found.signatures == 3


@in_a_file
async def test_a_forged_answer_with_a_digest_and_a_chain_to_match_fails_by_its_signature(bench: Bench) -> None:
    forged = dataclasses.replace(alipay("N1"), body=alipay("N1").body.replace(b"99.00", b"99.01"))
    await bench.tamper([kept(SETTLED_BY_ALIPAY, digest=forged.digest(), body=forged.body)])
    await bench.tamper(
        [update(entries).where(entries.c.evidence_digest == SETTLED_BY_ALIPAY).values(evidence_digest=forged.digest())]
    )
    await renewed(bench)
    found = await bench.found()
    assert [problem.entry for problem in found.problems] == [4, 5]
    assert found.problems[0].text == "the gateway's signature does not verify: the signature does not verify"


@in_a_file
async def test_a_signature_that_nobody_here_can_check_is_counted_by_its_gateway(bench: Bench) -> None:
    found = await verify(bench.ledger, {"wechat": VERIFIERS["wechat"]})
    assert (found.signatures, found.unchecked, found.problems) == (2, (("alipay", 3),), ())


@in_a_file
async def test_a_key_with_the_certificate_that_vouches_for_it_is_in_order(bench: Bench) -> None:
    await bench.tamper([key("alipay", pem=certified(private("alipay")))])
    assert (await bench.found()).is_sound


# ---- retention


@every_kind
async def test_pruned_evidence_is_a_fact_and_no_fault_also_between_entries(bench: Bench) -> None:
    first = await bench.found()
    for turn in range(1, 4):
        before = NOW + timedelta(hours=turn)
        await bench.ledger.prune(before)
        entry_of_turn = Entry("noted", body={"turn": turn}, evidence=unsigned(str(turn)))
        await bench.ledger.record(Batch(entries=(entry_of_turn,)), before + timedelta(minutes=1))
        found = await bench.found(bench.head)
        assert found.problems == ()
        # Entry 8's stays: its case is open. Each turn's own goes in the next.
        assert (found.evidence, found.pruned, found.pruned_before) == (2, 4 + turn, before)
    assert first.pruned_before is None


@every_kind
async def test_what_is_changed_after_a_pruning_is_found(bench: Bench) -> None:
    await bench.ledger.prune(LATER)
    await bench.tamper([entry(4, body="{}")])
    assert [problem.entry for problem in (await bench.found()).problems] == [4]


@in_a_file
async def test_missing_evidence_younger_than_any_pruning_is_a_problem(bench: Bench) -> None:
    await bench.ledger.record(Batch(entries=(Entry("new", evidence=unsigned("new")),)), LATER)
    await bench.ledger.prune(NOW + timedelta(seconds=1))
    await bench.tamper([delete(evidence)])
    # Entry 8's was to stay, for its open case; but the mark allows for it, and only the entry after it is told.
    assert [problem.entry for problem in (await bench.found()).problems] == [LAST + 1]


@every_kind
async def test_evidence_that_was_made_to_look_old_and_so_pruned_early_is_missed(bench: Bench) -> None:
    await bench.tamper([kept(SETTLED_BY_WECHAT, used_at=0)])
    assert (await bench.found()).is_sound
    await bench.ledger.prune(NOW - timedelta(days=400))
    problems = (await bench.found()).problems
    assert [(problem.entry, problem.order_no) for problem in problems] == [(6, "A2"), (7, "A2")]
    assert problems[0].text == "its evidence is missing, though nothing from its time was pruned"


@in_a_file
async def test_what_is_pruned_while_it_is_walked_is_no_problem(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODULE, "PAGE", 2)
    leader, walk = bench.ledger, SqlLedger.walk

    async def pruning(self: SqlLedger, after: int | None, limit: int) -> Any:  # noqa: ANN401 # as `walk`
        if after == 4:
            await leader.prune(LATER)
        return await walk(self, after, limit)

    monkeypatch.setattr(SqlLedger, "walk", pruning)
    found = await bench.found()
    assert (found.problems, found.pruned) == ((), 3)


@in_a_file
async def test_the_walk_remembers_no_more_of_many_entries_than_of_few(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MODULE, "PAGE", 50)
    peaks = []
    for count in (500, 5_000):
        await bench.ledger.record(Batch(entries=tuple(Entry("noted") for _ in range(count))), NOW)
        await bench.found()  # what is kept for good, as compiled statements are, is there by now
        tracemalloc.start()
        assert (await bench.found(bench.head)).is_sound
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 300_000
