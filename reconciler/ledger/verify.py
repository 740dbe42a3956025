"""Walk the chain, and check again what it rests on."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from cryptography.x509 import load_pem_x509_certificates

from reconciler.domain.answer import Evidence, VerifyingKey
from reconciler.ledger import evidence as evidence_of
from reconciler.ledger.chain import NOTHING, EntryRow, hash_of
from reconciler.ledger.prune import PRUNED_MARK
from reconciler.ledger.store import SqlLedger
from reconciler.ledger.values import from_us
from reconciler.ledger.walk import Step
from reconciler.ports import LedgerUnavailable

PAGE = 500
SETTLED = "settled"
"""The kind of entry that says that an order was moved."""
PROBLEMS_MAX = 1000

Verifier = Callable[[Evidence, VerifyingKey], str | None]
"""A gateway's check of its own signature: None where it verifies, else the reason."""

Kept = tuple[int, str]
"""A head that was logged or kept elsewhere: the number of an entry, and its hash."""

_NONE: frozenset[str] = frozenset()
_PEM_ENDS = "-----END PUBLIC KEY-----"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and with which entry."""

    entry: int
    text: str
    at: datetime | None = None
    """When the entry says it was written; None where it is not there, or says no time."""
    order_no: str = ""


@dataclass(frozen=True, slots=True)
class Verification:
    """What the walk has found."""

    entries: int
    head: Kept
    evidence: int
    """Entries whose evidence is there and is what the entry says."""
    signatures: int
    """Those of them whose gateway's signature was verified again."""
    pruned: int
    """Entries whose evidence was pruned: a fact, no fault."""
    pruned_before: datetime | None
    """Evidence of entries from before it may have been pruned; None where nothing ever was."""
    problems: tuple[Problem, ...]
    """By number of entry, so that the first is the first bad entry; no more than a thousand."""
    unchecked: tuple[tuple[str, int], ...] = ()
    """Kinds of gateway that there was no verifier for, and how many signatures nobody could check for that."""

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


async def verify(ledger: SqlLedger, verifiers: Mapping[str, Verifier], heads: Collection[Kept] = ()) -> Verification:
    """Recompute every hash and digest, and verify every signature that there is a verifier for; count the others.

    `verifiers` go by the kind of gateway; `heads` were logged or kept elsewhere: they alone can show that the whole
    chain was written anew, or its end cut off. The daemon may go on writing meanwhile.
    """
    walk, limit = _Walk(verifiers, heads), PAGE
    while True:
        try:
            steps = await ledger.walk(walk.last, limit)
        except LedgerUnavailable as error:
            # Perhaps one row that cannot be read (SQLite keeps text that is none): come upon it alone, and go on.
            number = await ledger.next_number(walk.last)
            if number is None:
                raise
            if limit == 1:
                walk.unreadable(number, str(error))
            limit = PAGE if limit == 1 else limit // 2
            continue
        if not steps:
            return walk.end(await _orphans(ledger, walk))
        # Read after the page: what a daemon prunes meanwhile is known as pruned by then.
        walk.pruned_before = _number(await ledger.mark(PRUNED_MARK))
        for step in steps:
            walk.take(step)


