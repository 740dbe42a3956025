"""`[channels.NAME]` of a WeChat Pay channel."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field, WrapValidator

from reconciler.gateways.wechat.payee import Payee
from reconciler.settings.channel import ChannelSettings, Endpoint
from reconciler.settings.types import Secret

ENDPOINT: Final = "https://api.mch.weixin.qq.com"
BACKUP_ENDPOINT: Final = "https://api2.mch.weixin.qq.com"
NO_BACKUP: Final = "off"


def _or_off(value: object, validate: Callable[[object], str]) -> str:
    return NO_BACKUP if value == NO_BACKUP else validate(value)


NAME: Final = "wechat"
"""The value of `channels.NAME.gateway`."""


class WechatSettings(ChannelSettings):
    """One merchant at WeChat Pay, of its own or behind a service provider."""

    private_fields: ClassVar[frozenset[str]] = frozenset({"private_key", "apiv3_key"})

    gateway: Literal["wechat"] = "wechat"
    endpoint: Endpoint = ENDPOINT
    backup_endpoint: Annotated[Endpoint, WrapValidator(_or_off)] | None = None
    """The host to turn to where the first fails; `off` for none."""
    mchid: Annotated[str, Field(pattern=r"^[0-9]{1,32}$")]
    appid: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,32}$")]
    serial_no: Annotated[str, Field(pattern=r"^[0-9A-Fa-f]{1,64}$")]
    """Serial number of the merchant's own API certificate, hex."""
    private_key: Secret
    """The key of that certificate."""
    public_key_id: Annotated[str | None, Field(pattern=r"^PUB_KEY_ID_[0-9A-Za-z]{1,64}$")] = None
    public_key: Secret | None = None
    """WeChat Pay's key of that id."""
    apiv3_key: Secret | None = None
    """What platform certificates are encrypted with."""
    sub_mchid: Annotated[str | None, Field(pattern=r"^[0-9]{1,32}$")] = None
    """With it, mchid, appid, serial_no and private_key are the service provider's."""
    sub_appid: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9_]{1,32}$")] = None

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The hosts, in the order of preference."""
        backup = self.backup_endpoint
        if backup is None and self.endpoint == ENDPOINT:
            backup = BACKUP_ENDPOINT
        return (self.endpoint,) if backup in {None, NO_BACKUP} else (self.endpoint, str(backup))

    @property
    def payee(self) -> Payee:
        """Whom the channel's trades pay."""
        return Payee(self.mchid, self.appid, self.sub_mchid, self.sub_appid)

    def account(self) -> tuple[object, ...]:
        """Tell merchants apart, and their applications: an answer about one's trade does not agree with another."""
        return (self.mchid, self.appid, self.sub_mchid, self.sub_appid)

    def problems(self) -> Iterable[tuple[str, str]]:
        """Name the keys that are missing, cannot be read or stand in each other's place, and what does not fit."""
        from reconciler.gateways.wechat import problems  # noqa: PLC0415 # whoever asks no gateway needs no cryptography

        return problems.of(self)
