"""One Alipay application's way to its trades: asking about them, and closing them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import urlencode

from reconciler.domain.answer import Merchant, Reply, Trade
from reconciler.domain.closing import CloseReply
from reconciler.domain.order import ChannelName
from reconciler.gateways.alipay.identity import identity_of
from reconciler.gateways.alipay.reading import read_close, read_query, read_refund
from reconciler.gateways.alipay.settings import NAME, AlipaySettings
from reconciler.gateways.alipay.signing import Method, string_to_sign
from reconciler.gateways.alipay.trade import BEIJING
from reconciler.gateways.asking import USER_AGENT, CloseReading, Reading, ask_all, close_trade
from reconciler.gateways.keys import sign
from reconciler.gateways.line import Call, Line, Way
from reconciler.transport import HttpRequest


class AlipayGateway:
    """Implements the port `Gateway`, and the dialect that asking speaks."""

    kind = NAME
    merchant: Merchant = ()
    """Alipay's answer names no seller: key, app_id and token decide whose trade it is (gateways.md 1.4)."""

    def __init__(
        self,
        channel: ChannelName,
        settings: AlipaySettings,
        way: Way,
    ) -> None:
        """Load the keys. Raises KeyUnreadable, and nothing that `settings.problems()` did not name before."""
        self.channel = channel
        self._identity = identity_of(settings)
        self._line = Line(way, [settings.endpoint])

    async def ask(self, out_trade_nos: Sequence[str]) -> Sequence[Reply]:
        """Ask about each number, within the channel's pace. One reply each, in order; never raises."""
        return await ask_all(self, self._line, out_trade_nos)

    async def close_trade(self, out_trade_no: str) -> CloseReply:
        """Have Alipay close the trade (gateways.md 1.9). Never raises."""
        return await close_trade(self, self._line, out_trade_no)

    async def close(self) -> None:
        """Do nothing: the connections are the transport's."""

    def refusal(self, out_trade_no: str) -> str | None:  # noqa: ARG002 # the dialect's signature
        """Refuse nothing more: Alipay takes any askable number."""
        return None

    async def prepare(self, line: Line) -> None:
        """Do nothing: the keys are all there from the start."""

    def query(self, out_trade_no: str) -> Call[Reading]:
        """Ask about the number; a trade that is closed without a sign of payment leads to `refund_query`."""
        content = {"out_trade_no": out_trade_no}
        return Call(
            _said(Method.QUERY, content),
            lambda now, endpoint: self._request(Method.QUERY, content, now, endpoint),
            lambda response, _: read_query(response, out_trade_no, self._identity.alipay, self.refund_query),
        )

    def refund_query(self, closed: Trade) -> Call[Reading]:
        """Ask whether a closed trade was refunded. A refund made without a number of its own has the trade's."""
        content = {"out_trade_no": closed.out_trade_no, "out_request_no": closed.out_trade_no}
        return Call(
            _said(Method.REFUND_QUERY, content),
            lambda now, endpoint: self._request(Method.REFUND_QUERY, content, now, endpoint),
            lambda response, _: read_refund(response, closed, self._identity.alipay),
        )

    def closing(self, out_trade_no: str) -> Call[CloseReading]:
        """Have the trade closed."""
        content = {"out_trade_no": out_trade_no}
        return Call(
            _said(Method.CLOSE, content),
            lambda now, endpoint: self._request(Method.CLOSE, content, now, endpoint),
            lambda response, _: read_close(response, out_trade_no, self._identity.alipay),
        )

    def _request(self, method: Method, content: Mapping[str, str], now: datetime, endpoint: str) -> HttpRequest:
        """Put the public parameters into the URL and the order into the body, and sign both together."""
        public = {
            **self._identity.public,
            "method": method.value,
            "format": "JSON",
            "charset": "utf-8",
            "sign_type": "RSA2",
            "timestamp": f"{now.astimezone(BEIJING):%Y-%m-%d %H:%M:%S}",
            "version": "1.0",
        }
        order = {"biz_content": json.dumps(content, separators=(",", ":"))}
        public["sign"] = sign(self._identity.private_key, string_to_sign(public | order))
        headers = (
            ("User-Agent", USER_AGENT),
            ("Accept", "application/json"),
            ("Content-Type", "application/x-www-form-urlencoded;charset=utf-8"),
        )
        return HttpRequest("POST", f"{endpoint}?{urlencode(public)}", headers, urlencode(order).encode())


def _said(method: Method, content: Mapping[str, str]) -> str:
    """Say what is asked, as evidence keeps it: `verify_evidence` reads the method from it."""
    return " ".join([method.value, *(f"{name}={value}" for name, value in content.items())])
