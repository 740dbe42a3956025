"""`[channels.NAME]` of an Alipay channel."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from reconciler.settings.channel import ChannelSettings, Endpoint
from reconciler.settings.types import Secret, SecretError

NAME: Final = "alipay"
"""The value of `channels.NAME.gateway`."""


class AlipaySettings(ChannelSettings):
    """One application at Alipay: in key mode or in certificate mode, for itself or on a merchant's behalf."""

    private_fields: ClassVar[frozenset[str]] = frozenset({"private_key", "app_auth_token"})

    gateway: Literal["alipay"] = "alipay"
    endpoint: Endpoint = "https://openapi.alipay.com/gateway.do"
    app_id: Annotated[str, Field(pattern=r"^[0-9]{1,32}$")]
    private_key: Secret
    """The application's own key: PKCS#1 or PKCS#8, PEM or bare base64."""
    alipay_public_key: Secret | None = None
    """Key mode: Alipay's key, which the open platform shows beside the application's own; PEM or bare base64."""
    app_cert: Secret | None = None
    """Certificate mode, as are the next two: the certificate over the application's own key."""
    alipay_cert: Secret | None = None
    alipay_root_cert: Secret | None = None
    app_auth_token: Secret | None = None
    """Service providers: the merchant's authorisation."""

    @property
    def is_certified(self) -> bool:
        """Whether the channel is in certificate mode."""
        return self.alipay_cert is not None

    def account(self) -> tuple[object, ...]:
        """Tell accounts apart by application and merchant: keys and certificates do not make another one."""
        if self.app_auth_token is None:
            return (self.app_id, None)
        try:
            return (self.app_id, self.app_auth_token.reveal())  # two references may lead to one token
        except SecretError:  # which is found and named when the secrets are loaded
            return (self.app_id, self.app_auth_token)

    def problems(self) -> Iterable[tuple[str, str]]:
        """Name what is missing, belongs to the other mode, cannot be read, or stands in another's place."""
        from reconciler.gateways.alipay import problems  # noqa: PLC0415 # whoever asks no gateway needs no cryptography

        return problems.of(self)
