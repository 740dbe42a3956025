"""Alipay's open gateway, `gateway.do`, in key mode: queries only (gateways.md 1)."""

from reconciler.gateways.alipay.evidence import verify_evidence
from reconciler.gateways.alipay.gateway import KIND, AlipayGateway
from reconciler.gateways.alipay.settings import AlipaySettings

__all__ = ["KIND", "AlipayGateway", "AlipaySettings", "verify_evidence"]
