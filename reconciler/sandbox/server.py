"""The gateways on a loopback port, and the control endpoint to play with their trades."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler

from reconciler.ports import Clock
from reconciler.sandbox.accounts import Accounts
from reconciler.sandbox.alipay import Alipay
from reconciler.sandbox.book import Book
from reconciler.sandbox.errors import BookFull, NotAScript
from reconciler.sandbox.keys import Keys
from reconciler.sandbox.scripts import part_from_json, trade_as_json, trade_of
from reconciler.sandbox.trade import Trade
from reconciler.sandbox.wechat import PREFIX, Wechat
from reconciler.sandbox.wire import Reply

BODY_BYTES_MAX = 64 * 1024
LISTED_MAX = 1000
HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Serving:
    """Where the gateways are."""

    port: int

    @property
    def url(self) -> str:
        """The root of both gateways."""
        return f"http://{HOST}:{self.port}"

    @property
    def alipay_endpoint(self) -> str:
        """What a channel's `endpoint` is for Alipay."""
        return f"{self.url}/gateway.do"

    @property
    def wechat_endpoint(self) -> str:
        """What a channel's `endpoint` is for WeChat."""
        return self.url


@asynccontextmanager
async def serve(
    keys: Keys, book: Book, clock: Clock, *, accounts: Accounts | None = None, port: int = 0
) -> AsyncIterator[Serving]:
    """Serve both gateways on 127.0.0.1 until left; port 0 takes a free one. Raises OSError where the port is taken."""
    runner = web.AppRunner(
        _application(keys, book, clock, accounts or Accounts()), access_log=None, shutdown_timeout=0.5
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, port).start()
        yield Serving(port=runner.addresses[0][1])
    finally:
        await runner.cleanup()


def _application(keys: Keys, book: Book, clock: Clock, accounts: Accounts) -> web.Application:
    alipay = Alipay(keys, accounts, book)
    wechat = Wechat(keys, accounts, book)

    async def gateway_do(request: web.Request) -> web.Response:
        query = request.raw_path.partition("?")[2]
        return await _sent(alipay.answer(query, await request.read(), clock.now()), clock)

    async def transaction(request: web.Request) -> web.Response:
        return await _sent(wechat.answer(request.raw_path, request.headers, clock.now()), clock)

    async def listed(_request: web.Request) -> web.Response:
        return web.json_response([_as_json(trade) for trade in book.trades(LISTED_MAX)])

    async def put(request: web.Request) -> web.Response:
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType(text="send application/json\n")
        try:
            part = part_from_json(json.loads(await request.read()))
            trade = trade_of(part, book.get(part.gateway, part.out_trade_no), clock.now())
            book.put(trade)
        except (NotAScript, BookFull, ValueError, RecursionError) as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from error
        return web.json_response(_as_json(trade))

    def _as_json(trade: Trade) -> dict[str, object]:
        return trade_as_json(trade, clock.now(), book.asks(trade))

    application = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[_for_this_machine])
    application.router.add_get("/gateway.do", gateway_do, allow_head=False)
    application.router.add_post("/gateway.do", gateway_do)
    application.router.add_get(PREFIX + "{number:.*}", transaction, allow_head=False)
    application.router.add_get("/sandbox/trades", listed, allow_head=False)
    application.router.add_post("/sandbox/trades", put)
    return application


async def _sent(reply: Reply, clock: Clock) -> web.Response:
    if reply.delay_seconds:
        await clock.sleep(reply.delay_seconds)
    return web.Response(status=reply.status, body=reply.body, headers=reply.headers)


@web.middleware
async def _for_this_machine(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a browser that was led here under another host's name."""
    if request.host.partition(":")[0] not in {HOST, "localhost"}:
        raise web.HTTPForbidden(text=f"ask for {HOST}\n")
    return await handler(request)
