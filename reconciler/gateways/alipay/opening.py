"""An answer opened: its signature verified over the bytes as they came, before anything in it is believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from reconciler.domain.answer import Throttled, Unavailable, Untrusted
from reconciler.gateways.alipay.codes import reason_of
from reconciler.gateways.alipay.identity import Signer
from reconciler.gateways.alipay.signing import Envelope, Method, open_envelope
from reconciler.gateways.retry_after import throttled
from reconciler.gateways.strict_json import Json, Malformed, begins_like_an_object, parse_object, text_of
from reconciler.transport import HttpResponse

SUCCESS: Final = "10000"
OK: Final = 200
TOO_MANY: Final = 429
PASSING: Final = frozenset({502, 503, 504})
"""What stands between us and the gateway says: not now. The next try may find it there."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What an answer about one number says. A success is always signed, and about that number."""

    code: str
    members: Json
    signed: bool
    """Whether there is a signature; where there is one, it verifies."""
    echoes: bool
    """Whether it names the number; where it names one, it is the right one."""


def open_answer(
    response: HttpResponse, method: Method, out_trade_no: str, alipay: Signer
) -> Opened | Unavailable | Throttled | Untrusted:
    """Verify an answer, and tie it to the number that was asked about. Hostile bytes are Untrusted."""
    if response.status == TOO_MANY:
        return throttled(response)
    if response.status != OK:
        return Unavailable(f"HTTP {response.status}")
    if not begins_like_an_object(response.body):
        return Unavailable("not JSON: a proxy's page, perhaps")
    try:
        envelope = open_envelope(response.body, method.root)
        members = parse_object(envelope.content)
    except Malformed as problem:
        return Untrusted(f"malformed answer: {problem}")
    return _judge(out_trade_no, envelope, members, alipay)


def _judge(out_trade_no: str, envelope: Envelope, members: Json, alipay: Signer) -> Opened | Untrusted:
    code = text_of(members, "code") or ""
    signed = envelope.signature is not None
    if signed and (fault := alipay.fault_of(envelope)):
        return _with_refusal(fault, code, members)
    echo = members.get("out_trade_no")
    if echo is not None and echo != out_trade_no:
        return Untrusted("it answers for another out_trade_no")
    if code == SUCCESS and not signed:
        return Untrusted("a success without signature")
    if code == SUCCESS and echo is None:
        return Untrusted("it echoes no out_trade_no")
    return Opened(code, members, signed, echo is not None)


def _with_refusal(fault: Untrusted, code: str, members: Json) -> Untrusted:
    """Pass on what an unproven refusal says: it may be the very reason why the signature is none of ours."""
    if code in {"", SUCCESS}:
        return fault
    return Untrusted(f"{fault.reason}; unproven, it says {reason_of(code, members)}", fault.unknown_serial)
