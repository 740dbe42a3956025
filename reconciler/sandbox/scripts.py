"""Scripts: what a trade will do, by name, and as the control endpoint writes and reads it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeVar

from reconciler.sandbox.beijing import BEIJING
from reconciler.sandbox.errors import NotAScript
from reconciler.sandbox.trade import SLOW_SECONDS, GatewayKind, State, Trade, Trouble, Twist
from reconciler.sandbox.wire import is_sane, yuan

AFTER_S_MAX = 7 * 86400.0
SLOW_S_MAX = 60.0
TIMES_MAX = 1_000_000
WRONG_AMOUNT_FEN = 1
AMOUNT_FEN = 9900
FIELDS = (
    "gateway",
    "out_trade_no",
    "amount",
    "script",
    "transaction_id",
    "paid_at",
    "after_s",
    "times",
    "slow_s",
)
_YUAN = re.compile(r"([0-9]{1,10})\.([0-9]{2})")


class Script(StrEnum):
    """What a trade will do."""

    PAID = "paid"
    UNPAID = "unpaid"
    PAID_LATER = "paid_later"
    """Paid `after_s` seconds from now."""
    CLOSED = "closed"
    REFUNDED = "refunded"
    """WeChat: REFUND. Alipay: TRADE_CLOSED with a payment date, as after a full refund."""
    REFUNDED_UNDATED = "refunded_undated"
    """Alipay: TRADE_CLOSED without a payment date; only the refund query tells. WeChat: as `refunded`."""
    ABSENT = "absent"
    WRONG_AMOUNT = "wrong_amount"
    """Paid, one fen."""
    OTHER_MERCHANT = "other_merchant"
    UNKNOWN_STATE = "unknown_state"
    SLOW = "slow"
    """Paid, as are the following; the first `times` asks meet the trouble, or all of them where it is 0."""
    SERVER_ERROR = "server_error"
    THROTTLED = "throttled"
    BAD_SIGNATURE = "bad_signature"
    UNSIGNED = "unsigned"
    RENEWED_CERTIFICATE = "renewed_certificate"
    """Signed by a certificate that the merchant does not have. Alipay: in certificate mode; else as `paid`."""


_NOT_PAID_YET = frozenset({Script.UNPAID, Script.PAID_LATER, Script.CLOSED, Script.ABSENT})
_Choice = TypeVar("_Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Part:
    """One trade's part in the play."""

    gateway: GatewayKind
    out_trade_no: str
    amount_fen: int | None
    """None: as much as before, or 99 yuan for a new one."""
    script: Script
    after_s: float = 10.0
    times: int = 0
    slow_s: float = SLOW_SECONDS
    transaction_id: str = ""
    """Empty: as before, or one of the sandbox's own."""
    paid_at: datetime | None = None
    """None: now."""


def trade_of(part: Part, known: Trade | None, now: datetime) -> Trade:  # noqa: PLR0911 # one return for each script
    """Make the trade that plays this part from now on; `known` is the one that has its number so far."""
    paid_at = part.paid_at or now
    opened_at, own = min(now, paid_at), part.transaction_id or (known.number if known else "")
    open_trade = Trade(part.gateway, part.out_trade_no, _amount_fen(part, known), opened_at=opened_at, number=own)
    paid = replace(open_trade, paid_at=paid_at)
    match part.script:
        case Script.UNPAID:
            return open_trade
        case Script.PAID:
            return paid
        case Script.PAID_LATER:
            return replace(open_trade, paid_at=now + timedelta(seconds=part.after_s))
        case Script.CLOSED:
            return replace(open_trade, closed_at=now)
        case Script.REFUNDED | Script.REFUNDED_UNDATED:
            is_undated = part.script is Script.REFUNDED_UNDATED
            return replace(paid, refunded_at=now, twist=Twist.UNDATED if is_undated else None)
        case Script.ABSENT:
            return replace(open_trade, opened_at=None)
        case Script.WRONG_AMOUNT:
            return replace(paid, amount_fen=WRONG_AMOUNT_FEN)
        case Script.OTHER_MERCHANT | Script.UNKNOWN_STATE:
            return replace(paid, twist=Twist(part.script))
        case (
            Script.SLOW
            | Script.SERVER_ERROR
            | Script.THROTTLED
            | Script.BAD_SIGNATURE
            | Script.UNSIGNED
            | Script.RENEWED_CERTIFICATE
        ):
            trouble = Trouble(part.script)
            return replace(paid, trouble=trouble, trouble_asks=part.times, slow_seconds=part.slow_s)


