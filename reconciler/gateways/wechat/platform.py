"""The platform certificates that a channel has: fetched, refreshed, merged, and kept across restarts."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, assert_never

from reconciler.domain.answer import (
    Answer,
    Closed,
    Misconfigured,
    NotCreated,
    Paid,
    Refunded,
    Rejected,
    Throttled,
    Unavailable,
    Unpaid,
    Unrecognised,
    Untrusted,
    reason_of,
)
from reconciler.gateways.line import Call, Line, Way
from reconciler.gateways.strict_json import Json, Malformed, parse_object, text_of
from reconciler.gateways.wechat.certificates import (
    DOES_NOT_OPEN,
    ITEMS_MAX,
    Opened,
    PlatformCertificate,
    open_items,
)
from reconciler.gateways.wechat.codes import OK, asks_for_another_try, code_of, refusal_of
from reconciler.gateways.wechat.keyring import Find, NotSigned, TheirKey, judge
from reconciler.gateways.wechat.request import Signer
from reconciler.ports import Clock, PortError
from reconciler.transport import HttpResponse

TARGET: Final = "/v3/certificates"
REFRESH_AFTER: Final = timedelta(hours=11)
"""WeChat Pay wants it done in under 12 hours (gateways.md 2.4)."""
FETCH_EVERY_S: Final = 60.0
"""As long as there is a certificate to go on with, nothing is fetched more often than that."""
MEMORY: Final = "platform-certificates"
MEMORY_LENGTH_MAX: Final = 1_000_000

NONE_TO_BE_HAD: Final = (
    "this merchant has no platform certificates: use public-key mode, that is set public_key_id and public_key, "
    "both from the merchant platform"
)
WRONG_KEY: Final = (
    "apiv3_key does not open the platform certificates: it must be the APIv3 key that is set on the merchant platform "
    "for this mchid"
)

NotReady = Unavailable | Throttled | Misconfigured


@dataclass(frozen=True, slots=True)
class Fetched:
    """What the response to GET /v3/certificates says."""

    answer: Answer | None
    """Why nothing of it is taken; None where something is."""
    brought: Mapping[str, PlatformCertificate] = field(default_factory=dict)
    again: bool = False


class PlatformCertificates:
    """One channel's. Whoever asks next sees to them; one fetch at a time, the others wait for it."""

    def __init__(self, signer: Signer, apiv3_key: bytes, others: Mapping[str, TheirKey]) -> None:
        """Take the keys beside them: where there is one, certificates are fetched only when an answer needs them."""
        self._signer = signer
        self._apiv3_key = apiv3_key
        self._others = others
        self._held: dict[str, PlatformCertificate] = {}
        self._turn = asyncio.Lock()
        self._recalled = False
        self._wanted = False
        self._fetches = 0
        self._fetched_at: datetime | None = None
        self._tried_at_s: float | None = None
        self._failure: NotReady | None = None

    def find(self, serial: str) -> TheirKey | None:
        """Find the key of a serial, given as `plain_serial` writes it."""
        held = self._held.get(serial)
        return held.key if held is not None else None

    @property
    def trouble(self) -> str:
        """Why the last fetch brought nothing; empty where it brought something, or there was none."""
        return reason_of(self._failure) if self._failure is not None else ""

    def note_unknown(self, clock: Clock) -> bool:
        """Take note that an answer names a certificate that we do not have; say whether fetching may bring it."""
        # Also true while a fetch is under way: whoever then gets ready waits for that one, and starts none.
        self._wanted = self._wanted or self._has_rested(clock)
        return self._wanted

    async def get_ready(self, line: Line) -> NotReady | None:
        """Recall and fetch where that is due. None where asking can go on, with what is there; else what to answer."""
        clock = line.way.clock
        if self._recalled and not self._is_due(clock):
            return None
        fetches = self._fetches
        async with self._turn:
            if not self._recalled:
                await self._recall(line.way)
            if fetches == self._fetches and self._is_due(clock):
                await self._fetch(line)
        if self._can_go_on(clock):
            return None
        return self._failure or Unavailable("no platform certificate is valid at this time: is our clock right?")

    def _is_due(self, clock: Clock) -> bool:
        if self._wanted or not self._can_go_on(clock):
            return True
        if self._others or not self._has_rested(clock):
            return False
        # A time in the future was written by a wrong clock, or by nobody's hand: it proves no freshness.
        return self._fetched_at is None or not timedelta(0) <= clock.now() - self._fetched_at < REFRESH_AFTER

    def _can_go_on(self, clock: Clock) -> bool:
        now_s = clock.now().timestamp()
        return bool(self._others) or any(each.key.is_valid_at(now_s) for each in self._held.values())

    def _has_rested(self, clock: Clock) -> bool:
        return self._tried_at_s is None or clock.monotonic() - self._tried_at_s >= FETCH_EVERY_S

    async def _fetch(self, line: Line) -> None:
        call = Call(
            f"GET {TARGET}",
            lambda now, endpoint: self._signer.request("GET", TARGET, now, endpoint),
            self._read,
        )
        exchange = await line.exchange(call)
        self._fetches += 1
        if exchange.is_sent:
            self._tried_at_s = line.way.clock.monotonic()
            self._wanted = False
        read = exchange.read or Fetched(exchange.missed or Unavailable("no answer"))
        self._failure = _instead(read.answer) if read.answer is not None else None
        if self._failure is None:
            self._merge(read.brought)
            self._fetched_at = exchange.answered_at
            await self._remember(line.way)

    def _read(self, response: HttpResponse, received_at: datetime) -> Fetched:
        """Open what came, then see whether the whole is signed with one of those keys, or one that we have."""
        if response.status != OK:
            if code_of(response) == "RESOURCE_NOT_EXISTS":
                return Fetched(Misconfigured(NONE_TO_BE_HAD))
            return Fetched(refusal_of(response), again=asks_for_another_try(response))
        try:
            items = parse_object(response.body).get("data")
        except Malformed as problem:
            return Fetched(Untrusted(f"malformed answer: {problem}"))
        if items == []:
            return Fetched(Misconfigured(NONE_TO_BE_HAD))
        opened = open_items(items, self._apiv3_key)
        judgement = judge(response, self._finding(opened), received_at)
        if isinstance(judgement, NotSigned) and judgement.again:
            return Fetched(Untrusted(judgement.fault), again=True)
        if not opened.certificates:
            is_locked = all(fault == DOES_NOT_OPEN for fault in opened.faults)
            return Fetched(Misconfigured(WRONG_KEY) if is_locked else Untrusted(opened.faults[0]))
        if isinstance(judgement, NotSigned):
            return Fetched(Untrusted(judgement.fault))
        return Fetched(None, opened.certificates)

    def _finding(self, opened: Opened) -> Find:
        def find(serial: str) -> TheirKey | None:
            brought = opened.certificates.get(serial)
            return self._others.get(serial) or self.find(serial) or (brought.key if brought is not None else None)

        return find

    def _merge(self, brought: Mapping[str, PlatformCertificate]) -> None:
        """Add to what is held, never replace: what a serial stands for does not change. Those that end last stay."""
        together = {**brought, **self._held}
        last = sorted(together.values(), key=lambda each: each.ends_at, reverse=True)[:ITEMS_MAX]
        self._held = {each.serial: each for each in last}

    async def _recall(self, way: Way) -> None:
        """Take what an earlier process kept, once; it is opened and judged again, so nothing can be slipped in."""
        text = None
        with contextlib.suppress(PortError):  # a cache
            text = await way.memory.recall(MEMORY)
        self._recalled = True
        if text is None or len(text) > MEMORY_LENGTH_MAX:
            return
        try:
            kept = parse_object(text.encode())
        except (Malformed, UnicodeEncodeError):
            return
        self._merge(open_items(kept.get("items"), self._apiv3_key).certificates)
        self._fetched_at = _time(kept)

    async def _remember(self, way: Way) -> None:
        """Keep the items as they came: encrypted, so that who can write to the ledger cannot write a key."""
        assert self._fetched_at is not None  # noqa: S101 # just fetched
        kept = {"fetched_at": self._fetched_at.isoformat(), "items": [each.item for each in self._held.values()]}
        with contextlib.suppress(PortError):  # a cache
            await way.memory.remember(MEMORY, json.dumps(kept, separators=(",", ":")))


def _instead(answer: Answer) -> NotReady:
    """Say what to answer to every query, where the certificates were answered with this."""
    match answer:
        case Throttled():
            return answer
        case Unavailable(reason):
            return Unavailable(f"platform certificates cannot be fetched: {reason}")
        case Untrusted(reason):
            return Unavailable(f"platform certificates cannot be trusted: {reason}")
        case Misconfigured(reason) if reason in {NONE_TO_BE_HAD, WRONG_KEY}:
            return answer
        case Misconfigured(reason) | Rejected(reason):
            return Misconfigured(f"platform certificates cannot be fetched: {reason}")
        case NotCreated() | Paid() | Refunded() | Unpaid() | Closed() | Unrecognised():
            return Misconfigured("platform certificates cannot be fetched: the endpoint answers about a trade instead")
        case _:
            assert_never(answer)


def _time(kept: Json) -> datetime | None:
    try:
        time = datetime.fromisoformat(text_of(kept, "fetched_at") or "")
    except ValueError:
        return None
    return time if time.tzinfo is not None else None
