"""Who the sandbox's merchant is, at both gateways."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Accounts:
    """The merchant's identities. The defaults look like real ones and belong to nobody."""

    app_id: str = "2021000000000001"
    """The application at Alipay."""
    mchid: str = "1900000001"
    appid: str = "wx0000000000000001"
    serial_no: str = "3D0A1C5E7B9F2468ACE013579BDF02468ACE1357"
    """Of the merchant's API certificate at WeChat: hex, upper case."""
    public_key_id: str = "PUB_KEY_ID_0119000000012026112300000000000001"
    has_platform_certificates: bool = True
    """False, as for newer merchants: there are none to fetch, and every answer is signed with the public key."""
    sub_mchid: str = "1900000109"
    """The merchant for whom this one, as a service provider, may ask at WeChat."""
    sub_appid: str = "wx0000000000000109"


OTHER_MCHID = "1999999999"
OTHER_APPID = "wx9999999999999999"
