"""What is signed to Alipay, and what Alipay signs (gateways.md 1.3, 1.7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from reconciler.gateways.strict_json import Malformed, cut, parse_string

ERROR_ROOT: Final = "error_response"
ROOT_ENDS: Final = "_response"


class Method(StrEnum):
    """What we ask of Alipay; each API answers in a root of its own."""

    QUERY = "alipay.trade.query"
    CLOSE = "alipay.trade.close"
    REFUND_QUERY = "alipay.trade.fastpay.refund.query"

    @property
    def root(self) -> str:
        """The member that holds the answer: `alipay_trade_query_response`."""
        return self.value.replace(".", "_") + ROOT_ENDS


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


def open_envelope(body: bytes, root: str) -> Envelope:
    """Cut the signed bytes out of an answer, which has one root: the API's own, or that of errors. Raises Malformed.

    The signature covers the root's value and not its name: what an answer says must tell by itself what it is about.
    """
    members = cut(body)
    roots = [name for name in members if name.endswith(ROOT_ENDS)]
    if roots not in ([root], [ERROR_ROOT]):
        raise Malformed(f"not one of {root} and {ERROR_ROOT}, alone")
    return Envelope(
        members[roots[0]],
        parse_string(members.get("sign", b"null")),
        parse_string(members.get("alipay_cert_sn", b"null")),
    )
