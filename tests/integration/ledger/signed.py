"""A ledger as a day at a shop leaves it, with answers that are really signed: by code of this module's own."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import datetime, timedelta
from functools import cache

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from reconciler.domain.answer import Evidence, VerifyingKey
from reconciler.domain.case import CaseKind, Fact
from reconciler.domain.money import Money
from reconciler.domain.order import ChannelName, Order, OrderKey, OrderState
from reconciler.gateways import KINDS
from reconciler.ledger.verify import Verifier
from reconciler.ports import Batch, Begun, CaseReport, Entry, Intention, Ledger, NewWatch, Outcome
from reconciler.testing.ledger_examples import CHANNEL, NOW, OTHER, attempt

VERIFIERS: dict[str, Verifier] = {name: KINDS[name].verify_evidence for name in ("alipay", "wechat")}
KINDS_OF_ENTRIES = (
    "led",
    "noted",
    "refused",
    "settle_begun",
    "settled",
    "settle_begun",
    "settled",
    "case_opened",
    "noted",
)
"""What `day` writes, from entry 1 on. Evidence is with 3 (unsigned), 4 and 5 (the same), 6 and 7 (the same), and 8."""


@cache
def private(gateway: str) -> RSAPrivateKey:
    """Give the key that a gateway of these tests signs with; its name only tells one from another."""
    assert gateway
    return generate_private_key(65537, 2048)


def key_of(gateway: str) -> VerifyingKey:
    public = private(gateway).public_key()
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return VerifyingKey(hashlib.sha256(der).hexdigest(), pem.decode())


def signature(gateway: str, text: bytes) -> str:
    return base64.b64encode(private(gateway).sign(text, PKCS1v15(), SHA256())).decode()


def alipay(number: str, at: datetime = NOW, yuan: str = "99.00") -> Evidence:
    content = {"code": "10000", "msg": "Success", "out_trade_no": number, "subject": "订单", "total_amount": yuan}
    raw = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    sign = signature("alipay", raw).encode()
    body = b'{"alipay_trade_query_response":' + raw + b',"sign":"' + sign + b'"}'
    return Evidence(
        "alipay", f"alipay.trade.query {number}", 200, (), body, key_of("alipay").fingerprint, at + timedelta(seconds=1)
    )


def wechat(number: str, at: datetime = NOW, fen: int = 9900) -> Evidence:
    body = json.dumps({"out_trade_no": number, "trade_state": "SUCCESS", "amount": {"total": fen}}).encode()
    timestamp, nonce = str(int(at.timestamp())), "n0nce"
    headers = (
        ("wechatpay-serial", "PUB_KEY_ID_0"),
        ("wechatpay-timestamp", timestamp),
        ("wechatpay-nonce", nonce),
        ("wechatpay-signature", signature("wechat", f"{timestamp}\n{nonce}\n".encode() + body + b"\n")),
    )
    request = f"GET /v3/pay/transactions/out-trade-no/{number}"
    return Evidence("wechat", request, 200, headers, body, key_of("wechat").fingerprint, at + timedelta(seconds=1))


def intention(key: str, channel: ChannelName, at: datetime = NOW) -> Intention:
    evidence = alipay(f"N{key}", at) if channel == CHANNEL else wechat(f"N{key}", at)
    order = Order(OrderKey(key), f"A{key}", OrderState.PENDING, "1", Money(9900), at - timedelta(hours=1))
    return Intention(
        (order,),
        channel,
        f"N{key}",
        f"T{key}",
        Money(9900),
        at,
        "every fact agrees",
        evidence,
        key_of(evidence.gateway),
    )


async def settle(ledger: Ledger, key: str, channel: ChannelName, at: datetime = NOW) -> None:
    """Begin and conclude a settlement, as `flow` does."""
    begun = await ledger.begin(intention(key, channel, at), at)
    assert isinstance(begun, Begun)
    await ledger.conclude(begun.id, Outcome.SETTLED, "every fact agrees", Batch(), at)


async def day(ledger: Ledger) -> None:
    """Write the entries of `KINDS_OF_ENTRIES`."""
    await ledger.lead("host:1", NOW)
    refusal = Evidence("alipay", "alipay.trade.query N1", 200, (), b'{"error_response":{}}', None, NOW)
    await ledger.watch([NewWatch(attempt("1"), NOW), NewWatch(attempt("2", OTHER), NOW)], NOW)
    entries = (
        Entry("noted", OrderKey("1"), "A1", CHANNEL, "N1", {"why": "退款 😀"}),
        Entry("refused", OrderKey("1"), "A1", CHANNEL, "N1", {"why": "=HYPERLINK()"}, refusal),
    )
    await ledger.record(Batch(entries=entries), NOW)
    await settle(ledger, "1", CHANNEL)
    await settle(ledger, "2", OTHER)
    facts = (Fact("amount", "CNY 98.00", "CNY 99.00"),)
    case = CaseReport(
        CaseKind.AMOUNT_MISMATCH,
        OrderKey("3"),
        "A3",
        CHANNEL,
        "N3",
        "amounts differ",
        facts,
        alipay("N3", yuan="98.00"),
        key_of("alipay"),
    )
    await ledger.record(Batch(cases=(case,)), NOW)
    await ledger.record(Batch(entries=(Entry("noted", order_no="=1+1", out_trade_no="'N"),)), NOW)
