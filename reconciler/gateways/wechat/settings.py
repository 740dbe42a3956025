"""`[channels.NAME]` of a WeChat Pay channel."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field

from reconciler.gateways.keys import KeyUnreadable, load_private_key, load_public_key
from reconciler.settings.channel import ChannelSettings, Endpoint
from reconciler.settings.types import Secret

NOT_YET = "is not in this version yet: leave it out"


class WechatSettings(ChannelSettings):
    """One merchant at WeChat Pay, in public-key mode."""

    private_fields: ClassVar[frozenset[str]] = frozenset({"private_key", "apiv3_key"})

    gateway: Literal["wechat"] = "wechat"
    endpoint: Endpoint = "https://api.mch.weixin.qq.com"
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
    sub_mchid: str | None = None
    sub_appid: str | None = None

    def problems(self) -> Iterable[tuple[str, str]]:
        """Name the keys that cannot be read or stand in each other's place, and what is not here yet."""
        later = {
            "apiv3_key": f"{NOT_YET} and use public-key mode (public_key_id and public_key)",
            "sub_mchid": f"{NOT_YET}; service-provider mode is to come",
            "sub_appid": f"{NOT_YET}; service-provider mode is to come",
        }
        yield from ((name, text) for name, text in later.items() if getattr(self, name) is not None)
        if urlsplit(self.endpoint).path:
            yield "endpoint", "must have no path: WeChat signs the path that it sees"
        if self.public_key_id is None:
            yield "public_key_id", "is missing; copy it from the merchant platform, like PUB_KEY_ID_0100000001"
        own = None
        try:
            own = load_private_key(self.private_key.reveal())
        except KeyUnreadable as problem:
            yield "private_key", str(problem)
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
