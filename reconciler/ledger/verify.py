"""Walk the chain, and check again what it rests on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from reconciler.domain.answer import Evidence, VerifyingKey
from reconciler.ledger import evidence as evidence_of
from reconciler.ledger.chain import NOTHING, EntryRow, hash_of
from reconciler.ledger.prune import PRUNED_MARK
from reconciler.ledger.store import SqlLedger
from reconciler.ledger.story import Step

PAGE = 500
PROBLEMS_MAX = 1000

Verifier = Callable[[Evidence, VerifyingKey], str | None]
"""A gateway's check of its own signature: None where it verifies, else the reason."""

_NO_HEADS: Mapping[int, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Verification:
    """What the walk has found."""

    entries: int
    head: tuple[int, str]
    evidence: int
    """Entries whose evidence is there and is what the entry says."""
    signatures: int
    """Those of them whose gateway's signature was verified again."""
    pruned: int
    """Entries whose evidence was pruned."""
    problems: tuple[tuple[int, str], ...]
    """Number of the entry and what is wrong there; the first thousand."""

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


async def verify(
    ledger: SqlLedger, verifiers: Mapping[str, Verifier], heads: Mapping[int, str] = _NO_HEADS
) -> Verification:
    """Recompute every hash and digest, and verify every signature that there is a verifier for.

    `verifiers` go by the kind of gateway; `heads` are numbers and hashes that were logged or kept elsewhere: they alone
    can show that the whole chain was written anew, or its end cut off.
    """
    pruned_before = _number(await ledger.mark(PRUNED_MARK))
    walk = _Walk(verifiers, heads, pruned_before)
    while steps := await ledger.walk(walk.last, PAGE):
        for step in steps:
            walk.take(step)
    return walk.end()


class _Walk:
    def __init__(self, verifiers: Mapping[str, Verifier], heads: Mapping[int, str], pruned_before: int | None) -> None:
        self.last = 0
        self._hash = NOTHING
        self._verifiers = verifiers
        self._heads = heads
        self._pruned_before = pruned_before
        self._entries = self._evidence = self._signatures = self._pruned = 0
        self._problems: list[tuple[int, str]] = []

    def take(self, step: Step) -> None:
        row = step.row
        if row.id != self.last + 1:
            self._wrong(row.id, f"entries {self.last + 1} to {row.id - 1} are missing")
        if row.previous != self._hash:
            self._wrong(row.id, "does not carry the hash of the entry before")
        if row.hash != _hash(row):
            self._wrong(row.id, "has been altered: its hash is another")
        if row.id in self._heads and row.hash != self._heads[row.id]:
            self._wrong(row.id, "is not the entry whose hash was kept elsewhere")
        if row.evidence_digest is not None:
            self._check_evidence(step, row.evidence_digest)
        self.last, self._hash = row.id, row.hash
        self._entries += 1

    def end(self) -> Verification:
        for number in sorted(self._heads):
            if number > self.last:
                self._wrong(number, f"is missing: the chain ends with {self.last}, and its hash was kept elsewhere")
        return Verification(
            self._entries,
            (self.last, self._hash),
            self._evidence,
            self._signatures,
            self._pruned,
            tuple(self._problems[:PROBLEMS_MAX]),
        )

    def _check_evidence(self, step: Step, digest: str) -> None:
        number, at = step.row.id, step.row.at
        if step.evidence is None:
            self._pruned += 1
            if not _is_before(at, self._pruned_before):
                self._wrong(number, "its evidence is missing, though nothing from its time was pruned")
            return
        try:
            evidence = evidence_of.read(step.evidence)
            found = evidence.digest()
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            self._wrong(number, f"its evidence cannot be read: {error}")
            return
        if found != digest:
            self._wrong(number, "its evidence has been altered: its digest is another")
            return
        self._evidence += 1
        if evidence.key_fingerprint is not None:
            self._check_signature(number, evidence, step.key)

    def _check_signature(self, number: int, evidence: Evidence, key: VerifyingKey | None) -> None:
        verifier = self._verifiers.get(evidence.gateway)
        if key is None:
            self._wrong(number, f"the key {evidence.key_fingerprint} of its evidence is missing")
        elif _fingerprint(key) != evidence.key_fingerprint:
            self._wrong(number, f"the key kept as {evidence.key_fingerprint} is another key")
        elif verifier is not None:
            reason = verifier(evidence, key)
            if reason is None:
                self._signatures += 1
            else:
                self._wrong(number, f"the gateway's signature does not verify: {reason}")

    def _wrong(self, number: int, problem: str) -> None:
        if len(self._problems) < PROBLEMS_MAX:
            self._problems.append((number, problem))


def _fingerprint(key: VerifyingKey) -> str | None:
    """SHA-256 of the key's DER SubjectPublicKeyInfo, hex; None for text that is no key."""
    try:
        public = load_pem_public_key(key.pem.encode())
    except ValueError:
        return None
    return hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _hash(row: EntryRow) -> str | None:
    """Do as `hash_of`; None where a column holds what JSON cannot (SQLite keeps anything)."""
    try:
        return hash_of(row)
    except (TypeError, ValueError):
        return None


def _is_before(at: object, before: int | None) -> bool:
    return before is not None and isinstance(at, int) and at < before


def _number(text: str | None) -> int | None:
    try:
        return None if text is None else int(text)
    except ValueError:
        return None
