"""What Alipay's refusals mean (gateways.md 1.8)."""

from __future__ import annotations

from typing import Final

from reconciler.domain.answer import Misconfigured, NotCreated, Rejected, Throttled, Unavailable
from reconciler.gateways.asking import words
from reconciler.gateways.strict_json import Json, text_of

Refusal = Misconfigured | NotCreated | Rejected | Throttled | Unavailable

OF_THE_CHANNEL: Final = frozenset(
    {
        "alipay-cert-not-exist",
        "app-cert-expired",
        "app-cert-not-exist",
        "decryption-error-unknown",
        "forbidden-api",
        "insufficient-isv-permissions",
        "insufficient-user-permissions",
        "invalid-alipay-root-cert-sn",
        "invalid-app-auth-token",
        "invalid-app-cert-sn",
        "invalid-app-id",
        "invalid-auth-token",
        "invalid-charset",
        "invalid-format",
        "invalid-method",
        "invalid-signature",
        "invalid-signature-type",
        "invalid-timestamp",
        "invalid-version",
        "not-online-app",
    }
)
"""Sub-codes of 40001 and 40002 that every query of the channel would meet. What is not here is laid at the one number's
door: a run of that over different orders is found out as the channel's, the reverse never would be."""


def refusal_of(code: str, members: Json) -> Refusal | None:
    """Say what a code other than 10000 means; None for one that we do not know."""
    reason = reason_of(code, members)
    sub_code = (text_of(members, "sub_code") or "").strip().lower()
    match code:
        case "20000":
            return Unavailable(reason)
        case "20001" | "40003" | "40006":
            return Misconfigured(reason)
        case "40001" | "40002":
            name = sub_code.rpartition(".")[2]
            of_the_channel = name in OF_THE_CHANNEL or name.startswith("missing-")
            return Misconfigured(reason) if of_the_channel else Rejected(reason)
        case "40004":
            return _business(sub_code, reason)
        case "40005":
            return Throttled()
        case _:
            return None


def reason_of(code: str, members: Json) -> str:
    """Give Alipay's own words on a refusal, fit for a log line."""
    parts = (code, text_of(members, "sub_code"), text_of(members, "sub_msg") or text_of(members, "msg"))
    return " ".join(words(part) for part in parts if part)


def _business(sub_code: str, reason: str) -> Refusal:
    # Seen with the prefix ACQ., without one, and with the documentation's own slip AQC.
    match sub_code.rpartition(".")[2]:
        case "trade_not_exist":
            return NotCreated()
        case "system_error":
            return Unavailable(reason)
        case "access_forbidden":
            return Misconfigured(reason)
        case _:
            return Rejected(reason)
