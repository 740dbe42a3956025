"""The kinds of gateway there are: what wiring, settings and `ledger verify` choose from by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from reconciler.domain.answer import Evidence, VerifyingKey
from reconciler.domain.order import ChannelName
from reconciler.gateways import alipay, wechat
from reconciler.ports import Clock, Gateway, Pacer
from reconciler.settings.channel import ChannelSettings
from reconciler.transport import Transport

Open = Callable[[ChannelName, ChannelSettings, Transport, Pacer, Clock, timedelta], Gateway]
"""Build a channel's gateway; the timedelta is `ask.timeout`. Raises KeyUnreadable where `problems()` was not heeded."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of gateway."""

    name: str
    """`alipay`: the value of `channels.NAME.gateway`, of `Gateway.kind` and of `Evidence.gateway`."""
    settings: type[ChannelSettings]
    open: Open
    verify_evidence: Callable[[Evidence, VerifyingKey], str | None]
    """Say why the gateway's signature does not verify over the evidence; None where it does."""


def _open_alipay(  # the type Open: one call for every kind
    channel: ChannelName,
    settings: ChannelSettings,
    transport: Transport,
    pace: Pacer,
    clock: Clock,
    timeout: timedelta,
) -> Gateway:
    if not isinstance(settings, alipay.AlipaySettings):
        raise TypeError(f"channel {channel} is not an Alipay channel")
    return alipay.AlipayGateway(channel, settings, transport, pace, clock, timeout)


def _open_wechat(  # the type Open: one call for every kind
    channel: ChannelName,
    settings: ChannelSettings,
    transport: Transport,
    pace: Pacer,
    clock: Clock,
    timeout: timedelta,
) -> Gateway:
    if not isinstance(settings, wechat.WechatSettings):
        raise TypeError(f"channel {channel} is not a WeChat Pay channel")
    return wechat.WechatGateway(channel, settings, transport, pace, clock, timeout)


KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        alipay.KIND: Kind(alipay.KIND, alipay.AlipaySettings, _open_alipay, alipay.verify_evidence),
        wechat.KIND: Kind(wechat.KIND, wechat.WechatSettings, _open_wechat, wechat.verify_evidence),
    }
)

SETTINGS: Final[Mapping[str, type[ChannelSettings]]] = MappingProxyType(
    {name: kind.settings for name, kind in KINDS.items()}
)
"""Each kind's model of `[channels.NAME]`."""
