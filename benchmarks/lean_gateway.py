"""A gateway process for benchmarks: it answers WeChat Pay's and Alipay's query for any number, signed with RSA-2048.

Each answer is signed once and kept, so that the process that asks is what is measured. It checks nothing of what it is
sent: that our requests are right is for the tests to say.

    python benchmarks/lean_gateway.py KEYS_DIRECTORY     # prints its port, serves until its standard input ends
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote_plus

from aiohttp import web

from reconciler.sandbox.accounts import Accounts
from reconciler.sandbox.beijing import BEIJING
from reconciler.sandbox.keys import Keys, keep_keys, sign

SIGNED_AGAIN_S = 120.0
"""How old a kept signature may grow: WeChat Pay's times are good for five minutes."""
ACCOUNTS = Accounts()
NONCE = "0123456789abcdef0123456789abcdef"
_ALIPAY_NUMBER = re.compile(r'"out_trade_no": ?"([^"]*)"')

_UNPAID = {"trade_state": "NOTPAY", "trade_state_desc": "订单未支付"}
_PAID = {
    "trade_state": "SUCCESS",
    "trade_state_desc": "支付成功",
    "trade_type": "NATIVE",
    "payer": {"openid": "oBench"},
}


class Kept(NamedTuple):
    """An answer as it goes out, and when it was signed."""

    body: bytes
    headers: dict[str, str]
    at_s: float


class LeanGateway:
    """Says of every number that it waits for its buyer, but of those of WeChat Pay that begin with P: paid just now."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._kept: dict[str, Kept] = {}
        self._kept_for_ever: dict[str, Kept] = {}  # Alipay's answers carry no time

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Answer one query."""
        if not request.path.startswith("/gateway.do"):
            number = request.path.rpartition("/")[2]
            kept = self._kept.get(number)
            if kept is None or time.time() - kept.at_s > SIGNED_AGAIN_S:
                kept = self._kept[number] = self._wechat(number)
        else:
            found = _ALIPAY_NUMBER.search(unquote_plus(f"{request.query_string} {await request.text()}"))
            number = found[1] if found else ""
            kept = self._kept_for_ever.get(number) or self._alipay(number)
            self._kept_for_ever[number] = kept
        return web.Response(body=kept.body, headers=kept.headers)

    def _wechat(self, number: str) -> Kept:
        now_s, paid = time.time(), number.startswith("P")
        body = _json(
            {
                "amount": {"currency": "CNY", "payer_currency": "CNY", "payer_total": 9900, "total": 9900},
                "appid": ACCOUNTS.appid,
                "mchid": ACCOUNTS.mchid,
                "out_trade_no": number,
                **(_PAID | {"transaction_id": f"42000{number}", "success_time": _beijing(now_s)} if paid else _UNPAID),
            }
        )
        headers = {
            "Content-Type": "application/json",
            "Wechatpay-Serial": ACCOUNTS.public_key_id,
            "Wechatpay-Timestamp": str(int(now_s)),
            "Wechatpay-Nonce": NONCE,
            "Wechatpay-Signature-Type": "WECHATPAY2-SHA256-RSA2048",
            "Wechatpay-Signature": sign(self._keys.wechat, f"{int(now_s)}\n{NONCE}\n".encode() + body + b"\n"),
        }
        return Kept(body, headers, now_s)

    def _alipay(self, number: str) -> Kept:
        content = _json(
            {
                "code": "10000",
                "msg": "Success",
                "buyer_logon_id": "ben***@example.com",
                "out_trade_no": number,
                "point_amount": "0.00",
                "receipt_amount": "0.00",
                "total_amount": "99.00",
                "trade_no": f"2026112322001{abs(hash(number)) % 10**15:015d}",
                "trade_status": "WAIT_BUYER_PAY",
            }
        )
        signature = sign(self._keys.alipay, content)
        body = b'{"alipay_trade_query_response":%b,"sign":"%b"}' % (content, signature.encode())
        return Kept(body, {"Content-Type": "text/html;charset=utf-8"}, time.time())


@contextmanager
def running(keys: Path) -> Iterator[str]:
    """Keep a gateway process up; give its root URL."""
    program = [sys.executable, str(Path(__file__).resolve()), str(keys)]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 # ourselves
        assert process.stdin is not None  # noqa: S101 # asked for
        assert process.stdout is not None  # noqa: S101 # asked for
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()


async def _serve(keys: Path) -> None:
    runner = web.ServerRunner(web.Server(LeanGateway(keep_keys(keys)).answer, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=512).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


def _beijing(moment_s: float) -> str:
    return datetime.fromtimestamp(moment_s, BEIJING).isoformat(timespec="seconds")


def _json(members: dict[str, object]) -> bytes:
    return json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
