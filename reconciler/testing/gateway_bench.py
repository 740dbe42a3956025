"""A gateway's other side on a loopback port, so that an adapter is tested over real HTTP.

You write an `OtherSide`: what your gateway would say. The bench sees to what is no gateway's own: connections that
break, a proxy's error page, a clock that is wrong.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Final, Protocol

from reconciler.domain.answer import Reply
from reconciler.domain.order import ChannelName
from reconciler.gateways.kind import Kind
from reconciler.gateways.line import Way
from reconciler.pace import Pace
from reconciler.ports import Gateway, Memory
from reconciler.settings.channel import ChannelSettings
from reconciler.testing.gateway_situations import AHEAD, Situation
from reconciler.testing.memory import KeptInMind
from reconciler.transport import Transport

NOW: Final = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
"""When every test takes place; short waits, as between two tries, pass at once."""
CHANNEL: Final = ChannelName("main")
AT_ONCE: Final = 4
"""How many asks the bench's pace lets be under way together."""
TURNS: Final = 20
"""Turns of the event loop before an answer, so that the asks beside it arrive."""


class HurriedClock:
    """Stands still but for sleeping, which is over at once."""

    def __init__(self) -> None:
        self._passed_s = 0.0

    def now(self) -> datetime:
        """Virtual wall time."""
        return NOW + timedelta(seconds=self._passed_s)

    def monotonic(self) -> float:
        """Virtual seconds since the start."""
        return self._passed_s

    async def sleep(self, seconds: float) -> None:
        """Let the time pass, and the others run once."""
        self._passed_s += max(0.0, seconds)
        await asyncio.sleep(0)


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came."""

    method: str
    target: str
    """Path and query as they stood on the request line."""
    headers: Mapping[str, str]
    """By names in lower case."""
    body: bytes
    at: datetime


@dataclass(frozen=True, slots=True)
class Sent:
    """What is said to it."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    becomes: Situation | None = None
    """The number's situation from now on, where the request has changed it."""


class OtherSide(Protocol):
    """What a gateway would say. It signs and verifies by code of its own, or it proves nothing about the adapter's.

    Assert here what every request must be (signed, dated, to the right path): a failed assertion breaks the connection,
    and is raised when the test ends.
    """

    def number_of(self, request: Received) -> str | None:
        """Tell the number that is asked about or closed; None where it is about none, as a fetch of keys."""
        ...

    def answer(self, request: Received, situation: Situation | None) -> Sent:
        """Answer a request about a number in this situation; None for one about no number."""
        ...


BAD_GATEWAY: Final = Sent(b"<html>Bad Gateway</html>", 502, {"Content-Type": "text/html"})
GARBAGE: Final = Sent(b'{"\xff\x00]' * 9)


