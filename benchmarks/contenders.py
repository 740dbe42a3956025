"""What a full ask is compared with: the floor program, and the Python SDKs doing the query alone.

Each has `check(numbers, at_once)`: ask about every number and verify each answer, so many at once.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aiohttp
import wechatpayv3.core
from alipay import AliPay
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from wechatpayv3 import WeChatPay, WeChatPayType
from wechatpayv3.async_ import AsyncWeChatPay
from wechatpayv3.async_ import WeChatPayType as AsyncWeChatPayType

from reconciler.sandbox.accounts import Accounts
from reconciler.sandbox.keys import ALIPAY_PUBLIC_KEY, APP_KEY, MERCHANT_KEY, WECHAT_PUBLIC_KEY

ACCOUNTS = Accounts()
WECHAT_HOST = "https://api.mch.weixin.qq.com"
APIV3_KEY = "0" * 32
"""Never used: in public-key mode nothing is encrypted."""


async def side_by_side(numbers: Sequence[str], at_once: int, check: Callable[[str], Awaitable[object]]) -> None:
    """Check every number, so many at once."""
    waiting = iter(numbers)

    async def work() -> None:
        for number in waiting:
            await check(number)

    await asyncio.gather(*(work() for _ in range(at_once)))


class Floor:
    """aiohttp and cryptography, and nothing else: sign, one keep-alive exchange, verify."""

    def __init__(self, url: str, keys: Path) -> None:
        private = load_pem_private_key((keys / MERCHANT_KEY).read_bytes(), None)
        public = load_pem_public_key((keys / WECHAT_PUBLIC_KEY).read_bytes())
        assert isinstance(private, RSAPrivateKey)  # noqa: S101 # the sandbox made it
        assert isinstance(public, RSAPublicKey)  # noqa: S101 # the sandbox made it
        self._url, self._private, self._public = url, private, public
        self._session: aiohttp.ClientSession | None = None

    async def check(self, numbers: Sequence[str], at_once: int) -> None:
        """Check every number."""
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0)
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        await side_by_side(numbers, at_once, self._one)

    async def _one(self, number: str) -> None:
        target = f"/v3/pay/transactions/out-trade-no/{number}?mchid={ACCOUNTS.mchid}"
        timestamp, nonce = str(int(time.time())), secrets.token_hex(16)
        signed = self._private.sign(f"GET\n{target}\n{timestamp}\n{nonce}\n\n".encode(), PKCS1v15(), SHA256())
        authorization = (
            f'WECHATPAY2-SHA256-RSA2048 mchid="{ACCOUNTS.mchid}",nonce_str="{nonce}",timestamp="{timestamp}",'
            f'serial_no="{ACCOUNTS.serial_no}",signature="{base64.b64encode(signed).decode()}"'
        )
        assert self._session is not None  # noqa: S101 # `check` opened it
        async with self._session.get(self._url + target, headers={"Authorization": authorization}) as response:
            body = await response.read()
            said = response.headers
            text = f"{said['Wechatpay-Timestamp']}\n{said['Wechatpay-Nonce']}\n".encode() + body + b"\n"
            self._public.verify(base64.b64decode(said["Wechatpay-Signature"]), text, PKCS1v15(), SHA256())

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


class WechatpayAsync:
    """wechatpayv3's asynchronous client."""

    def __init__(self, url: str, keys: Path) -> None:
        self._client = AsyncWeChatPay(AsyncWeChatPayType.NATIVE, **_merchant(keys))
        self._client._core._gate_way = url  # noqa: SLF001 # its host is fixed
        self._is_open = False

    async def check(self, numbers: Sequence[str], at_once: int) -> None:
        """Check every number."""
        if not self._is_open:
            await self._client.__aenter__()
            self._is_open = True
        await side_by_side(numbers, at_once, self._one)

    async def _one(self, number: str) -> None:
        status, _ = await self._client.query(out_trade_no=number)
        assert status == 200, status  # noqa: S101 # the benchmark's own check

    async def close(self) -> None:
        """Close the connections."""
        if self._is_open:
            await self._client.__aexit__(None, None, None)


class _Threaded:
    """A client that blocks: one call after another, or in so many threads."""

    def __init__(self) -> None:
        self._threads: ThreadPoolExecutor | None = None

    async def check(self, numbers: Sequence[str], at_once: int) -> None:
        """Check every number."""
        if at_once == 1:
            for number in numbers:
                self._one(number)
            return
        self._threads = self._threads or ThreadPoolExecutor(at_once)
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.run_in_executor(self._threads, self._one, number) for number in numbers))

    def _one(self, number: str) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        """End the threads."""
        if self._threads is not None:
            self._threads.shutdown()


class WechatpaySync(_Threaded):
    """wechatpayv3's blocking client."""

    def __init__(self, url: str, keys: Path) -> None:
        super().__init__()
        self._client = WeChatPay(WeChatPayType.NATIVE, **_merchant(keys))
        wechatpayv3.core.requests = _Here(wechatpayv3.core.requests, url)

    def _one(self, number: str) -> None:
        status, _ = self._client.query(out_trade_no=number)
        assert status == 200, status  # noqa: S101 # the benchmark's own check


class AlipaySync(_Threaded):
    """python-alipay-sdk, which only blocks."""

    def __init__(self, url: str, keys: Path) -> None:
        super().__init__()
        self._client = AliPay(
            ACCOUNTS.app_id,
            app_private_key_string=(keys / APP_KEY).read_text(),
            alipay_public_key_string=(keys / ALIPAY_PUBLIC_KEY).read_text(),
        )
        self._client._gateway = f"{url}/gateway.do"  # noqa: SLF001 # its host is fixed

    def _one(self, number: str) -> None:
        answer = self._client.api_alipay_trade_query(out_trade_no=number)
        assert answer["code"] == "10000", answer  # noqa: S101 # the benchmark's own check


class _Here:
    """Stands for `requests` in the client, whose host is fixed: sends what was for WeChat Pay to the gateway."""

    def __init__(self, requests: Any, url: str) -> None:  # noqa: ANN401 # a module
        self._requests, self._url = requests, url

    def get(self, url: str, **given: object) -> object:
        return self._requests.get(url.replace(WECHAT_HOST, self._url), **given)


def _merchant(keys: Path) -> dict[str, Any]:
    return {
        "mchid": ACCOUNTS.mchid,
        "private_key": (keys / MERCHANT_KEY).read_text(),
        "cert_serial_no": ACCOUNTS.serial_no,
        "appid": ACCOUNTS.appid,
        "apiv3_key": APIV3_KEY,
        "timeout": (10, 10),
        "public_key": (keys / WECHAT_PUBLIC_KEY).read_text(),
        "public_key_id": ACCOUNTS.public_key_id,
    }