def _amount_fen(part: Part, known: Trade | None) -> int:
    if part.amount_fen is not None:
        return part.amount_fen
    return known.amount_fen if known else AMOUNT_FEN


def part_from_json(sent: object) -> Part:
    """Read what a person posted. Raises NotAScript."""
    if not isinstance(sent, dict):
        raise NotAScript('send an object like {"gateway": "alipay", "out_trade_no": "A10001", "amount": "99.00"}')
    unknown = sorted(set(sent) - set(FIELDS))
    if unknown:
        raise NotAScript(f"{unknown[0]!r} is no field: {', '.join(FIELDS)}")
    out_trade_no, amount = sent.get("out_trade_no"), sent.get("amount")
    if not isinstance(out_trade_no, str) or not is_sane(out_trade_no):
        raise NotAScript("out_trade_no is due: 1 to 64 printable ASCII characters")
    transaction_id = sent.get("transaction_id", "")
    if not isinstance(transaction_id, str) or (transaction_id and not is_sane(transaction_id)):
        raise NotAScript("transaction_id is 1 to 64 printable ASCII characters")
    part = Part(
        gateway=choice(GatewayKind, sent.get("gateway"), "gateway"),
        out_trade_no=out_trade_no,
        amount_fen=None if amount is None else _fen(amount),
        script=choice(Script, sent.get("script", "paid"), "script"),
        after_s=number(sent.get("after_s", 10.0), "after_s", AFTER_S_MAX),
        times=int(number(sent.get("times", 0), "times", TIMES_MAX)),
        slow_s=number(sent.get("slow_s", SLOW_SECONDS), "slow_s", SLOW_S_MAX),
        transaction_id=transaction_id,
        paid_at=_moment(sent["paid_at"], "paid_at") if "paid_at" in sent else None,
    )
    if part.paid_at is not None and part.script in _NOT_PAID_YET:
        raise NotAScript(f"paid_at is of no use with script {part.script}: nobody has paid")
    return part


def trade_as_json(trade: Trade, now: datetime, asks: int) -> dict[str, object]:
    """Write a trade for a person; amounts in yuan, times with offset."""
    moments = {
        "opened_at": trade.opened_at,
        "paid_at": trade.paid_at,
        "refunded_at": trade.refunded_at,
        "closed_at": trade.closed_at,
    }
    state = trade.state_at(now)
    return {
        "gateway": trade.gateway,
        "out_trade_no": trade.out_trade_no,
        "amount": yuan(trade.amount_fen),
        "state": state,
        "transaction_id": trade.transaction_id if state in {State.PAID, State.REFUNDED} else None,
        **{
            name: moment and moment.astimezone(BEIJING).isoformat(timespec="seconds")
            for name, moment in moments.items()
        },
        "twist": trade.twist,
        "trouble": trade.trouble,
        "trouble_asks": trade.trouble_asks,
        "asks": asks,
    }


def choice(kind: type[_Choice], value: object, name: str) -> _Choice:
    """Read one of a closed set. Raises NotAScript."""
    if not isinstance(value, str) or value not in set(kind):
        raise NotAScript(f"{name} is one of: {', '.join(kind)}")
    return kind(value)


def _fen(amount: object) -> int:
    match = _YUAN.fullmatch(amount) if isinstance(amount, str) else None
    if match is None:
        raise NotAScript('amount is yuan as text with two decimals, "99.00"')
    return int(match[1]) * 100 + int(match[2])


def _moment(value: object, name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise NotAScript(f"{name} is a time with its offset, like 2026-11-23T15:57:18+08:00")
    return moment


def number(value: object, name: str, maximum: float, minimum: float = 0) -> float:
    """Read a number within bounds. Raises NotAScript."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not minimum <= value <= maximum:
        raise NotAScript(f"{name} is a number from {minimum:g} to {maximum:g}")
    return value
