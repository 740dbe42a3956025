"""Clients that others wrote, with the sandbox; and our requests, by those clients' own functions.

Their bugs are known (gateways.md 4). python-alipay-sdk writes the machine's local time: these tests run in Beijing's.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
import wechatpayv3.core
from alipay import AliPay, DCAliPay, ISVAliPay
from alipay.exceptions import AliPayException, AliPayValidationError
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from wechatpayv3 import WeChatPay, WeChatPayType
from wechatpayv3.utils import load_public_key, rsa_verify

from reconciler.domain.answer import Paid
from reconciler.domain.closing import TradeClosed
from reconciler.domain.order import ChannelName
from reconciler.gateways.alipay import KIND as ALIPAY
from reconciler.gateways.kind import Kind
from reconciler.gateways.line import Way
from reconciler.gateways.wechat import KIND as WECHAT
from reconciler.ops.clock import SystemClock
from reconciler.sandbox.accounts import Accounts
from reconciler.sandbox.alipay import Alipay
from reconciler.sandbox.book import Book
from reconciler.sandbox.keys import (
    ALIPAY_CERTIFICATE,
    ALIPAY_PUBLIC_KEY,
    ALIPAY_ROOT_CERTIFICATE,
    APIV3_KEY,
    APP_AUTH_TOKEN,
    APP_CERTIFICATE,
    APP_KEY,
    MERCHANT_KEY,
    WECHAT_PUBLIC_KEY,
    Keys,
    keep_keys,
)
from reconciler.sandbox.server import Serving, serve
from reconciler.sandbox.trade import GatewayKind, State, Trade, Trouble, Twist
from reconciler.sandbox.wechat import Wechat
from reconciler.sandbox.wire import Reply, Request
from reconciler.testing.memory import KeptInMind
from reconciler.testing.pace import FreePace
from reconciler.transport import Transport

ACCOUNTS = Accounts()
CLOCK = SystemClock()
UNPAID, PAID, CLOSED, UNDATED, NOBODYS = "A10000001", "A10000002", "A10000003", "A10000004", "A10000009"
WECHAT_HOST = "https://api.mch.weixin.qq.com"


@pytest.fixture(autouse=True)
def _in_beijing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def keys(directory: Path) -> Keys:
    return keep_keys(directory)


@pytest.fixture
def book() -> Book:
    book, now = Book(), CLOCK.now()
    for gateway in GatewayKind:
        open_trade = Trade(gateway, UNPAID, 9900, opened_at=now)
        book.put(open_trade)
        book.put(Trade(gateway, PAID, 9900, opened_at=now, paid_at=now))
        book.put(Trade(gateway, CLOSED, 9900, opened_at=now, closed_at=now))
        book.put(Trade(gateway, UNDATED, 9900, opened_at=now, paid_at=now, refunded_at=now, twist=Twist.UNDATED))
    return book


@pytest.fixture
async def serving(keys: Keys, book: Book) -> AsyncIterator[Serving]:
    async with serve(keys, book, CLOCK) as serving:
        yield serving


def state_of(book: Book, gateway: GatewayKind, number: str) -> State:
    trade = book.get(gateway, number)
    assert trade is not None
    return trade.state_at(CLOCK.now())


def in_key_mode(serving: Serving, directory: Path) -> AliPay:
    client = AliPay(
        ACCOUNTS.app_id,
        app_private_key_string=(directory / APP_KEY).read_text(),
        alipay_public_key_string=(directory / ALIPAY_PUBLIC_KEY).read_text(),
    )
    client._gateway = serving.alipay_endpoint
    return client


def in_certificate_mode(serving: Serving, directory: Path) -> DCAliPay:
    client = DCAliPay(
        ACCOUNTS.app_id,
        (directory / APP_KEY).read_text(),
        (directory / APP_CERTIFICATE).read_text(),
        (directory / ALIPAY_CERTIFICATE).read_text(),
        (directory / ALIPAY_ROOT_CERTIFICATE).read_text(),
    )
    client._gateway = serving.alipay_endpoint
    return client


OPENSSL_WARNS = pytest.mark.filterwarnings("ignore:X509.*deprecated.*cryptography:DeprecationWarning")
"""python-alipay-sdk reads certificates with functions that pyOpenSSL wants nobody to use any more."""
BOTH = pytest.mark.parametrize("client_of", [in_key_mode, pytest.param(in_certificate_mode, marks=OPENSSL_WARNS)])


@BOTH
async def test_python_alipay_sdk_gets_every_state_right_and_accepts_the_signatures(
    serving: Serving, directory: Path, client_of: Callable[[Serving, Path], Any]
) -> None:
    client = client_of(serving, directory)
    told = {
        number: await asyncio.to_thread(client.api_alipay_trade_query, out_trade_no=number)
        for number in (UNPAID, PAID, CLOSED, UNDATED, NOBODYS)
    }
    assert {number: answer.get("trade_status", answer.get("sub_code")) for number, answer in told.items()} == {
        UNPAID: "WAIT_BUYER_PAY",
        PAID: "TRADE_SUCCESS",
        CLOSED: "TRADE_CLOSED",
        UNDATED: "TRADE_CLOSED",
        NOBODYS: "ACQ.TRADE_NOT_EXIST",
    }
    assert [number for number, answer in told.items() if "send_pay_date" in answer] == [PAID]
    assert told[PAID]["total_amount"] == "99.00"


@BOTH
async def test_python_alipay_sdk_closes_an_unpaid_trade_and_no_other(
    serving: Serving, directory: Path, book: Book, client_of: Callable[[Serving, Path], Any]
) -> None:
    client = client_of(serving, directory)
    told = {
        number: await asyncio.to_thread(client.api_alipay_trade_close, out_trade_no=number)
        for number in (UNPAID, PAID, CLOSED, NOBODYS)
    }
    assert {number: answer.get("sub_code", answer["code"]) for number, answer in told.items()} == {
        UNPAID: "10000",
        PAID: "ACQ.TRADE_STATUS_ERROR",
        CLOSED: "ACQ.TRADE_STATUS_ERROR",
        NOBODYS: "ACQ.TRADE_NOT_EXIST",
    }
    assert state_of(book, GatewayKind.ALIPAY, UNPAID) is State.CLOSED
    assert (book.asks_total, book.closes_total) == (0, 4)


@BOTH
async def test_python_alipay_sdk_finds_the_refund_that_the_query_does_not_show(
    serving: Serving, directory: Path, client_of: Callable[[Serving, Path], Any]
) -> None:
    client = client_of(serving, directory)

    def refund(number: str, request_no: str) -> Any:  # noqa: ANN401 # the client's own dict
        return client.api_alipay_trade_fastpay_refund_query(request_no, out_trade_no=number)

    found = await asyncio.to_thread(refund, UNDATED, UNDATED)
    assert (found["refund_status"], found["refund_amount"]) == ("REFUND_SUCCESS", "99.00")
    for number, request_no in ((UNDATED, "another"), (PAID, PAID), (CLOSED, CLOSED)):
        nothing = await asyncio.to_thread(refund, number, request_no)
        assert (nothing["code"], "refund_status" in nothing) == ("10000", False)
    assert (await asyncio.to_thread(refund, NOBODYS, NOBODYS))["sub_code"] == "TRADE_NOT_EXIST"


@BOTH
async def test_python_alipay_sdk_refuses_a_stranger_s_signature(
    serving: Serving, directory: Path, book: Book, client_of: Callable[[Serving, Path], Any]
) -> None:
    now = CLOCK.now()
    book.put(Trade(GatewayKind.ALIPAY, PAID, 9900, opened_at=now, paid_at=now, trouble=Trouble.BAD_SIGNATURE))
    with pytest.raises(AliPayValidationError):
        await asyncio.to_thread(client_of(serving, directory).api_alipay_trade_query, out_trade_no=PAID)


@OPENSSL_WARNS
async def test_in_certificate_mode_a_renewed_certificate_does_not_verify_with_the_old_one(
    serving: Serving, directory: Path, book: Book
) -> None:
    now = CLOCK.now()
    book.put(Trade(GatewayKind.ALIPAY, PAID, 9900, opened_at=now, paid_at=now, trouble=Trouble.RENEWED_CERTIFICATE))
    client = in_certificate_mode(serving, directory)
    with pytest.raises(AliPayValidationError):
        await asyncio.to_thread(client.api_alipay_trade_query, out_trade_no=PAID)
    in_keys = in_key_mode(serving, directory)
    assert (await asyncio.to_thread(in_keys.api_alipay_trade_query, out_trade_no=PAID))["code"] == "10000"


@OPENSSL_WARNS
async def test_python_alipay_sdk_reckons_the_same_sns(keys: Keys, serving: Serving, directory: Path) -> None:
    client = in_certificate_mode(serving, directory)
    assert client.app_cert_sn == keys.certificates.app_sn
    assert client.alipay_root_cert_sn == keys.certificates.root_sn


@pytest.mark.parametrize("is_ours", [True, False])
async def test_python_alipay_sdk_asks_as_a_service_provider(
    serving: Serving, directory: Path, keys: Keys, *, is_ours: bool
) -> None:
    client = ISVAliPay(
        ACCOUNTS.app_id,
        app_private_key_string=(directory / APP_KEY).read_text(),
        alipay_public_key_string=(directory / ALIPAY_PUBLIC_KEY).read_text(),
        app_auth_token=keys.app_auth_token if is_ours else "202611BBwrong",
    )
    client._gateway = serving.alipay_endpoint
    if is_ours:
        answer = await asyncio.to_thread(client.api_alipay_trade_query, out_trade_no=PAID)
        assert answer["trade_status"] == "TRADE_SUCCESS"
    else:
        with pytest.raises(AliPayException, match=r"aop\.invalid-app-auth-token"):
            await asyncio.to_thread(client.api_alipay_trade_query, out_trade_no=PAID)


class _Here:
    """Stands for `requests` in the client, whose host is fixed: sends what was for WeChat to the sandbox."""

    def __init__(self, requests: Any, serving: Serving) -> None:  # noqa: ANN401 # the library, which we do not know
        self._requests = requests
        self._url = serving.wechat_endpoint

    def get(self, url: str, **given: object) -> object:
        return self._requests.get(url.replace(WECHAT_HOST, self._url), **given)

    def post(self, url: str, **given: object) -> object:
        return self._requests.post(url.replace(WECHAT_HOST, self._url), **given)


ClientOf = Callable[..., WeChatPay]


@pytest.fixture
def wechatpay(serving: Serving, directory: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> ClientOf:
    monkeypatch.setattr(wechatpayv3.core, "requests", _Here(wechatpayv3.core.requests, serving))

    def client(*, by_public_key: bool, partner: bool = False, apiv3_key: str = "") -> WeChatPay:
        return WeChatPay(
            WeChatPayType.NATIVE,
            ACCOUNTS.mchid,
            (directory / MERCHANT_KEY).read_text(),
            ACCOUNTS.serial_no,
            ACCOUNTS.appid,
            apiv3_key or keys.apiv3_key,
            partner_mode=partner,
            timeout=(10, 10),
            public_key=(directory / WECHAT_PUBLIC_KEY).read_text() if by_public_key else None,
            public_key_id=ACCOUNTS.public_key_id if by_public_key else None,
        )

    return client


MODES = pytest.mark.parametrize(
    ("by_public_key", "partner"), [(True, False), (False, False), (True, True), (False, True)]
)


def sub(*, partner: bool) -> dict[str, str]:
    return {"sub_mchid": ACCOUNTS.sub_mchid} if partner else {}


@MODES
async def test_wechatpayv3_gets_every_state_right_and_accepts_the_signatures(
    wechatpay: ClientOf, *, by_public_key: bool, partner: bool
) -> None:
    client = await asyncio.to_thread(wechatpay, by_public_key=by_public_key, partner=partner)
    told = {}
    for number in (UNPAID, PAID, CLOSED, NOBODYS):
        status, text = await asyncio.to_thread(client.query, out_trade_no=number, **sub(partner=partner))
        told[number] = status, json.loads(text)
    assert {number: (status, told.get("trade_state", told.get("code"))) for number, (status, told) in told.items()} == {
        UNPAID: (200, "NOTPAY"),
        PAID: (200, "SUCCESS"),
        CLOSED: (200, "CLOSED"),
        NOBODYS: (404, "ORDER_NOT_EXIST"),
    }
    paid = told[PAID][1]
    assert paid["amount"]["total"] == 9900
    mine = {"sp_mchid": ACCOUNTS.mchid, **sub(partner=True)} if partner else {"mchid": ACCOUNTS.mchid}
    assert {name: value for name, value in paid.items() if name.endswith("mchid")} == mine


@MODES
async def test_wechatpayv3_closes_an_unpaid_trade_and_no_paid_one(
    wechatpay: ClientOf, book: Book, *, by_public_key: bool, partner: bool
) -> None:
    client = await asyncio.to_thread(wechatpay, by_public_key=by_public_key, partner=partner)
    told = {}
    for number in (UNPAID, UNPAID, CLOSED, PAID, NOBODYS):
        status, said = await asyncio.to_thread(client.close, number, **sub(partner=partner))
        told[number] = status, json.loads(said)["code"] if said else ""
    assert told == {
        UNPAID: (204, ""),
        CLOSED: (204, ""),
        PAID: (400, "ORDERPAID"),
        NOBODYS: (404, "ORDER_NOT_EXIST"),
    }
    assert state_of(book, GatewayKind.WECHAT, UNPAID) is State.CLOSED
    assert state_of(book, GatewayKind.WECHAT, PAID) is State.PAID


async def test_a_service_provider_cannot_ask_for_somebody_else_s_merchant(wechatpay: ClientOf) -> None:
    client = wechatpay(by_public_key=True, partner=True)
    status, text = await asyncio.to_thread(client.query, out_trade_no=PAID, sub_mchid="1900000110")
    assert (status, json.loads(text)["code"]) == (403, "NO_AUTH")


@pytest.mark.parametrize("by_public_key", [True, False])
async def test_wechatpayv3_refuses_a_stranger_s_signature(
    wechatpay: ClientOf, book: Book, *, by_public_key: bool
) -> None:
    now = CLOCK.now()
    book.put(Trade(GatewayKind.WECHAT, PAID, 9900, opened_at=now, paid_at=now, trouble=Trouble.BAD_SIGNATURE))
    client = await asyncio.to_thread(wechatpay, by_public_key=by_public_key)
    book.ask(GatewayKind.WECHAT, PAID)  # the next of the three faces is the stranger's
    with pytest.raises(Exception, match="failed to verify the signature"):
        await asyncio.to_thread(client.query, out_trade_no=PAID)


async def test_wechatpayv3_fetches_the_certificates_again_when_they_are_rolled_over(
    wechatpay: ClientOf, serving: Serving
) -> None:
    client = await asyncio.to_thread(wechatpay, by_public_key=False)
    await asyncio.to_thread(serving.roll_over)
    status, text = await asyncio.to_thread(client.query, out_trade_no=PAID)
    assert (status, json.loads(text)["trade_state"]) == (200, "SUCCESS")
    assert len(client._core._certificates) == len(serving.platform.serials) == 2


async def test_wechatpayv3_finds_an_unlisted_certificate_unknown(wechatpay: ClientOf, book: Book) -> None:
    now = CLOCK.now()
    book.put(Trade(GatewayKind.WECHAT, PAID, 9900, opened_at=now, paid_at=now, trouble=Trouble.RENEWED_CERTIFICATE))
    client = await asyncio.to_thread(wechatpay, by_public_key=False)
    with pytest.raises(Exception, match="failed to verify the signature"):
        await asyncio.to_thread(client.query, out_trade_no=PAID)


async def test_wechatpayv3_reads_no_certificate_with_another_apiv3_key(wechatpay: ClientOf) -> None:
    with pytest.raises(Exception, match=r"NoneType|No wechatpay platform certificate"):
        await asyncio.to_thread(wechatpay, by_public_key=False, apiv3_key="0" * 32)


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    transport = Transport()
    yield transport
    await transport.close()


async def ours(kind: Kind[Any], table: dict[str, str], transport: Transport) -> None:
    """Have our own adapter ask about a trade and close another, and get both right."""
    settings = kind.settings.model_validate(table)
    assert list(settings.problems()) == []
    way = Way(transport, FreePace(), CLOCK, timedelta(seconds=10), KeptInMind())
    gateway = kind.open(ChannelName("main"), settings, way)
    (reply,) = await gateway.ask([PAID])
    assert isinstance(reply.answer, Paid)
    assert await gateway.close_trade(UNPAID) == TradeClosed()


@pytest.mark.parametrize("mode", [(), ("certificates",), ("token",), ("certificates", "token")])
async def test_python_alipay_sdk_signs_what_our_adapter_sends_just_as_our_adapter_does(
    *,
    serving: Serving,
    directory: Path,
    transport: Transport,
    monkeypatch: pytest.MonkeyPatch,
    mode: tuple[str, ...],
) -> None:
    arrived: list[tuple[str, bytes]] = []
    answer = Alipay.answer

    def recording(self: Alipay, query: str, body: bytes, *more: Any) -> Reply:  # noqa: ANN401 # as they come
        arrived.append((query, body))
        return answer(self, query, body, *more)

    monkeypatch.setattr(Alipay, "answer", recording)
    table = {
        "endpoint": serving.alipay_endpoint,
        "app_id": ACCOUNTS.app_id,
        "private_key": f"file:{directory / APP_KEY}",
    }
    if "certificates" in mode:
        files = {
            "app_cert": APP_CERTIFICATE,
            "alipay_cert": ALIPAY_CERTIFICATE,
            "alipay_root_cert": ALIPAY_ROOT_CERTIFICATE,
        }
    else:
        files = {"alipay_public_key": ALIPAY_PUBLIC_KEY}
    if "token" in mode:
        files["app_auth_token"] = APP_AUTH_TOKEN
    table |= {name: f"file:{directory / file}" for name, file in files.items()}
    await ours(ALIPAY, table, transport)

    client = in_key_mode(serving, directory)
    sent = [dict(parse_qsl(query, strict_parsing=True) + parse_qsl(body.decode())) for query, body in arrived]
    assert [given["method"] for given in sent] == ["alipay.trade.query", "alipay.trade.close"]
    for given in sent:
        signature = given.pop("sign")
        theirs = dict(parse_qsl(client.sign_data(dict(given)), strict_parsing=True))
        assert theirs == given | {"sign": signature}
        assert ("app_cert_sn" in given, "app_auth_token" in given) == ("certificates" in mode, "token" in mode)


@MODES
async def test_wechatpayv3_verifies_what_our_adapter_sends(
    *,
    serving: Serving,
    directory: Path,
    keys: Keys,
    wechatpay: ClientOf,
    transport: Transport,
    monkeypatch: pytest.MonkeyPatch,
    by_public_key: bool,
    partner: bool,
) -> None:
    arrived: list[Request] = []
    answer = Wechat.answer

    def recording(self: Wechat, request: Request, *more: Any) -> Reply:  # noqa: ANN401 # as they come
        arrived.append(request)
        return answer(self, request, *more)

    monkeypatch.setattr(Wechat, "answer", recording)
    table = {
        "endpoint": serving.wechat_endpoint,
        "mchid": ACCOUNTS.mchid,
        "appid": ACCOUNTS.appid,
        "serial_no": ACCOUNTS.serial_no,
        "private_key": f"file:{directory / MERCHANT_KEY}",
    }
    if by_public_key:
        table |= {"public_key_id": ACCOUNTS.public_key_id, "public_key": f"file:{directory / WECHAT_PUBLIC_KEY}"}
    else:
        table |= {"apiv3_key": f"file:{directory / APIV3_KEY}"}
    if partner:
        table |= {"sub_mchid": ACCOUNTS.sub_mchid, "sub_appid": ACCOUNTS.sub_appid}
    await ours(WECHAT, table, transport)

    client = wechatpay(by_public_key=True)
    of_the_merchant = load_public_key(public_pem(keys.merchant))
    assert [request.method for request in arrived][-2:] == ["GET", "POST"]
    assert len(arrived) == (2 if by_public_key else 3)
    for request in arrived:
        given = dict(re.findall(r'([a-z_]+)="([^"]*)"', request.headers["Authorization"]))
        head, body = f"{request.method}\n{request.target}\n{given['timestamp']}", request.body.decode()
        # The client builds an answer's text, two lines and a body: a request's has two more lines before them.
        assert rsa_verify(head, given["nonce_str"], body, given["signature"], of_the_merchant)
        parts = [request.method, request.target, given["timestamp"], given["nonce_str"], body]
        assert client.sign(parts) == given["signature"]
        assert not rsa_verify(head, given["nonce_str"], body + " ", given["signature"], of_the_merchant)


def public_pem(key: rsa.RSAPrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
