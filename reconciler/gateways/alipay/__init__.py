"""Alipay's open gateway, `gateway.do`: asking about trades, and closing them (gateways.md 1)."""

from reconciler.gateways.alipay.evidence import verify_evidence
from reconciler.gateways.alipay.gateway import NAME, AlipayGateway
from reconciler.gateways.alipay.settings import AlipaySettings
from reconciler.gateways.kind import Kind

KIND = Kind(NAME, AlipaySettings, AlipayGateway, verify_evidence)

__all__ = ["KIND", "AlipayGateway", "AlipaySettings", "verify_evidence"]
