"""WeChat Pay v3: public-key mode, platform certificates, and the migration between them (gateways.md 2)."""

from reconciler.gateways.kind import Kind
from reconciler.gateways.wechat.evidence import verify_evidence
from reconciler.gateways.wechat.gateway import NAME, WechatGateway
from reconciler.gateways.wechat.settings import WechatSettings

KIND = Kind(NAME, WechatSettings, WechatGateway, verify_evidence)

__all__ = ["KIND", "WechatGateway", "WechatSettings", "verify_evidence"]
