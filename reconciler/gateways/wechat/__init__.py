"""WeChat Pay v3: public-key mode, platform certificates, and the migration between them (gateways.md 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.gateways.kind import Kind
from reconciler.gateways.wechat.settings import NAME, WechatSettings

if TYPE_CHECKING:
    from reconciler.domain.answer import Evidence, VerifyingKey
    from reconciler.domain.order import ChannelName
    from reconciler.gateways.line import Way
    from reconciler.ports import Gateway


def build(channel: ChannelName, settings: WechatSettings, way: Way) -> Gateway:
    """Build a channel's gateway."""
    from reconciler.gateways.wechat.gateway import WechatGateway  # noqa: PLC0415 # whoever only reads a configuration needs no HTTP

    return WechatGateway(channel, settings, way)


def verify_evidence(evidence: Evidence, key: VerifyingKey) -> str | None:
    """Say why the signature does not verify over what the evidence keeps; None where it does. Offline."""
    from reconciler.gateways.wechat import evidence as kept  # noqa: PLC0415 # whoever verifies nothing needs no cryptography

    return kept.verify_evidence(evidence, key)


KIND = Kind(NAME, WechatSettings, build, verify_evidence)

__all__ = ["KIND", "WechatSettings", "verify_evidence"]
