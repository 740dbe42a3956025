"""The sandbox's gateways over a real socket, by an HTTP client and signing code of this file's own."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from reconciler.ops.clock import SystemClock
from reconciler.sandbox.accounts import Accounts
from reconciler.sandbox.beijing import beijing_text
from reconciler.sandbox.book import Book
from reconciler.sandbox.keys import (
    ALIPAY_PUBLIC_KEY,
    APP_KEY,
    MERCHANT_KEY,
    WECHAT_PUBLIC_KEY,
    keep_keys,
)
from reconciler.sandbox.server import Serving, serve
from reconciler.sandbox.trade import GatewayKind, State

ACCOUNTS = Accounts()
CLOCK = SystemClock()


@pytest.fixture(scope="module")
def key_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("keys")
    keep_keys(directory)
    return directory


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
async def serving(key_files: Path, book: Book) -> AsyncIterator[Serving]:
    async with serve(keep_keys(key_files), book, CLOCK) as serving:
        yield serving


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def signature(file: Path, text: str) -> str:
    key = serialization.load_pem_private_key(file.read_bytes(), password=None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return base64.b64encode(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()


def check(file: Path, signed: str, text: bytes) -> None:
    key = serialization.load_pem_public_key(file.read_bytes())
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(base64.b64decode(signed), text, padding.PKCS1v15(), hashes.SHA256())


async def ask_alipay(client: aiohttp.ClientSession, serving: Serving, keys: Path, number: str) -> dict[str, str]:
    given = {
        "app_id": ACCOUNTS.app_id,
        "method": "alipay.trade.query",
        "charset": "utf-8",
        "sign_type": "RSA2",
        "timestamp": beijing_text(CLOCK.now()),
        "version": "1.0",
        "biz_content": json.dumps({"out_trade_no": number}),
    }
    given["sign"] = signature(keys / APP_KEY, "&".join(f"{name}={given[name]}" for name in sorted(given)))
    body = {"biz_content": given.pop("biz_content")}
    async with client.post(f"{serving.alipay_endpoint}?{urlencode(given)}", data=body) as response:
        raw = await response.text()
    value = json.loads(raw)["alipay_trade_query_response"]
    if value["code"] == "10000":
        start = raw.index('_response":') + len('_response":')
        _, end = json.JSONDecoder().raw_decode(raw, start)
        check(keys / ALIPAY_PUBLIC_KEY, json.loads(raw)["sign"], raw[start:end].encode())
    assert isinstance(value, dict)
    return value


async def ask_wechat(client: aiohttp.ClientSession, serving: Serving, keys: Path, number: str) -> dict[str, object]:
    target = f"/v3/pay/transactions/out-trade-no/{number}?mchid={ACCOUNTS.mchid}"
    timestamp, nonce = str(int(CLOCK.now().timestamp())), secrets.token_hex(16)
    signed = signature(keys / MERCHANT_KEY, f"GET\n{target}\n{timestamp}\n{nonce}\n\n")
    headers = {
        "Accept": "application/json",
        "Wechatpay-Serial": ACCOUNTS.public_key_id,
        "Authorization": f'WECHATPAY2-SHA256-RSA2048 mchid="{ACCOUNTS.mchid}",nonce_str="{nonce}",'
        f'timestamp="{timestamp}",serial_no="{ACCOUNTS.serial_no}",signature="{signed}"',
    }
    async with client.get(serving.wechat_endpoint + target, headers=headers) as response:
        body = await response.read()
        if response.status == 200:
            stamp, theirs = response.headers["Wechatpay-Timestamp"], response.headers["Wechatpay-Nonce"]
            text = f"{stamp}\n{theirs}\n".encode() + body + b"\n"
            check(keys / WECHAT_PUBLIC_KEY, response.headers["Wechatpay-Signature"], text)
    value = json.loads(body)
    assert isinstance(value, dict)
    return value | {"status": response.status}


async def play(client: aiohttp.ClientSession, serving: Serving, **sent: object) -> aiohttp.ClientResponse:
    return await client.post(f"{serving.url}/sandbox/trades", json=sent)


async def test_a_person_posts_a_trade_and_alipay_knows_it(
    serving: Serving, client: aiohttp.ClientSession, key_files: Path
) -> None:
    assert (await ask_alipay(client, serving, key_files, "A10001"))["sub_code"] == "ACQ.TRADE_NOT_EXIST"
    answer = await play(client, serving, gateway="alipay", out_trade_no="A10001", amount="88.00")
    assert answer.status == 200
    value = await ask_alipay(client, serving, key_files, "A10001")
    assert (value["trade_status"], value["total_amount"]) == ("TRADE_SUCCESS", "88.00")


async def test_a_person_posts_a_trade_and_wechat_knows_it(
    serving: Serving, client: aiohttp.ClientSession, key_files: Path
) -> None:
    assert (await ask_wechat(client, serving, key_files, "A10001"))["status"] == 404
    await play(client, serving, gateway="wechat", out_trade_no="A10001", script="refunded")
    assert (await ask_wechat(client, serving, key_files, "A10001"))["trade_state"] == "REFUND"


@pytest.mark.parametrize("script", ["paid", "refunded"])
async def test_a_trade_of_a_shop_of_ones_own_has_the_number_and_the_time_that_its_row_has(
    serving: Serving, client: aiohttp.ClientSession, key_files: Path, script: str
) -> None:
    known = {"transaction_id": "2026112222001400001234567890", "paid_at": "2026-11-22T15:57:18+08:00"}
    answer = await play(client, serving, gateway="alipay", out_trade_no="MINE-1", script=script, **known)
    told = await answer.json()
    assert (told["transaction_id"], told["paid_at"]) == tuple(known.values())
    value = await ask_alipay(client, serving, key_files, "MINE-1")
    assert (value["trade_no"], value["send_pay_date"]) == (known["transaction_id"], "2026-11-22 15:57:18")
    await play(client, serving, gateway="alipay", out_trade_no="MINE-1", script="refunded")
    value = await ask_alipay(client, serving, key_files, "MINE-1")
    assert value["trade_no"] == known["transaction_id"], "it is the same trade still"


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"transaction_id": ""}, None),
        ({"transaction_id": "汉"}, "transaction_id is 1 to 64 printable ASCII characters"),
        ({"transaction_id": 7}, "transaction_id is 1 to 64 printable ASCII characters"),
        ({"paid_at": "2026-11-22T15:57:18"}, "paid_at is a time with its offset"),
        ({"paid_at": "yesterday"}, "paid_at is a time with its offset"),
        ({"paid_at": 1795449600}, "paid_at is a time with its offset"),
        ({"paid_at": "2026-11-22T15:57:18+08:00", "script": "unpaid"}, "of no use with script unpaid"),
        ({"trade_no": "1"}, "'trade_no' is no field: gateway, out_trade_no, amount, script, transaction_id, paid_at"),
    ],
)
async def test_a_number_or_a_time_that_cannot_be_is_refused(
    serving: Serving, client: aiohttp.ClientSession, sent: dict[str, object], said: str | None
) -> None:
    answer = await play(client, serving, gateway="wechat", out_trade_no="MINE-1", **sent)
    assert answer.status == (200 if said is None else 400)
    assert said is None or said in await answer.text()


async def test_a_slow_trade_takes_its_time(serving: Serving, client: aiohttp.ClientSession, key_files: Path) -> None:
    await play(client, serving, gateway="wechat", out_trade_no="A10001", script="slow", slow_s=0.3)
    before = CLOCK.monotonic()
    assert (await ask_wechat(client, serving, key_files, "A10001"))["trade_state"] == "SUCCESS"
    assert CLOCK.monotonic() - before >= 0.3


async def test_the_trades_are_listed_with_how_often_they_were_asked_about(
    serving: Serving, client: aiohttp.ClientSession, key_files: Path
) -> None:
    await play(client, serving, gateway="alipay", out_trade_no="A10001", script="unpaid")
    await ask_alipay(client, serving, key_files, "A10001")
    async with client.get(f"{serving.url}/sandbox/trades") as response:
        (listed,) = await response.json()
    assert (listed["out_trade_no"], listed["state"], listed["asks"]) == ("A10001", "unpaid", 1)


async def test_a_play_that_cannot_be_is_a_400_that_says_why(serving: Serving, client: aiohttp.ClientSession) -> None:
    answer = await play(client, serving, gateway="alipay", out_trade_no="A10001", script="free")
    assert answer.status == 400
    assert "script is one of" in await answer.text()
    for body in (b"{", b"[" * 5000, b"\xff"):
        async with client.post(
            f"{serving.url}/sandbox/trades", data=body, headers={"Content-Type": "application/json"}
        ) as response:
            assert response.status == 400


async def test_a_browser_led_here_under_another_name_is_refused(
    serving: Serving, client: aiohttp.ClientSession, book: Book
) -> None:
    sent = {"gateway": "alipay", "out_trade_no": "A10001"}
    url = f"{serving.url}/sandbox/trades"
    async with client.post(url, json=sent, headers={"Host": "evil.example"}) as response:
        assert response.status == 403
    async with client.post(url, data=json.dumps(sent), headers={"Content-Type": "text/plain"}) as response:
        assert response.status == 415
    assert not book.trades()


async def test_a_body_that_is_too_large_is_refused(serving: Serving, client: aiohttp.ClientSession) -> None:
    async with client.post(serving.alipay_endpoint, data=b"x" * 100_000) as response:
        assert response.status == 413


async def test_two_sandboxes_take_two_ports(key_files: Path, serving: Serving, book: Book) -> None:
    async with serve(keep_keys(key_files), book, CLOCK) as another:
        assert another.port != serving.port
    with pytest.raises(OSError, match="address already in use"):
        async with serve(keep_keys(key_files), book, CLOCK, port=serving.port):
            pass


async def test_a_trade_put_by_code_is_known_at_once(
    serving: Serving, client: aiohttp.ClientSession, book: Book, key_files: Path
) -> None:
    await play(client, serving, gateway="wechat", out_trade_no="A10001", script="closed")
    trade = book.get(GatewayKind.WECHAT, "A10001")
    assert trade is not None
    assert trade.state_at(CLOCK.now()) is State.CLOSED
    assert (await ask_wechat(client, serving, key_files, "A10001"))["trade_state"] == "CLOSED"
