"""What one query to a gateway can come back with: a small closed set.

`match` on an `Answer` ends in `assert_never`. "Could not ask" is never the same as "not paid".
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from reconciler.domain.money import Money

Merchant = tuple[tuple[str, str], ...]
"""Who was paid, as facts with names: `(("mchid", "1900000001"), ("appid", "wx…"))`, sorted.

Empty for Alipay, whose answer names no seller: there the key, the app_id and the token decide (gateways.md 1.4)."""


@dataclass(frozen=True, slots=True)
class Trade:
    """The gateway's record of an attempt. What it did not say is None: a missing fact does not agree."""

    out_trade_no: str
    transaction_id: str | None = None
    amount: Money | None = None
    paid_at: datetime | None = None
    merchant: Merchant = ()
    flags: tuple[str, ...] = ()
    """Fields that put money received in doubt: Alipay's `credit_pay_mode`, `additional_status` (gateways.md 1.4)."""


@dataclass(frozen=True, slots=True)
class Paid:
    """The gateway has the money."""

    trade: Trade


@dataclass(frozen=True, slots=True)
class Refunded:
    """Was paid; money went back."""

    trade: Trade
    in_full: bool | None
    """None: in full or in part, the gateway does not say (WeChat's REFUND)."""


@dataclass(frozen=True, slots=True)
class Unpaid:
    """The trade exists, and waits for the buyer."""

    trade: Trade


@dataclass(frozen=True, slots=True)
class NotCreated:
    """The gateway knows no such number (yet): buyers who never opened the payment page look like this."""


@dataclass(frozen=True, slots=True)
class Closed:
    """Closed, with no sign of payment."""

    trade: Trade


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The gateway could not be asked, or could not answer."""

    reason: str


@dataclass(frozen=True, slots=True)
class Throttled:
    """We asked too fast."""

    after: timedelta | None = None
    """How long the gateway wants us to wait, where it says."""


@dataclass(frozen=True, slots=True)
class Untrusted:
    """An answer that proves nothing: signature missing or wrong, a stranger's number, a stale time."""

    reason: str
    unknown_serial: str | None = None
    """The key or certificate serial it named, where that one is not ours to verify with."""


@dataclass(frozen=True, slots=True)
class Misconfigured:
    """No query of this channel can work: identity, key, token or permission."""

    reason: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """This one attempt cannot be asked; others can."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unrecognised:
    """A verified answer with a state that we do not know. Never guessed at."""

    raw: str


Answer = (
    Paid
    | Refunded
    | Unpaid
    | NotCreated
    | Closed
    | Unavailable
    | Throttled
    | Untrusted
    | Misconfigured
    | Rejected
    | Unrecognised
)

Usable = Paid | Refunded | Unpaid | NotCreated | Closed
"""The answers that say something about the trade."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """An answer as it arrived, with what is needed to verify its signature again."""

    gateway: str
    """The kind of gateway, `alipay`: who can read it."""
    request: str
    """What was asked: method and path, or the API's name and number. No secret, no signature of ours."""
    status: int
    headers: tuple[tuple[str, str], ...]
    """Only those that the signature covers or names."""
    body: bytes = field(repr=False)
    """Whoever paid is named in it: it is kept, and never printed."""
    key_fingerprint: str | None
    """SHA-256 of the verifying key (DER, SubjectPublicKeyInfo), hex; None where nothing verified."""
    received_at: datetime

    def digest(self) -> str:
        """SHA-256 over every field, hex: what an entry of the ledger is chained to."""
        facts = [
            self.gateway,
            self.request,
            self.status,
            [list(pair) for pair in self.headers],
            hashlib.sha256(self.body).hexdigest(),
            self.key_fingerprint,
            self.received_at.isoformat(),
        ]
        return hashlib.sha256(json.dumps(facts, separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A public key that verified an answer, kept as long as evidence needs it."""

    fingerprint: str
    """SHA-256 of the DER SubjectPublicKeyInfo, hex."""
    pem: str


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer and how it came."""

    answer: Answer
    verified: bool
    """Whether a signature of the gateway covers it. Only such an answer settles, closes, or ends a watch early."""
    asked_at: datetime
    answered_at: datetime
    evidence: Evidence | None = None
    """None where no bytes arrived."""
    key: VerifyingKey | None = field(default=None, repr=False)
    clock_off: timedelta | None = None
    """How far the gateway's clock was ahead of ours (behind: negative); None where it did not say."""

    @property
    def duration_ms(self) -> int:
        """From asking to answer, by the wall clock, never negative."""
        return max(0, round((self.answered_at - self.asked_at) / timedelta(milliseconds=1)))


def name_of(answer: Answer) -> str:
    """Give the answer's name as the ledger, the log and the metrics write it: `Paid`, `NotCreated`."""
    return type(answer).__name__


def reason_of(answer: Answer) -> str:
    """Say in a few words what a person needs beside the answer's name; empty where the name says it all."""
    match answer:
        case Unavailable(reason) | Misconfigured(reason) | Rejected(reason):
            return reason
        case Untrusted(reason, serial):
            return f"{reason} (serial {serial})" if serial else reason
        case Throttled(after):
            return f"retry after {after.total_seconds():g}s" if after else ""
        case Unrecognised(raw):
            return raw
        case Refunded(_, in_full):
            return {True: "in full", False: "in part", None: "in full or in part: unknown"}[in_full]
        case _:
            return ""