class SocketBench:
    """Implements `GatewayBench`: an adapter, and its other side on a socket."""

    def __init__(
        self,
        kind: Kind[Any],
        settings: ChannelSettings,
        other_side: OtherSide,
        without: frozenset[Situation] = frozenset(),
    ) -> None:
        self.other_side = other_side
        self.without = without
        self.memory = KeptInMind()
        self.received: list[Received] = []
        """Every request, in the order of arrival."""
        self.in_flight_max = 0
        self._kind = kind
        self._settings = settings
        self._clock = HurriedClock()
        self._transport = Transport(tls=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))  # trusts nobody: loopback needs none
        self._situations: dict[str, Situation] = {}
        self._numbers: list[str] = []
        self._in_flight = 0
        self._faults: list[AssertionError] = []
        self.gateway: Gateway = self.reopen(self.memory)

    def reopen(self, memory: Memory) -> Gateway:
        """Open the channel's gateway anew, as after a restart, over this memory."""
        pace = Pace(self._clock, 1e6, AT_ONCE)
        return self._kind.open(
            CHANNEL, self._settings, Way(self._transport, pace, self._clock, timedelta(seconds=5), memory)
        )

    def arrange(self, out_trade_no: str, situation: Situation) -> None:
        """Bring about a situation for a number."""
        self._situations[out_trade_no] = situation

    def arrivals(self) -> int:
        """Count the requests about numbers."""
        return len(self._numbers)

    def fault_of(self, reply: Reply) -> str | None:
        """Check the evidence as `ledger verify` would."""
        if reply.evidence is None or reply.key is None:
            return "no evidence, or no key"
        return self._kind.verify_evidence(reply.evidence, reply.key)

    def forget_arrivals(self) -> None:
        """Count from here on: what came before was preparation."""
        self._numbers.clear()
        self.received.clear()

    async def close(self) -> None:
        """Close the connections; raise what the other side found wrong."""
        await self.gateway.close()
        await self._transport.close()
        if self._faults:
            raise self._faults[0]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection: HTTP/1.1 with keep-alive."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while (sent := await self._answer(await _request(reader, self._clock.now()))) is not None:
                writer.write(_bytes(sent, self._clock.now()))
                await writer.drain()
        writer.close()

    async def _answer(self, request: Received) -> Sent | None:
        self.received.append(request)
        try:
            number = self.other_side.number_of(request)
            if number is None:
                return self.other_side.answer(request, None)
            self._numbers.append(number)
            await self._let_others_arrive()
            return self._say(request, number)
        except AssertionError as fault:
            self._faults.append(fault)
            return None

    def _say(self, request: Received, number: str) -> Sent | None:
        situation = self._situations.get(number, Situation.NOT_CREATED)
        if situation is Situation.DOWN or (situation is Situation.FALTERING and self._numbers.count(number) == 1):
            return None
        if situation is Situation.BROKEN:
            return BAD_GATEWAY
        if situation is Situation.GARBLED:
            return GARBAGE
        ordinary = {Situation.FALTERING: Situation.PAID, Situation.CLOCK_AHEAD: Situation.PAID}
        sent = self.other_side.answer(request, ordinary.get(situation, situation))
        if situation is Situation.CLOCK_AHEAD:
            date = format_datetime(self._clock.now() + AHEAD, usegmt=True)
            return Sent(sent.body, sent.status, {**sent.headers, "Date": date})
        if sent.becomes is not None:
            self._situations[number] = sent.becomes
        return sent

    async def _let_others_arrive(self) -> None:
        self._in_flight += 1
        self.in_flight_max = max(self.in_flight_max, self._in_flight)
        for _ in range(TURNS):
            await asyncio.sleep(0)
        self._in_flight -= 1


@asynccontextmanager
async def bench_over_a_socket(
    kind: Kind[Any],
    table: Mapping[str, object],
    other_side: OtherSide,
    *,
    path: str = "",
    without: frozenset[Situation] = frozenset(),
) -> AsyncIterator[SocketBench]:
    """Open an adapter by its kind and its table of the configuration (without `endpoint`, which the bench knows).

    `path` is what the endpoint has after host and port, `without` what this gateway does not know.
    """
    connections: list[SocketBench] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await connections[0].serve(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}{path}"
        settings = kind.settings.model_validate({"gateway": kind.name, **table, "endpoint": endpoint})
        assert list(settings.problems()) == []
        bench = SocketBench(kind, settings, other_side, without)
        connections.append(bench)
        yield bench
        await bench.close()
    finally:
        server.close()


async def _request(reader: asyncio.StreamReader, at: datetime) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *lines = head.strip().split("\r\n")
    method, target, _ = line.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(method, target, headers, body, at)


def _bytes(sent: Sent, now: datetime) -> bytes:
    length = {} if sent.status == 204 else {"Content-Length": str(len(sent.body))}  # noqa: PLR2004 # No Content
    fields = {"Date": format_datetime(now, usegmt=True), **length, **sent.headers}
    text = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {sent.status} X\r\n{text}\r\n".encode() + sent.body
