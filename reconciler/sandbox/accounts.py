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
    platform_serial: str = "7F1B3D5A9C2E4680BDF13579ACE02468BDF13579"
    """Of WeChat's platform certificate: who does not ask for the public key gets answers signed under this one."""


OTHER_MCHID = "1999999999"
OTHER_APPID = "wx9999999999999999"
