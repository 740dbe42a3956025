"""Whom a channel's trades pay: a merchant of its own, or one behind a service provider (gateways.md 2.1, 2.5)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from reconciler.domain.answer import Merchant

DIRECT: Final = "/v3/pay/transactions/out-trade-no/"
PARTNER: Final = "/v3/pay/partner/transactions/out-trade-no/"
LITERAL_IN_A_PATH: Final = "-._~!$&'()*+,;=:@"
"""RFC 3986's pchar. Both httpx and yarl leave these as they are and yarl even decodes their %-forms: encoded here, they
would be signed as one thing and sent as another."""


@dataclass(frozen=True, slots=True)
class Payee:
    """A merchant, as WeChat Pay tells them apart. With `sub_mchid`, `mchid` and `appid` are the service provider's."""

    mchid: str
    appid: str
    sub_mchid: str | None = None
    sub_appid: str | None = None

    @property
    def merchant(self) -> Merchant:
        """The facts that an answer must agree with, under the names that it gives them."""
        if self.sub_mchid is None:
            return (("appid", self.appid), ("mchid", self.mchid))
        facts = {"sp_appid": self.appid, "sp_mchid": self.mchid, "sub_mchid": self.sub_mchid}
        if self.sub_appid is not None:
            facts["sub_appid"] = self.sub_appid
        return tuple(sorted(facts.items()))

    def query_target(self, out_trade_no: str) -> str:
        """Give path and query of the question about a number."""
        return f"{self._path(out_trade_no)}?" + "&".join(f"{name}={value}" for name, value in self._numbers.items())

    def close_target(self, out_trade_no: str) -> str:
        """Give the path that closes the trade of a number."""
        return f"{self._path(out_trade_no)}/close"

    def close_body(self) -> bytes:
        """Give the body that goes with it."""
        return json.dumps(self._numbers, separators=(",", ":")).encode()

    @property
    def _numbers(self) -> dict[str, str]:
        if self.sub_mchid is None:
            return {"mchid": self.mchid}
        return {"sp_mchid": self.mchid, "sub_mchid": self.sub_mchid}

    def _path(self, out_trade_no: str) -> str:
        prefix = DIRECT if self.sub_mchid is None else PARTNER
        return prefix + quote(out_trade_no, safe=LITERAL_IN_A_PATH)
