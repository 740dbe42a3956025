"""`[channels.NAME]` of a WeChat Pay channel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, ClassVar, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, WrapValidator

from reconciler.gateways.keys import KeyUnreadable, load_private_key, load_public_key
from reconciler.gateways.wechat.certificates import APIV3_KEY_BYTES
from reconciler.gateways.wechat.payee import Payee
from reconciler.settings.channel import ChannelSettings, Endpoint
from reconciler.settings.types import Secret

ENDPOINT: Final = "https://api.mch.weixin.qq.com"
BACKUP_ENDPOINT: Final = "https://api2.mch.weixin.qq.com"
NO_BACKUP: Final = "off"
NO_KEY: Final = (
    "is missing, and so is apiv3_key: set public_key_id and public_key (public-key mode), or apiv3_key "
    "(platform-certificate mode), or all three while you migrate from certificates to the public key"
)


def _or_off(value: object, validate: Callable[[object], str]) -> str:
    return NO_BACKUP if value == NO_BACKUP else validate(value)


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
        yield from self._hosts()
        if self.sub_appid is not None and self.sub_mchid is None:
            yield "sub_appid", "is of use with sub_mchid only: set that too, or leave this out"
        if self.apiv3_key is not None and len(self.apiv3_key.reveal()) != APIV3_KEY_BYTES:
            yield (
                "apiv3_key",
                f"is not {APIV3_KEY_BYTES} bytes; copy the APIv3 key that is set on the merchant platform",
            )
        yield from self._keys()

    def _hosts(self) -> Iterator[tuple[str, str]]:
        for name, value in (("endpoint", self.endpoint), ("backup_endpoint", self.backup_endpoint or NO_BACKUP)):
            if value != NO_BACKUP and urlsplit(value).path:
                yield name, "must have no path: WeChat signs the path that it sees"
        if self.backup_endpoint == self.endpoint:
            yield "backup_endpoint", f'is the endpoint itself; name another host, or "{NO_BACKUP}"'

    def _keys(self) -> Iterator[tuple[str, str]]:
        own = None
        try:
            own = load_private_key(self.private_key.reveal())
        except KeyUnreadable as problem:
            yield "private_key", str(problem)
        if self.public_key_id is None and self.public_key is None:
            if self.apiv3_key is None:
                yield "public_key_id", NO_KEY
            return
        if self.public_key_id is None:
            yield "public_key_id", "is missing; copy it from the merchant platform, like PUB_KEY_ID_0100000001"
        if self.public_key is None:
            yield "public_key", "is missing; download WeChat Pay's public key from the merchant platform"
            return
        try:
            theirs = load_public_key(self.public_key.reveal())
        except KeyUnreadable as problem:
            yield "public_key", str(problem)
            return
        if own is not None and own.public_key() == theirs:
            yield "public_key", "is the public half of your own private_key; WeChat Pay's public key is needed"