class _Walk:
    def __init__(self, verifiers: Mapping[str, Verifier], heads: Collection[Kept]) -> None:
        self.last: int | None = None
        """Where the walk has come to; None before the first entry."""
        self.pruned_before: int | None = None
        self.problems: list[Problem] = []
        self._verifiers = verifiers
        self._expected = 1
        self._hash: str | None = NOTHING
        """Of the entry before; None where that one could not be read."""
        self._counts = Counter[str]()
        self._unchecked = Counter[str]()
        self._heads: dict[int, set[str]] = {}
        for number, digest in heads:
            self._heads.setdefault(number, set()).add(digest)

    def take(self, step: Step) -> None:
        row = step.row
        self.last = row.id
        if row.id < 1:
            self._wrong(row, "has a number that no entry has: the first is 1")
            return
        if row.id != self._expected:
            self._wrong(row, _missing(self._expected, row.id))
        if self._hash is not None and row.previous != self._hash:
            self._wrong(row, "does not carry the hash of the entry before")
        if row.hash != _hash(row):
            self._wrong(row, "has been altered: its hash is another")
        for digest in sorted(self._heads.get(row.id, _NONE) - {row.hash}):
            self._wrong(row, f"is not the entry whose hash was kept elsewhere ({digest[:12]}…)")
        if row.evidence_digest is not None:
            self._check_evidence(step, row.evidence_digest)
        elif row.kind == SETTLED:
            self._wrong(row, "moved an order, and names no evidence")
        self._expected, self._hash = row.id + 1, row.hash
        self._counts["entries"] += 1

    def unreadable(self, number: int, why: str) -> None:
        if number > self._expected:
            self._note(Problem(number, _missing(self._expected, number)))
        self._note(Problem(number, f"cannot be read: {why}"))
        self.last, self._expected, self._hash = number, number + 1, None

    def end(self, orphans: int) -> Verification:
        last = self._expected - 1
        if self._heads.get(0, _NONE) - {NOTHING}:
            self._note(Problem(0, "is no entry: before the first there is nothing, and its hash is zeros"))
        for number in sorted(self._heads):
            if number > last:
                self._note(Problem(number, f"is missing: the chain ends with {last}, and its hash was kept elsewhere"))
        if orphans:
            evidence = f"no entry names {orphans} of the evidence that is kept"
            self._note(Problem(last + 1, f"is missing, or one before it: {evidence}"))
        return Verification(
            self._counts["entries"],
            (last, self._hash or ""),
            self._counts["evidence"],
            self._counts["signatures"],
            self._counts["pruned"],
            _moment(self.pruned_before),
            tuple(sorted(self.problems, key=lambda problem: problem.entry)),
            tuple(sorted(self._unchecked.items())),
        )

    def _check_evidence(self, step: Step, digest: str) -> None:
        row = step.row
        if step.evidence is None:
            self._counts["pruned"] += 1
            if not _is_before(row.at, self.pruned_before):
                self._wrong(row, "its evidence is missing, though nothing from its time was pruned")
            return
        try:
            evidence = evidence_of.read(step.evidence)
            found = evidence.digest()
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            self._wrong(row, f"its evidence cannot be read: {error}")
            return
        if found != digest:
            self._wrong(row, "its evidence has been altered: its digest is another")
            return
        self._counts["evidence"] += 1
        if evidence.key_fingerprint is not None:
            self._check_signature(row, evidence, step.key)
        elif row.kind == SETTLED:
            self._wrong(row, "moved an order, and its evidence names no key")

    def _check_signature(self, row: EntryRow, evidence: Evidence, key: VerifyingKey | None) -> None:
        verifier = self._verifiers.get(evidence.gateway)
        if key is None:
            self._wrong(row, f"the key {evidence.key_fingerprint} of its evidence is missing")
        elif fault := _fault(key):
            self._wrong(row, f"the key kept as {evidence.key_fingerprint} {fault}")
        elif verifier is None:
            self._unchecked[evidence.gateway] += 1
        elif (reason := _reason(verifier, evidence, key)) is None:
            self._counts["signatures"] += 1
        else:
            self._wrong(row, f"the gateway's signature does not verify: {reason}")

    def _wrong(self, row: EntryRow, text: str) -> None:
        self._note(Problem(row.id, text, _moment(row.at), str(row.order_no)))

    def _note(self, problem: Problem) -> None:
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(problem)


async def _orphans(ledger: SqlLedger, walk: _Walk) -> int:
    try:
        return await ledger.orphans()
    except LedgerUnavailable:
        if walk.problems:  # what was found is told, whatever else cannot be read
            return 0
        raise


def _reason(verifier: Verifier, evidence: Evidence, key: VerifyingKey) -> str | None:
    """Let a gateway's own code judge what may have been tampered with: whatever it raises is a finding, not our end."""
    try:
        return verifier(evidence, key)
    except Exception as error:  # noqa: BLE001 # perhaps a stranger's code, over a stranger's bytes
        return f"{type(error).__name__}: {error}"


@lru_cache(maxsize=64)
def _fault(key: VerifyingKey) -> str | None:
    """Say what is wrong with a kept key, or with the certificates that follow it; None where nothing is.

    What a certificate says beside its key is its issuer's to vouch for, and covered by nothing here.
    """
    if _fingerprint(key) != key.fingerprint:
        return "is another key"
    _, end, certificates = key.pem.partition(_PEM_ENDS)
    if not end or not certificates.strip():
        return None
    try:
        certified = [certificate.public_key() for certificate in load_pem_x509_certificates(certificates.encode())]
    except (ValueError, UnsupportedAlgorithm):
        return "is followed by what is no certificate"
    for public in certified:
        der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if hashlib.sha256(der).hexdigest() != key.fingerprint:
            return "is followed by another key's certificate"
    return None


def _fingerprint(key: VerifyingKey) -> str | None:
    """SHA-256 of the key's DER SubjectPublicKeyInfo, hex; None for text that is no key."""
    try:
        public = load_pem_public_key(key.pem.encode())
    except (ValueError, AttributeError, UnsupportedAlgorithm):  # no text, even: SQLite keeps anything
        return None
    return hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _hash(row: EntryRow) -> str | None:
    """Do as `hash_of`; None where a column holds what JSON cannot (SQLite keeps anything)."""
    try:
        return hash_of(row)
    except (TypeError, ValueError):
        return None


def _missing(expected: int, number: int) -> str:
    if number == expected + 1:
        return f"comes too early: entry {expected} is missing"
    return f"comes too early: entries {expected} to {number - 1} are missing"


def _is_before(at: object, before: object) -> bool:
    return isinstance(before, int) and isinstance(at, int) and at < before


def _moment(at: object) -> datetime | None:
    """Read a time that may be none: SQLite keeps anything."""
    try:
        return from_us(at) if isinstance(at, int) else None
    except OverflowError:
        return None


def _number(text: str | None) -> int | None:
    try:
        return None if text is None else int(text)
    except ValueError:
        return None
