"""One merchant's way to WeChat Pay: the query by merchant number, and closing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from reconciler.domain.answer import Merchant, Misconfigured, Reply, Untrusted
from reconciler.domain.closing import CloseReply, NotClosed, TradeClosed
from reconciler.domain.order import ChannelName
from reconciler.gateways.asking import CloseReading, Reading, ask_all, close_trade, printable
from reconciler.gateways.keys import load_private_key, load_public_key, verifying_key
from reconciler.gateways.line import Call, Line, Way
from reconciler.gateways.strict_json import Malformed, parse_object
from reconciler.gateways.wechat.codes import OK, asks_for_another_try, close_refusal_of, refusal_of
from reconciler.gateways.wechat.keyring import (
    NotSigned,
    TheirKey,
    can_be_a_certificate,
    is_public_key_id,
    judge,
    plain_serial,
)
from reconciler.gateways.wechat.platform import NotReady, PlatformCertificates
from reconciler.gateways.wechat.request import Signer
from reconciler.gateways.wechat.settings import NAME, WechatSettings
from reconciler.gateways.wechat.signing import signed_headers
from reconciler.gateways.wechat.trade import answer_of
from reconciler.transport import HttpResponse

NO_NAME_IN_A_PATH: Final = frozenset("/\\?#%")
CLOSED: Final = (200, 204)
"""Documented is 204, without a body; neither is believed without a signature."""


class WechatGateway:
    """Implements the port `Gateway`, and the dialect that asking speaks."""

    kind = NAME

    def __init__(
        self,
        channel: ChannelName,
        settings: WechatSettings,
        way: Way,
    ) -> None:
        """Load the keys. Raises KeyUnreadable, and nothing that `settings.problems()` did not name before."""
        self.channel = channel
        self._payee = settings.payee
        self.merchant: Merchant = self._payee.merchant
        private_key = load_private_key(settings.private_key.reveal())
        self._signer = Signer(settings.mchid, settings.serial_no.upper(), private_key, settings.public_key_id)
        self._public_keys: dict[str, TheirKey] = {}
        if settings.public_key is not None and settings.public_key_id is not None:
            public = load_public_key(settings.public_key.reveal())
            self._public_keys[plain_serial(settings.public_key_id)] = TheirKey(public, verifying_key(public))
        self._platform: PlatformCertificates | None = None
        if settings.apiv3_key is not None:
            self._platform = PlatformCertificates(self._signer, settings.apiv3_key.reveal(), self._public_keys)
        self._line = Line(way, settings.endpoints)

    async def ask(self, out_trade_nos: Sequence[str]) -> Sequence[Reply]:
        """Ask about each number, within the channel's pace. One reply each, in order; never raises."""
        return await ask_all(self, self._line, out_trade_nos)

    async def close_trade(self, out_trade_no: str) -> CloseReply:
        """Have WeChat Pay close the trade (gateways.md 2.1). Never raises."""
        match await self.prepare(self._line):
            case None:
                return await close_trade(self, self._line, out_trade_no)
            case Misconfigured(reason):
                return NotClosed(reason)
            case not_now:
                return not_now

    async def close(self) -> None:
        """Do nothing: the connections are the transport's."""

    def refusal(self, out_trade_no: str) -> str | None:
        """Refuse what a host that routes by path takes for another path: no number has that (gateways.md 2.1)."""
        if out_trade_no in {".", ".."} or NO_NAME_IN_A_PATH & set(out_trade_no):
            return "the number is no name in a path: WeChat Pay knows none with / \\ ? # or %"
        return None

    async def prepare(self, line: Line) -> NotReady | None:
        """See to the platform certificates, where the channel works with them."""
        return await self._platform.get_ready(line) if self._platform is not None else None

    def query(self, out_trade_no: str) -> Call[Reading]:
        """Ask about the number."""
        target = self._payee.query_target(out_trade_no)
        return Call(
            f"GET {target}",
            lambda now, endpoint: self._signer.request("GET", target, now, endpoint),
            lambda response, received_at: self._read(out_trade_no, response, received_at),
        )

    def closing(self, out_trade_no: str) -> Call[CloseReading]:
        """Have the trade closed; safe to repeat."""
        target, body = self._payee.close_target(out_trade_no), self._payee.close_body()
        return Call(
            f"POST {target}",
            lambda now, endpoint: self._signer.request("POST", target, now, endpoint, body),
            self._read_closing,
        )

    def _read(self, out_trade_no: str, response: HttpResponse, received_at: datetime) -> Reading:
        """Look at the status first: only a 200 is signed, and only a verified one is believed."""
        if response.status != OK:
            return Reading(refusal_of(response), again=asks_for_another_try(response))
        headers = signed_headers(response.headers)
        judgement = judge(response, self._find, received_at)
        if isinstance(judgement, NotSigned):
            reason, keys_may_be_old = self._explained(judgement)
            untrusted = Untrusted(reason, judgement.unknown_serial and printable(judgement.unknown_serial))
            return Reading(untrusted, None, headers, judgement.again, keys_may_be_old)
        try:
            members = parse_object(response.body)
        except Malformed as problem:
            return Reading(Untrusted(f"malformed answer: {problem}"), signed_headers=headers)
        if members.get("out_trade_no") != out_trade_no:
            return Reading(Untrusted("it answers for another out_trade_no"), signed_headers=headers)
        return Reading(answer_of(out_trade_no, members, self.merchant), judgement.key, headers)

    def _read_closing(self, response: HttpResponse, received_at: datetime) -> CloseReading:
        if response.status not in CLOSED:
            return CloseReading(close_refusal_of(response), again=asks_for_another_try(response))
        judgement = judge(response, self._find, received_at)
        if isinstance(judgement, NotSigned):
            reason, _ = self._explained(judgement)
            return CloseReading(NotClosed(f"HTTP {response.status}, but {reason}"), judgement.again, is_unproven=True)
        return CloseReading(TradeClosed())

    def _find(self, serial: str) -> TheirKey | None:
        known = self._public_keys.get(serial)
        return known or (self._platform.find(serial) if self._platform is not None else None)

    def _explained(self, judgement: NotSigned) -> tuple[str, bool]:
        """Say why it proves nothing, with the remedy for a key we do not have; and whether that one may be fetched."""
        serial = judgement.unknown_serial
        if serial is None:
            return judgement.fault, False
        if is_public_key_id(serial):
            return f"{judgement.fault}: set public_key_id to this one, and public_key to its key", False
        if not can_be_a_certificate(serial):
            return judgement.fault, False
        if self._platform is None:
            return f"{judgement.fault}: a platform certificate's; set apiv3_key too, so that it can be fetched", False
        may_be_fetched = self._platform.note_unknown(self._line.way.clock)
        trouble = f"; {self._platform.trouble}" if self._platform.trouble else ""
        return f"{judgement.fault}: no platform certificate that was fetched has it{trouble}", may_be_fetched
