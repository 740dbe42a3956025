"""`[channels.NAME]` of an Alipay channel."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from reconciler.gateways.keys import KeyUnreadable, load_private_key, load_public_key
from reconciler.settings.channel import ChannelSettings, Endpoint
from reconciler.settings.types import Secret

NOT_YET = "is not in this version yet: leave it out and use key mode (private_key and alipay_public_key)"


class AlipaySettings(ChannelSettings):
    """One application at Alipay, in key mode."""

    private_fields: ClassVar[frozenset[str]] = frozenset({"private_key", "app_auth_token"})

    gateway: Literal["alipay"] = "alipay"
    endpoint: Endpoint = "https://openapi.alipay.com/gateway.do"
    app_id: Annotated[str, Field(pattern=r"^[0-9]{1,32}$")]
    private_key: Secret
    """The application's own key: PKCS#1 or PKCS#8, PEM or bare base64."""
    alipay_public_key: Secret | None = None
    """Alipay's key, which the open platform shows beside the application's own; PEM or bare base64."""
    app_cert: Secret | None = None
    alipay_cert: Secret | None = None
    alipay_root_cert: Secret | None = None
    app_auth_token: Secret | None = None

    def problems(self) -> Iterable[tuple[str, str]]:
        """Name the keys that cannot be read, stand in each other's place, or belong to a mode that is not here yet."""
        later = ("app_cert", "alipay_cert", "alipay_root_cert", "app_auth_token")
        yield from ((name, NOT_YET) for name in later if getattr(self, name) is not None)
        own = None
        try:
            own = load_private_key(self.private_key.reveal())
        except KeyUnreadable as problem:
            yield "private_key", str(problem)
        if self.alipay_public_key is None:
            yield "alipay_public_key", "is missing; copy Alipay's public key from the open platform"
            return
        try:
            theirs = load_public_key(self.alipay_public_key.reveal())
        except KeyUnreadable as problem:
            yield "alipay_public_key", str(problem)
            return
        if own is not None and own.public_key() == theirs:
            yield (
                "alipay_public_key",
                "is your application's own public key; copy Alipay's, which is shown beside it on the open platform",
            )
