"""The POST that says a payment was confirmed: its id, its body, its signature. Pure: nothing is sent from here.

The format is Standard Webhooks (headers `webhook-id`, `webhook-timestamp`, `webhook-signature`; HMAC-SHA256 over
`id.timestamp.body`, the scheme they call v1). The receiver's side is in docs/how-to/shop-side.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from reconciler.domain.money import Money

EVENT: Final = "payment.confirmed"
SECRET_PREFIX: Final = "whsec_"  # noqa: S105 # what every secret begins with, and none by itself
SECRET_BYTES_MIN, SECRET_BYTES_MAX = 24, 64
"""Of the key itself, as Standard Webhooks has it."""
_ID_PREFIX: Final = "msg_"
_ID_BYTES: Final = 20
_NAMESPACE: Final = "payment-reconciler/settle/1"
"""Never changed: another would be another id for an order that was announced before."""


class SecretUnusable(ValueError):
    """A secret that nothing can be signed with; the message says why, and never shows a part of it."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """What shop and we share."""

    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What the shop is told: one order, and the payment that was proven for it."""

    order_key: str
    """The value of `shop.orders.key`: where order numbers are not unique, this is the row."""
    order_no: str
    out_trade_no: str
    channel: str
    transaction_id: str
    amount: Money
    paid_at: datetime


def signing_key(secret: bytes) -> SigningKey:
    """Read a secret: `whsec_` and base64, or bare base64, padded or not. Raises SecretUnusable."""
    key = _decoded(secret)
    if key is None:
        raise SecretUnusable(f"is no {SECRET_PREFIX}… secret: {SECRET_PREFIX} and base64 are due")
    if not SECRET_BYTES_MIN <= len(key) <= SECRET_BYTES_MAX:
        raise SecretUnusable(
            f"holds a key of {len(key)} bytes; {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} are due: "
            f'make one with `echo "{SECRET_PREFIX}$(openssl rand -base64 32)"`'
        )
    return SigningKey(key)


def message_id(shop: str, order_key: str) -> str:
    """Derive the id of the one message that an order can ever have, from shop and order key and nothing else.

    `shop` names database and table, as the ledger's mark does; not the host, which may be reached by another name
    tomorrow. So a crash, a lost ledger or a second machine makes the same id again, and a receiver that stores it
    cannot deliver twice. Neither transaction, number, channel nor amount is part of it: a buyer who paid twice, by two
    channels, has two transactions and one order, and the second must find the id taken. Nor is the secret, which
    may be changed between two tries.
    """
    name = json.dumps([_NAMESPACE, shop, order_key]).encode()  # a list: "a b" and "c" are not "a" and "b c"
    return _ID_PREFIX + hashlib.sha256(name).digest()[:_ID_BYTES].hex()


def body_of(confirmation: Confirmation) -> bytes:
    """Write the body: JSON in ASCII, the same bytes for the same confirmation. Raises ValueError for a naive time."""
    if confirmation.paid_at.utcoffset() is None:
        raise ValueError("a paid time without an offset")
    data = {
        "order_key": confirmation.order_key,
        "order_no": confirmation.order_no,
        "out_trade_no": confirmation.out_trade_no,
        "channel": confirmation.channel,
        "transaction_id": confirmation.transaction_id,
        "amount_fen": confirmation.amount.fen,
        "amount": str(confirmation.amount.yuan),
        "currency": confirmation.amount.currency,
        "paid_at": confirmation.paid_at.isoformat(timespec="seconds"),
    }
    return json.dumps({"type": EVENT, "data": data}, separators=(",", ":")).encode()


def headers_of(key: SigningKey, message: str, at: datetime, body: bytes) -> Mapping[str, str]:
    """Sign a body for sending at this moment. The timestamp is when it is sent, so each try is signed anew.

    Raises ValueError for a naive time.
    """
    if at.utcoffset() is None:
        raise ValueError("a moment without an offset")
    timestamp = str(int(at.timestamp()))
    signed = b".".join((message.encode(), timestamp.encode(), body))
    signature = base64.b64encode(hmac.new(key.key, signed, hashlib.sha256).digest()).decode()
    return {
        "content-type": "application/json",
        "webhook-id": message,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{signature}",
    }


def _decoded(secret: bytes) -> bytes | None:
    """Give the key's bytes; None for what is no base64. No error of decoding leaves here: it may hold the secret."""
    text = secret.strip().removeprefix(SECRET_PREFIX.encode()).rstrip(b"=")
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        return None
