"""Alipay's open gateway, `gateway.do`: asking about trades, and closing them (gateways.md 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.gateways.alipay.settings import NAME, AlipaySettings
from reconciler.gateways.kind import Kind

if TYPE_CHECKING:
    from reconciler.domain.answer import Evidence, VerifyingKey
    from reconciler.domain.order import ChannelName
    from reconciler.gateways.line import Way
    from reconciler.ports import Gateway


def build(channel: ChannelName, settings: AlipaySettings, way: Way) -> Gateway:
    """Build a channel's gateway."""
    from reconciler.gateways.alipay.gateway import AlipayGateway  # noqa: PLC0415 # whoever only reads a configuration needs no HTTP

    return AlipayGateway(channel, settings, way)


def verify_evidence(evidence: Evidence, key: VerifyingKey) -> str | None:
    """Say why the signature does not verify over what the evidence keeps; None where it does. Offline."""
    from reconciler.gateways.alipay import evidence as kept  # noqa: PLC0415 # whoever verifies nothing needs no cryptography

    return kept.verify_evidence(evidence, key)


KIND = Kind(NAME, AlipaySettings, build, verify_evidence)

__all__ = ["KIND", "AlipaySettings", "verify_evidence"]
