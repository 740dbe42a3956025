"""WeChat Pay v3 in public-key mode: queries only (gateways.md 2)."""

from reconciler.gateways.wechat.evidence import verify_evidence
from reconciler.gateways.wechat.gateway import KIND, WechatGateway
from reconciler.gateways.wechat.settings import WechatSettings

__all__ = ["KIND", "WechatGateway", "WechatSettings", "verify_evidence"]
