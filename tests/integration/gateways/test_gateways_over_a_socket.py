"""Both adapters, and the double, through the conformance suite; the adapters over a real socket.

The other side is a small HTTP/1.1 responder that verifies and signs by its own code.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, unquote

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from reconciler.domain.answer import (
    Answer,
    Closed,
    Misconfigured,
    NotCreated,
    Paid,
    Refunded,
    Rejected,
    Reply,
    Throttled,
    Trade,
    Unavailable,
    Unpaid,
    Unrecognised,
    Untrusted,
)
from reconciler.domain.order import ChannelName
from reconciler.gateways import KINDS, SETTINGS
from reconciler.pace import Pace
from reconciler.ports import Gateway
from reconciler.testing.gateway import ScriptedGateway
from reconciler.testing.gateway_conformance import AMOUNT, GatewayBench, GatewayConformance, Situation
from reconciler.transport import Transport

NOW = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
BEIJING = timezone(timedelta(hours=8))
PUBLIC_KEY_ID = "PUB_KEY_ID_0119000000012026112300000000000001"


class StillClock:
    """Stands at NOW; sleeping moves it on at once."""

    def __init__(self) -> None:
        self.passed_s = 0.0

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.passed_s)

    def monotonic(self) -> float:
        return self.passed_s

    async def sleep(self, seconds: float) -> None:
        self.passed_s += seconds
        await asyncio.sleep(0)


@dataclass
class Request:
    """As it came: the target is what stood on the request line."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Respond = Callable[[Request], tuple[int, dict[str, str], bytes] | None]


@dataclass
class Responder:
    """Serves HTTP/1.1 with keep-alive; None from `respond` breaks the connection."""

    respond: Respond
    arrivals: int = 0
    in_flight: int = 0
    in_flight_max: int = 0
    requests: list[Request] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                line, *lines = head.strip().split("\r\n")
                method, target, _ = line.split(" ")
                headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                request = Request(method, target, headers, body)
                self.requests.append(request)
                self.arrivals += 1
                self.in_flight += 1
                self.in_flight_max = max(self.in_flight_max, self.in_flight)
                for _ in range(20):  # let the asks beside it arrive
                    await asyncio.sleep(0)
                self.in_flight -= 1
                response = self.respond(request)
                if response is None:
                    break
                status, more, content = response
                fields = {"Content-Length": str(len(content)), **more}
                text = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
                writer.write(f"HTTP/1.1 {status} X\r\n{text}\r\n".encode() + content)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def listening(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@pytest.fixture(scope="module")
def ours() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="module")
def theirs() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="module")
def strangers() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def signed(key: rsa.RSAPrivateKey, text: bytes) -> str:
    return base64.b64encode(key.sign(text, padding.PKCS1v15(), SHA256())).decode()


