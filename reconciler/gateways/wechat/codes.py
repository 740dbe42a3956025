"""What a status other than 200 means (gateways.md 2.6). Always unsigned, as far as anybody saw."""

from __future__ import annotations

from typing import Final

from reconciler.domain.answer import (
    Answer,
    Misconfigured,
    NotCreated,
    Rejected,
    Throttled,
    Unavailable,
    Untrusted,
    reason_of,
)
from reconciler.domain.closing import CloseReply, NoSuchTrade, NotClosed
from reconciler.gateways.asking import words
from reconciler.gateways.retry_after import throttled
from reconciler.gateways.strict_json import Json, Malformed, object_of, parse_object, text_of
from reconciler.transport import HttpResponse

OK: Final = 200
ACCEPTED: Final = 202
SERVER_ERROR: Final = 500
BAD_GATEWAY: Final = (502, 503)
ABOUT_THE_MERCHANT: Final = frozenset(
    {"MCH_NOT_EXISTS", "MCHID_NOT_EXIST", "APPID_MCHID_NOT_MATCH", "APPID_NOT_EXIST", "NO_AUTH", "SIGN_ERROR"}
)
"""Codes of a 400 or 404 that every query of the channel would meet."""
MERCHANT_FIELDS: Final = frozenset(
    {"mchid", "appid", "sp_mchid", "sp_appid", "sub_mchid", "sub_appid", "authorization", "wechatpay-serial"}
)
"""What `detail.field` names when a 400 is about the channel and not about the number."""


def refusal_of(response: HttpResponse) -> Answer:
    """Branch on status and code, never on the message."""
    error = _error(response.body)
    code = text_of(error, "code")
    reason = _reason(response.status, error)
    match response.status:
        case 404 if code in {"ORDER_NOT_EXIST", "ORDERNOTEXIST"}:
            return NotCreated()
        case 400 if code is not None:
            return Misconfigured(reason) if _is_about_the_merchant(code, error) else Rejected(reason)
        case 401 | 403 | 404 | 405:
            return Misconfigured(reason)
        case 429:
            return throttled(response)
        case 202:
            return Unavailable("HTTP 202: accepted, no answer yet")
        case status if 200 <= status < 300:  # noqa: PLR2004 # every success but 200
            return Untrusted(f"HTTP {status} where a query answers 200")
        case _:
            return Unavailable(reason)


def close_refusal_of(response: HttpResponse) -> CloseReply:
    """Say what a status means that closing a trade is refused with (gateways.md 2.1)."""
    refusal = refusal_of(response)
    match refusal:
        case NotCreated():
            return NoSuchTrade()
        case Throttled():
            return refusal
        case Unavailable() if response.status == ACCEPTED or response.status >= SERVER_ERROR:
            return refusal
        case _:
            return NotClosed(reason_of(refusal))


def code_of(response: HttpResponse) -> str | None:
    """Give the error's code; None where there is none."""
    return text_of(_error(response.body), "code")


def asks_for_another_try(response: HttpResponse) -> bool:
    """Whether the status is one that trying again at once, at the other host, may mend."""
    return response.status in BAD_GATEWAY


def _is_about_the_merchant(code: str, error: Json) -> bool:
    field = (text_of(object_of(error, "detail"), "field") or "").lower()
    return code in ABOUT_THE_MERCHANT or field.rpartition("/")[2] in MERCHANT_FIELDS


def _error(body: bytes) -> Json:
    try:
        return parse_object(body)
    except Malformed:
        return {}


def _reason(status: int, error: Json) -> str:
    parts = (text_of(error, "code"), text_of(error, "message"))
    return " ".join([f"HTTP {status}", *(words(part) for part in parts if part)])
