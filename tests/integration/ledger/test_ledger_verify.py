"""What `verify` finds, each tampering done behind the ledger's back."""

import hashlib
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from reconciler.domain.answer import Evidence, VerifyingKey
from reconciler.domain.order import OrderKey
from reconciler.ledger import SqlLedger, Verification, open_ledger, verify
from reconciler.ports import Batch, Entry
from reconciler.testing.ledger_examples import LATER, NOW, evidence

_PUBLIC = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key()
KEY = VerifyingKey(
    hashlib.sha256(_PUBLIC.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest(),
    _PUBLIC.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
)
SIGNED = replace(evidence("signed"), key_fingerprint=KEY.fingerprint)


def accept(_evidence: Evidence, _key: VerifyingKey) -> str | None:
    return None


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[SqlLedger]:
    """Give a ledger of five entries: led, plain, with evidence, with signed evidence, plain."""
    ledger = await open_ledger(f"sqlite:///{tmp_path}/ledger.db")
    await ledger.lead("test", NOW)
    key = OrderKey("1")
    entries = (
        Entry("plain", key, "A1", body={"why": "订单 \ud800"}),
        Entry("seen", key, "A1", evidence=evidence()),
        Entry("signed", key, "A1", evidence=SIGNED, key=KEY),
        Entry("plain", key, "A1"),
    )
    await ledger.record(Batch(entries=entries), NOW)
    yield ledger
    await ledger.close()


async def test_an_untouched_ledger_is_sound(ledger: SqlLedger) -> None:
    found = await verify(ledger, {"alipay": accept}, dict([await ledger.head()]))
    assert found == Verification(5, await ledger.head(), evidence=2, signatures=1, pruned=0, problems=())
    assert found.is_sound


@pytest.mark.parametrize(
    ("tampering", "entry", "problem"),
    [
        ("UPDATE entries SET body = '{}' WHERE id = 2", 2, "altered"),
        ("UPDATE entries SET at = at + 1 WHERE id = 2", 2, "altered"),
        ("UPDATE entries SET order_key = NULL WHERE id = 2", 2, "altered"),
        ("UPDATE entries SET order_no = 'A2' WHERE id = 2", 2, "altered"),
        ("UPDATE entries SET channel = '' WHERE id = 2", 2, "altered"),
        ("UPDATE entries SET evidence_digest = NULL WHERE id = 3", 3, "altered"),
        ("UPDATE entries SET hash = 'x' WHERE id = 2", 3, "hash of the entry before"),
        ("DELETE FROM entries WHERE id = 2", 3, "entries 2 to 2 are missing"),
        ("DELETE FROM entries WHERE id = 1", 2, "entries 1 to 1 are missing"),
        ("DELETE FROM evidence WHERE key_fingerprint IS NULL", 3, "evidence is missing"),
        ("UPDATE evidence SET body = X'7B' WHERE key_fingerprint IS NULL", 3, "digest is another"),
        ("UPDATE evidence SET received_at = 'never' WHERE key_fingerprint IS NULL", 3, "cannot be read"),
        ("UPDATE evidence SET body = 1000000000000 WHERE key_fingerprint IS NULL", 3, "cannot be read"),
        ("UPDATE evidence SET headers = '1' WHERE key_fingerprint IS NULL", 3, "cannot be read"),
        ("UPDATE entries SET order_no = X'00' WHERE id = 2", 2, "altered"),
        ("UPDATE entries SET at = 'x', evidence_digest = 'gone' WHERE id = 3", 3, "evidence is missing"),
        ("DELETE FROM verifying_keys", 4, "of its evidence is missing"),
        ("UPDATE verifying_keys SET pem = 'PEM'", 4, "is another key"),
    ],
)
async def test_tampering_is_found_where_it_happened(
    ledger: SqlLedger, tmp_path: Path, tampering: str, entry: int, problem: str
) -> None:
    _tamper(tmp_path, tampering)
    found = await verify(ledger, {"alipay": accept})
    assert not found.is_sound
    assert [number for number, text in found.problems if problem in text] == [entry]


async def test_a_signature_that_fails_is_told_with_its_reason(ledger: SqlLedger) -> None:
    found = await verify(ledger, {"alipay": lambda _evidence, _key: "wrong signature"})
    assert found.problems == ((4, "the gateway's signature does not verify: wrong signature"),)
    assert found.signatures == 0


async def test_a_cut_or_rewritten_end_is_found_by_heads_kept_elsewhere(ledger: SqlLedger, tmp_path: Path) -> None:
    number, digest = await ledger.head()
    _tamper(tmp_path, "DELETE FROM entries WHERE id = 5")
    assert (await verify(ledger, {})).is_sound
    assert [entry for entry, _ in (await verify(ledger, {}, {number: digest})).problems] == [5]
    assert [entry for entry, _ in (await verify(ledger, {}, {2: digest})).problems] == [2]


async def test_pruned_evidence_is_counted_and_no_problem(ledger: SqlLedger) -> None:
    await ledger.record(Batch(entries=(Entry("new", evidence=evidence("new")),)), LATER)
    assert await ledger.prune(LATER) == 3  # two pieces of evidence, and the key
    found = await verify(ledger, {"alipay": accept})
    assert (found.pruned, found.evidence, found.problems) == (2, 1, ())


async def test_missing_evidence_younger_than_any_pruning_is_a_problem(ledger: SqlLedger, tmp_path: Path) -> None:
    await ledger.prune(NOW - timedelta(days=1))
    await ledger.record(Batch(entries=(Entry("new", evidence=evidence("new")),)), LATER)
    await ledger.prune(NOW + timedelta(seconds=1))
    _tamper(tmp_path, "DELETE FROM evidence")
    assert [entry for entry, _ in (await verify(ledger, {})).problems] == [6]


def _tamper(tmp_path: Path, statement: str) -> None:
    file = sqlite3.connect(tmp_path / "ledger.db")
    with file:
        file.execute(statement)
    file.close()
