"""One Alipay application's way to `alipay.trade.query`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from reconciler.domain.answer import Answer, Merchant, NotCreated, Reply, Unavailable, Unrecognised, Untrusted
from reconciler.domain.order import ChannelName
from reconciler.gateways.alipay.codes import refusal_of
from reconciler.gateways.alipay.settings import AlipaySettings
from reconciler.gateways.alipay.signing import Envelope, open_envelope, string_to_sign
from reconciler.gateways.alipay.trade import BEIJING, answer_of
from reconciler.gateways.asking import USER_AGENT, Reading, Way, ask_all, printable
from reconciler.gateways.keys import load_private_key, load_public_key, sign, verifies, verifying_key
from reconciler.gateways.retry_after import throttled
from reconciler.gateways.strict_json import Json, Malformed, begins_like_an_object, parse_object, text_of
from reconciler.ports import Clock, Pacer
from reconciler.transport import HttpRequest, HttpResponse, Transport

KIND: Final = "alipay"
METHOD: Final = "alipay.trade.query"
OK: Final = 200
TOO_MANY: Final = 429


class AlipayGateway:
    """Implements the port `Gateway`, and the dialect that asking speaks."""

    kind = KIND
    merchant: Merchant = ()
    """Alipay's answer names no seller: key, app_id and token decide whose trade it is (gateways.md 1.4)."""

    def __init__(
        self,
        channel: ChannelName,
        settings: AlipaySettings,
        transport: Transport,
        pace: Pacer,
        clock: Clock,
        timeout: timedelta,
    ) -> None:
        """Load the keys. Raises KeyUnreadable, and nothing that `settings.problems()` did not name before."""
        self.channel = channel
        self._endpoint = settings.endpoint
        self._app_id = settings.app_id
        self._private_key = load_private_key(settings.private_key.reveal())
        self._alipay_key = load_public_key(settings.alipay_public_key.reveal() if settings.alipay_public_key else b"")
        self._verifying_key = verifying_key(self._alipay_key)
        self._way = Way(transport, pace, clock, timeout)

    async def ask(self, out_trade_nos: Sequence[str]) -> Sequence[Reply]:
        """Ask about each number, within the channel's pace. One reply each, in order; never raises."""
        return await ask_all(self, self._way, out_trade_nos)

    async def close(self) -> None:
        """Do nothing: the connections are the transport's."""

    def refusal(self, out_trade_no: str) -> str | None:  # noqa: ARG002 # the dialect's signature
        """Refuse nothing more: Alipay takes any askable number."""
        return None

    def asked(self, out_trade_no: str) -> str:
        """Name the API and the number."""
        return f"{METHOD} out_trade_no={out_trade_no}"

    def request(self, out_trade_no: str, now: datetime) -> HttpRequest:
        """Put the public parameters into the URL and the order into the body, and sign both together."""
        public = {
            "app_id": self._app_id,
            "method": METHOD,
            "format": "JSON",
            "charset": "utf-8",
            "sign_type": "RSA2",
            "timestamp": f"{now.astimezone(BEIJING):%Y-%m-%d %H:%M:%S}",
            "version": "1.0",
        }
        order = {"biz_content": json.dumps({"out_trade_no": out_trade_no}, separators=(",", ":"))}
        public["sign"] = sign(self._private_key, string_to_sign(public | order))
        headers = (
            ("User-Agent", USER_AGENT),
            ("Accept", "application/json"),
            ("Content-Type", "application/x-www-form-urlencoded;charset=utf-8"),
        )
        return HttpRequest("POST", f"{self._endpoint}?{urlencode(public)}", headers, urlencode(order).encode())

    def read(self, out_trade_no: str, response: HttpResponse, received_at: datetime) -> Reading:  # noqa: ARG002 # an answer of v2 carries no time to judge
        """Verify over the bytes as they came, and only then believe them."""
        if response.status == TOO_MANY:
            return Reading(throttled(response))
        if response.status != OK:
            return Reading(Unavailable(f"HTTP {response.status}"))
        if not begins_like_an_object(response.body):
            return Reading(Unavailable("not JSON: a proxy's page, perhaps"))
        try:
            envelope = open_envelope(response.body)
            members = parse_object(envelope.content)
        except Malformed as problem:
            return Reading(Untrusted(f"malformed answer: {problem}"))
        return self._judge(out_trade_no, envelope, members)

    def _judge(self, out_trade_no: str, envelope: Envelope, members: Json) -> Reading:
        signed = envelope.signature is not None
        if envelope.signature is not None and not verifies(self._alipay_key, envelope.signature, envelope.content):
            return Reading(_wrong_signature(envelope))
        if (echo := members.get("out_trade_no")) is not None and echo != out_trade_no:
            return Reading(Untrusted("it answers for another out_trade_no"))
        code = text_of(members, "code") or ""
        if code == "10000":
            if not signed or echo is None:
                return Reading(Untrusted("a success without signature" if not signed else "it echoes no out_trade_no"))
            return Reading(answer_of(out_trade_no, members), self._verifying_key)
        answer = refusal_of(code, members) or _unknown(code, signed=signed)
        # Nothing ties a NotCreated without a number to this attempt: it could be another one's, replayed.
        tied = signed and not isinstance(answer, Untrusted) and not (isinstance(answer, NotCreated) and echo is None)
        return Reading(answer, self._verifying_key if tied else None)


def _wrong_signature(envelope: Envelope) -> Untrusted:
    if envelope.cert_serial is None:
        return Untrusted("the signature does not verify with alipay_public_key")
    reason = "the signature does not verify: Alipay signed by certificate, and the channel is in key mode"
    return Untrusted(reason, printable(envelope.cert_serial))


def _unknown(code: str, *, signed: bool) -> Answer:
    what = f"code {printable(code)}" if code else "no code"
    return Unrecognised(what) if signed else Untrusted(f"unsigned, with {what}")