def holds(key: rsa.RSAPrivateKey, signature: str, text: bytes) -> bool:
    try:
        key.public_key().verify(base64.b64decode(signature), text, padding.PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


@dataclass
class Alipay:
    """What Alipay would say, by gateways.md 1."""

    ours: rsa.RSAPrivateKey
    theirs: rsa.RSAPrivateKey
    strangers: rsa.RSAPrivateKey
    situations: dict[str, Situation] = field(default_factory=dict)

    def __call__(self, request: Request) -> tuple[int, dict[str, str], bytes] | None:
        path, _, query = request.target.partition("?")
        assert (request.method, path) == ("POST", "/gateway.do")
        assert request.headers["content-type"].lower() == "application/x-www-form-urlencoded;charset=utf-8"
        parameters = dict(parse_qsl(query, strict_parsing=True)) | dict(parse_qsl(request.body.decode()))
        signature = parameters.pop("sign")
        text = "&".join(f"{name}={value}" for name, value in sorted(parameters.items()))
        if not holds(self.ours, signature, text.encode()):
            return self._envelope({"code": "40002", "sub_code": "isv.invalid-signature"}, None)
        assert parameters["timestamp"] == NOW.astimezone(BEIJING).strftime("%Y-%m-%d %H:%M:%S")
        number = json.loads(parameters["biz_content"])["out_trade_no"]
        return self._answer(number)

    def _answer(self, number: str) -> tuple[int, dict[str, str], bytes] | None:
        trade = {
            "code": "10000",
            "msg": "Success",
            "out_trade_no": number,
            "trade_no": f"T-{number}"[:64],
            "total_amount": "99.00",
            "trade_status": "TRADE_SUCCESS",
            "send_pay_date": "2026-11-23 11:59:00",
            "buyer_logon_id": 'a"}***@b.example',
        }
        closed = {"code": "10000", "out_trade_no": number, "trade_status": "TRADE_CLOSED"}
        situation = self.situations.get(number, Situation.NOT_CREATED)
        if situation is Situation.DOWN:
            return None
        if situation is Situation.BROKEN:
            return 502, {"Content-Type": "text/html"}, b"<html>Bad Gateway</html>"
        contents: dict[Situation, tuple[dict[str, str], rsa.RSAPrivateKey | None]] = {
            Situation.NOT_CREATED: ({"code": "40004", "sub_code": "ACQ.TRADE_NOT_EXIST"}, None),
            Situation.PAID: (trade, self.theirs),
            Situation.REFUNDED: (trade | {"trade_status": "TRADE_CLOSED"}, self.theirs),
            Situation.CLOSED: (closed, self.theirs),
            Situation.UNPAID: (trade | {"trade_status": "WAIT_BUYER_PAY"}, self.theirs),
            Situation.NEW_STATE: (trade | {"trade_status": "TRADE_DREAMT"}, self.theirs),
            Situation.FORGED: (trade, self.strangers),
            Situation.UNSIGNED: (trade, None),
            Situation.STRANGER: (trade | {"out_trade_no": "B2"}, self.theirs),
            Situation.THROTTLED: ({"code": "40005", "sub_code": "isv.app-call-limited"}, None),
            Situation.REVOKED_KEY: ({"code": "40002", "sub_code": "isv.invalid-app-id"}, None),
            Situation.BAD_NUMBER: ({"code": "40004", "sub_code": "ACQ.INVALID_PARAMETER"}, None),
        }
        return self._envelope(*contents[situation])

    @staticmethod
    def _envelope(content: dict[str, str], key: rsa.RSAPrivateKey | None) -> tuple[int, dict[str, str], bytes]:
        raw = json.dumps(content, ensure_ascii=False).replace("/", "\\/").encode()
        sign = b',"sign":' + json.dumps(signed(key, raw)).replace("/", "\\/").encode() if key else b""
        body = b'{"alipay_trade_query_response":' + raw + sign + b"}"
        return 200, {"Content-Type": "text/html;charset=utf-8"}, body


@dataclass
class Wechat:
    """What WeChat Pay would say, by gateways.md 2."""

    ours: rsa.RSAPrivateKey
    theirs: rsa.RSAPrivateKey
    strangers: rsa.RSAPrivateKey
    situations: dict[str, Situation] = field(default_factory=dict)

    def __call__(self, request: Request) -> tuple[int, dict[str, str], bytes] | None:
        scheme, _, rest = request.headers["authorization"].partition(" ")
        assert scheme == "WECHATPAY2-SHA256-RSA2048"
        said = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        text = (
            f"{request.method}\n{request.target}\n{said['timestamp']}\n{said['nonce_str']}\n{request.body.decode()}\n"
        )
        if not holds(self.ours, said["signature"], text.encode()):
            return self._error(401, "SIGN_ERROR")
        assert request.headers["wechatpay-serial"] == PUBLIC_KEY_ID
        assert request.headers["accept"] == "application/json"
        assert request.headers["user-agent"].startswith("payment-reconciler/")
        assert int(said["timestamp"]) == int(NOW.timestamp())
        path, _, query = request.target.partition("?")
        assert parse_qs(query) == {"mchid": ["1900000001"]}
        prefix = "/v3/pay/transactions/out-trade-no/"
        assert path.startswith(prefix)
        return self._answer(unquote(path.removeprefix(prefix)))

    def _answer(self, number: str) -> tuple[int, dict[str, str], bytes] | None:
        bare = {"appid": "wx1", "mchid": "1900000001", "out_trade_no": number, "trade_state_desc": "支付成功"}
        trade = bare | {
            "transaction_id": f"T-{number}",
            "trade_state": "SUCCESS",
            "success_time": "2026-11-23T11:59:00+08:00",
            "amount": {"total": 9900, "payer_total": 9800, "currency": "CNY"},
        }
        situation = self.situations.get(number, Situation.NOT_CREATED)
        if situation is Situation.DOWN:
            return None
        refusals = {
            Situation.NOT_CREATED: (404, "ORDER_NOT_EXIST"),
            Situation.BROKEN: (502, "SERVICE_UNAVAILABLE"),
            Situation.THROTTLED: (429, "FREQUENCY_LIMITED"),
            Situation.REVOKED_KEY: (403, "NO_AUTH"),
            Situation.BAD_NUMBER: (400, "PARAM_ERROR"),
        }
        if situation in refusals:
            return self._error(*refusals[situation])
        contents: dict[Situation, tuple[Mapping[str, object], rsa.RSAPrivateKey | None]] = {
            Situation.PAID: (trade, self.theirs),
            Situation.REFUNDED: (trade | {"trade_state": "REFUND"}, self.theirs),
            Situation.CLOSED: (bare | {"trade_state": "CLOSED"}, self.theirs),
            Situation.UNPAID: (bare | {"trade_state": "NOTPAY"}, self.theirs),
            Situation.NEW_STATE: (bare | {"trade_state": "DREAMT"}, self.theirs),
            Situation.FORGED: (trade, self.strangers),
            Situation.UNSIGNED: (trade, None),
            Situation.STRANGER: (trade | {"out_trade_no": "B2"}, self.theirs),
        }
        return self._signed(*contents[situation])

    @staticmethod
    def _signed(content: Mapping[str, object], key: rsa.RSAPrivateKey | None) -> tuple[int, dict[str, str], bytes]:
        body = json.dumps(content, ensure_ascii=False).encode()
        if key is None:
            return 200, {}, body
        timestamp = str(int(NOW.timestamp()) + 2)
        headers = {
            "Wechatpay-Timestamp": timestamp,
            "Wechatpay-Nonce": "n0nce",
            "Wechatpay-Serial": PUBLIC_KEY_ID.lower(),
            "Wechatpay-Signature": signed(key, f"{timestamp}\nn0nce\n".encode() + body + b"\n"),
        }
        return 200, headers, body

    @staticmethod
    def _error(status: int, code: str) -> tuple[int, dict[str, str], bytes]:
        return status, {}, json.dumps({"code": code, "message": "…"}).encode()


@dataclass
class SocketBench:
    """An adapter, and the responder on the other end."""

    gateway: Gateway
    responder: Responder
    situations: dict[str, Situation]

    @property
    def in_flight_max(self) -> int:
        return self.responder.in_flight_max

    def arrange(self, out_trade_no: str, situation: Situation) -> None:
        self.situations[out_trade_no] = situation

    def arrivals(self) -> int:
        return self.responder.arrivals

    def fault_of(self, reply: Reply) -> str | None:
        assert reply.evidence is not None
        assert reply.key is not None
        return KINDS[self.gateway.kind].verify_evidence(reply.evidence, reply.key)


def private_file(folder: Path, key: rsa.RSAPrivateKey) -> str:
    path = folder / "private"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return f"file:{path}"


def public_file(folder: Path, key: rsa.RSAPrivateKey) -> str:
    path = folder / "public"
    path.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return f"file:{path}"


@asynccontextmanager
async def opened(kind: str, table: dict[str, object], other_side: Alipay | Wechat) -> AsyncIterator[SocketBench]:
    settings = SETTINGS[kind].model_validate(table)
    assert list(settings.problems()) == []
    responder = Responder(other_side)
    transport = Transport()
    clock = StillClock()
    async with listening(responder.serve) as url:
        path = "/gateway.do" if kind == "alipay" else ""
        settings = settings.model_copy(update={"endpoint": url + path})
        gateway = KINDS[kind].open(
            ChannelName("main"), settings, transport, Pace(clock, 1e6, 4), clock, timedelta(seconds=5)
        )
        yield SocketBench(gateway, responder, other_side.situations)
        await gateway.close()
        await transport.close()


class TestAlipay(GatewayConformance):
    @pytest.fixture
    async def bench(
        self, tmp_path: Path, ours: rsa.RSAPrivateKey, theirs: rsa.RSAPrivateKey, strangers: rsa.RSAPrivateKey
    ) -> AsyncIterator[GatewayBench]:
        table: dict[str, object] = {
            "app_id": "2021000000000001",
            "private_key": private_file(tmp_path, ours),
            "alipay_public_key": public_file(tmp_path, theirs),
        }
        async with opened("alipay", table, Alipay(ours, theirs, strangers)) as bench:
            yield bench


class TestWechat(GatewayConformance):
    @pytest.fixture
    async def bench(
        self, tmp_path: Path, ours: rsa.RSAPrivateKey, theirs: rsa.RSAPrivateKey, strangers: rsa.RSAPrivateKey
    ) -> AsyncIterator[GatewayBench]:
        table: dict[str, object] = {
            "mchid": "1900000001",
            "appid": "wx1",
            "serial_no": "5f1c72e2a8931b72a2e13af8dee92471eb397115",
            "private_key": private_file(tmp_path, ours),
            "public_key_id": PUBLIC_KEY_ID,
            "public_key": public_file(tmp_path, theirs),
        }
        async with opened("wechat", table, Wechat(ours, theirs, strangers)) as bench:
            yield bench

    async def test_every_printable_character_is_signed_as_it_is_sent(self, bench: SocketBench) -> None:
        numbers = [f"A{chr(code)}B" for code in range(0x21, 0x7F)]
        for number in numbers:
            bench.arrange(number, Situation.PAID)
        replies = await bench.gateway.ask(numbers)
        assert [reply.answer.trade.out_trade_no for reply in replies if isinstance(reply.answer, Paid)] == numbers


class DoubleBench:
    """The double, arranged by situation."""

    def __init__(self) -> None:
        clock = StillClock()
        self.gateway = ScriptedGateway(
            ChannelName("main"),
            clock,
            merchant=(("mchid", "1"),),
            pace=Pace(clock, 1e6, 4),
            latency=timedelta(seconds=1),
        )

    @property
    def in_flight_max(self) -> int:
        return self.gateway.in_flight_max

    def arrange(self, out_trade_no: str, situation: Situation) -> None:
        trade = Trade(out_trade_no, f"T-{out_trade_no}", AMOUNT, NOW, self.gateway.merchant)
        answers: dict[Situation, Answer] = {
            Situation.PAID: Paid(trade),
            Situation.REFUNDED: Refunded(trade, in_full=True),
            Situation.UNPAID: Unpaid(trade),
            Situation.NOT_CREATED: NotCreated(),
            Situation.CLOSED: Closed(trade),
            Situation.NEW_STATE: Unrecognised("DREAMT"),
            Situation.FORGED: Untrusted("forged"),
            Situation.UNSIGNED: Untrusted("unsigned"),
            Situation.STRANGER: Untrusted("another number"),
            Situation.DOWN: Unavailable("down"),
            Situation.BROKEN: Unavailable("HTTP 502"),
            Situation.THROTTLED: Throttled(),
            Situation.REVOKED_KEY: Misconfigured("no"),
            Situation.BAD_NUMBER: Rejected("no"),
        }
        self.gateway.will_answer(out_trade_no, answers[situation])

    def arrivals(self) -> int:
        return self.gateway.asked.total()

    def fault_of(self, reply: Reply) -> str | None:
        return None if reply.key is not None else "no key"


class TestScripted(GatewayConformance):
    @pytest.fixture
    def bench(self) -> GatewayBench:
        return DoubleBench()
