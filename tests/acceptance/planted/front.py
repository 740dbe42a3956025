"""What stands before the sandbox's gateways, and answers about some numbers as no gateway of its own would."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

from tests.acceptance.planted.marks import LOGON_ID, OPENID, TELEPHONE, USER_ID

PAGE = f"<html><title>planted-page-of-a-proxy</title><body>openid={OPENID} {LOGON_ID} {TELEPHONE}</body></html>"
SAID = f"参数错误: openid={OPENID} 用户 {LOGON_ID} {TELEPHONE} {USER_ID} 不匹配"
ALIPAY_REFUSED = {
    "alipay_trade_query_response": {
        "code": "40004", "msg": "Business Failed", "sub_code": "ACQ.INVALID_PARAMETER", "sub_msg": SAID,
        "buyer_logon_id": LOGON_ID, "buyer_user_id": USER_ID,
    }
}  # fmt: skip
WECHAT_REFUSED = {
    "code": "PARAM_ERROR", "message": SAID, "detail": {"field": "out_trade_no", "value": OPENID, "issue": SAID},
}  # fmt: skip
WECHAT_MISCONFIGURED = {"code": "NO_AUTH", "message": SAID}
PASSED_ON = {"authorization", "accept", "content-type", "wechatpay-serial", "user-agent"}


@dataclass
class Front:
    """Passes requests on; `url` is what a channel's endpoint names."""

    behind: str
    url: str = ""
    refuses_wechat: bool = False
    """From now on it refuses every query at WeChat, as if the merchant had lost its permission."""
    asked: set[str] = field(default_factory=set)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer about a number that has a part of its own in this, else pass it on."""
        body = await request.read()
        whole = f"{request.raw_path} {body.decode()}"
        self.asked.update(part for part in ("PAGE", "NOHTTP", "REFUSED") if part in whole)
        if "NOHTTP" in whole:
            assert request.transport is not None
            request.transport.write(f"{PAGE}\r\n\r\n".encode())
            request.transport.close()
            return web.Response()
        if "PAGE" in whole:
            return web.Response(status=200 if "gateway.do" in whole else 502, text=PAGE, content_type="text/html")
        if "REFUSED" in whole:
            told = ALIPAY_REFUSED if "gateway.do" in whole else WECHAT_REFUSED
            return web.json_response(told, status=200 if "gateway.do" in whole else 400)
        if self.refuses_wechat and "gateway.do" not in whole:
            return web.json_response(WECHAT_MISCONFIGURED, status=403)
        headers = {name: value for name, value in request.headers.items() if name.lower() in PASSED_ON}
        async with (
            aiohttp.ClientSession() as session,
            session.request(
                request.method, f"{self.behind}{request.raw_path}", data=body or None, headers=headers
            ) as there,
        ):
            kept = {name: value for name, value in there.headers.items() if name.lower().startswith("wechatpay")}
            kept |= {"Content-Type": there.headers.get("Content-Type", "")}
            return web.Response(status=there.status, body=await there.read(), headers=kept)


@contextlib.asynccontextmanager
async def front(behind: str) -> AsyncIterator[Front]:
    """Stand before the gateways at this URL."""
    made = Front(behind)
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", made.answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield made
    finally:
        await runner.cleanup()
