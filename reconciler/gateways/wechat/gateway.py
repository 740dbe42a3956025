"""One merchant's way to WeChat Pay's query by merchant number."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import quote

from reconciler.domain.answer import Merchant, Reply, Untrusted
from reconciler.domain.order import ChannelName
from reconciler.gateways.asking import USER_AGENT, Reading, Way, ask_all, printable
from reconciler.gateways.keys import load_private_key, load_public_key, sign, verifying_key
from reconciler.gateways.strict_json import Malformed, parse_object
from reconciler.gateways.wechat.codes import refusal_of
from reconciler.gateways.wechat.settings import WechatSettings
from reconciler.gateways.wechat.signing import SERIAL, fault_of, request_text, signed_headers
from reconciler.gateways.wechat.trade import answer_of
from reconciler.ports import Clock, Pacer
from reconciler.transport import HttpRequest, HttpResponse, Transport

KIND: Final = "wechat"
SCHEME: Final = "WECHATPAY2-SHA256-RSA2048"
OK: Final = 200
PATH: Final = "/v3/pay/transactions/out-trade-no/"
LITERAL_IN_A_PATH: Final = "-._~!$&'()*+,;=:@"
"""RFC 3986's pchar. Both httpx and yarl leave these as they are and yarl even decodes their %-forms: encoded here, they
would be signed as one thing and sent as another."""


class WechatGateway:
    """Implements the port `Gateway`, and the dialect that asking speaks."""

    kind = KIND

    def __init__(
        self,
        channel: ChannelName,
        settings: WechatSettings,
        transport: Transport,
        pace: Pacer,
        clock: Clock,
        timeout: timedelta,
    ) -> None:
        """Load the keys. Raises KeyUnreadable, and nothing that `settings.problems()` did not name before."""
        self.channel = channel
        self.merchant: Merchant = (("appid", settings.appid), ("mchid", settings.mchid))
        self._endpoint = settings.endpoint
        self._mchid = settings.mchid
        self._serial_no = settings.serial_no.upper()
        self._private_key = load_private_key(settings.private_key.reveal())
        self._public_key_id = settings.public_key_id or ""
        self._wechat_key = load_public_key(settings.public_key.reveal() if settings.public_key else b"")
        self._verifying_key = verifying_key(self._wechat_key)
        self._way = Way(transport, pace, clock, timeout)

    async def ask(self, out_trade_nos: Sequence[str]) -> Sequence[Reply]:
        """Ask about each number, within the channel's pace. One reply each, in order; never raises."""
        return await ask_all(self, self._way, out_trade_nos)

    async def close(self) -> None:
        """Do nothing: the connections are the transport's."""

    def refusal(self, out_trade_no: str) -> str | None:
        """Refuse `.` and `..`, which every URL library takes for a step in the path: the query would be another one."""
        return "the number is a step in a path, not a name" if out_trade_no in {".", ".."} else None

    def asked(self, out_trade_no: str) -> str:
        """Give method and path."""
        return f"GET {self._path(out_trade_no)}"

    def request(self, out_trade_no: str, now: datetime) -> HttpRequest:
        """Sign path and query exactly as they go on the wire."""
        path = self._path(out_trade_no)
        timestamp, nonce = int(now.timestamp()), secrets.token_hex(16)
        signature = sign(self._private_key, request_text("GET", path, timestamp, nonce))
        authorization = (
            f'{SCHEME} mchid="{self._mchid}",nonce_str="{nonce}",timestamp="{timestamp}",'
            f'serial_no="{self._serial_no}",signature="{signature}"'
        )
        headers = (
            ("User-Agent", USER_AGENT),
            ("Accept", "application/json"),
            ("Authorization", authorization),
            ("Wechatpay-Serial", self._public_key_id),
        )
        return HttpRequest("GET", self._endpoint + path, headers)

    def read(self, out_trade_no: str, response: HttpResponse, received_at: datetime) -> Reading:
        """Look at the status first: only a 200 is signed, and only a verified one is believed."""
        if response.status != OK:
            return Reading(refusal_of(response))
        headers = signed_headers(response.headers)
        serial = response.header(SERIAL)
        if serial is not None and serial.lower() != self._public_key_id.lower():
            unknown = Untrusted("signed with a key that is not ours to verify with", printable(serial))
            return Reading(unknown, signed_headers=headers)
        if fault := fault_of(response.headers, response.body, self._wechat_key, received_at):
            return Reading(Untrusted(fault), signed_headers=headers)
        try:
            members = parse_object(response.body)
        except Malformed as problem:
            return Reading(Untrusted(f"malformed answer: {problem}"), signed_headers=headers)
        if members.get("out_trade_no") != out_trade_no:
            return Reading(Untrusted("it answers for another out_trade_no"), signed_headers=headers)
        return Reading(answer_of(out_trade_no, members), self._verifying_key, headers)

    def _path(self, out_trade_no: str) -> str:
        return f"{PATH}{quote(out_trade_no, safe=LITERAL_IN_A_PATH)}?mchid={self._mchid}"
