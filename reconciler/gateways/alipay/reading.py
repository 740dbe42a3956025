"""What the answers to our three questions mean: the query, the refund query, and closing."""

from __future__ import annotations

from collections.abc import Callable

from reconciler.domain.answer import (
    Closed,
    Misconfigured,
    NotCreated,
    Rejected,
    Throttled,
    Trade,
    Unavailable,
    Unrecognised,
    Untrusted,
)
from reconciler.domain.closing import CloseReply, NoSuchTrade, NotClosed, TradeClosed
from reconciler.gateways.alipay.codes import Refusal, refusal_of
from reconciler.gateways.alipay.identity import Signer
from reconciler.gateways.alipay.opening import PASSING, SUCCESS, Opened, open_answer
from reconciler.gateways.alipay.signing import Method
from reconciler.gateways.alipay.trade import answer_of, refund_of
from reconciler.gateways.asking import CloseReading, Reading, words
from reconciler.gateways.line import Call
from reconciler.transport import HttpResponse


def read_query(
    response: HttpResponse, out_trade_no: str, alipay: Signer, refund_query: Callable[[Trade], Call[Reading]]
) -> Reading:
    """Say what `alipay.trade.query` answered."""
    opened = open_answer(response, Method.QUERY, out_trade_no, alipay)
    if not isinstance(opened, Opened):
        return Reading(opened, again=response.status in PASSING)
    if opened.code == SUCCESS:
        answer = answer_of(out_trade_no, opened.members)
        # Timed out, or refunded: one word for both, and without a payment date only the refund itself can tell.
        further = refund_query(answer.trade) if isinstance(answer, Closed) else None
        return Reading(answer, alipay.kept, further=further)
    answer = _refusal(opened)
    # Nothing ties a NotCreated without a number to this attempt: it could be another one's, replayed.
    proven = opened.signed and (opened.echoes or not isinstance(answer, NotCreated))
    return Reading(answer, alipay.kept if proven else None)


def read_refund(response: HttpResponse, closed: Trade, alipay: Signer) -> Reading:
    """Say whether `alipay.trade.fastpay.refund.query` shows that a closed trade was refunded.

    Whatever else it answers (not allowed to us, no such refund, nothing that proves anything) leaves the trade closed,
    which this answer does not prove: the one before it does.
    """
    opened = open_answer(response, Method.REFUND_QUERY, closed.out_trade_no, alipay)
    if isinstance(opened, Unavailable | Throttled):
        return Reading(opened, again=response.status in PASSING)
    if isinstance(opened, Opened) and opened.code == SUCCESS:
        refunded = refund_of(closed, opened.members)
        return Reading(refunded, alipay.kept) if refunded else Reading(Closed(closed))
    answer = _refusal(opened) if isinstance(opened, Opened) else opened
    return Reading(answer if isinstance(answer, Unavailable | Throttled) else Closed(closed))


def read_close(response: HttpResponse, out_trade_no: str, alipay: Signer) -> CloseReading:
    """Say what `alipay.trade.close` answered. Never `again`: a try whose answer was lost may have closed it."""
    opened = open_answer(response, Method.CLOSE, out_trade_no, alipay)
    return CloseReading(_close_reply(opened), is_unproven=isinstance(opened, Untrusted))


def _close_reply(opened: Opened | Unavailable | Throttled | Untrusted) -> CloseReply:
    if isinstance(opened, Unavailable | Throttled):
        return opened
    if isinstance(opened, Untrusted):
        return NotClosed(opened.reason)
    if opened.code == SUCCESS:
        return TradeClosed()
    match _refusal(opened):
        case NotCreated():
            return NoSuchTrade()
        case Unavailable() | Throttled() as missed:
            return missed
        case Misconfigured(reason) | Rejected(reason) | Untrusted(reason):
            return NotClosed(reason)
        case Unrecognised(raw):
            return NotClosed(raw)


def _refusal(opened: Opened) -> Refusal | Unrecognised | Untrusted:
    return refusal_of(opened.code, opened.members) or _unknown(opened)


def _unknown(opened: Opened) -> Unrecognised | Untrusted:
    what = f"code {words(opened.code)}" if opened.code else "no code"
    return Unrecognised(what) if opened.signed else Untrusted(f"unsigned, with {what}")
