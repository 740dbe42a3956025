"""What is signed to Alipay, and what Alipay signs (gateways.md 1.3, 1.7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.gateways.strict_json import Malformed, cut, parse_string

ROOT = "alipay_trade_query_response"
ERROR_ROOT = "error_response"


@dataclass(frozen=True, slots=True)
class Envelope:
    """An answer cut open: nothing in it is verified yet."""

    content: bytes
    """The root member's value, the very bytes: what the signature covers."""
    signature: str | None
    cert_serial: str | None
    """`alipay_cert_sn`, which comes in certificate mode only."""


def string_to_sign(parameters: Mapping[str, str]) -> bytes:
    """Join all parameters but `sign` and the empty ones, raw, sorted by name; `sign_type` stays in."""
    present = sorted((name, value) for name, value in parameters.items() if value and name != "sign")
    return "&".join(f"{name}={value}" for name, value in present).encode()


def open_envelope(body: bytes, root: str = ROOT) -> Envelope:
    """Cut the signed bytes out of an answer. Raises Malformed."""
    members = cut(body)
    if (root in members) == (ERROR_ROOT in members):
        raise Malformed(f"not one of {root} and {ERROR_ROOT}")
    content = members.get(root) or members[ERROR_ROOT]
    return Envelope(
        content,
        parse_string(members.get("sign", b"null")),
        parse_string(members.get("alipay_cert_sn", b"null")),
    )
