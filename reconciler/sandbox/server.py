"""The gateways on a loopback port, and the control endpoints to play with them and with their trades."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from email.utils import format_datetime

from aiohttp import web
from aiohttp.typedefs import Handler

from reconciler.ports import Clock
from reconciler.sandbox.accounts import Accounts
from reconciler.sandbox.alipay import Alipay
from reconciler.sandbox.book import Book
from reconciler.sandbox.condition import Condition, Conditions, Trait
from reconciler.sandbox.controls import gateways_as_json, turn_from_json
from reconciler.sandbox.errors import BookFull, NotAScript, TooManyCertificates
from reconciler.sandbox.keys import Keys
from reconciler.sandbox.platform import Platform
from reconciler.sandbox.scripts import part_from_json, trade_as_json, trade_of
from reconciler.sandbox.trade import GatewayKind, Trade
from reconciler.sandbox.wechat import Wechat
from reconciler.sandbox.wechat_request import CERTIFICATES, PARTNER_PREFIX, PREFIX
from reconciler.sandbox.wire import Reply, Request

BODY_BYTES_MAX = 64 * 1024
LISTED_MAX = 1000
HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Serving:
    """Where the gateways are, and what can be turned about them while they run."""

    port: int
    platform: Platform
    conditions: Conditions = field(default_factory=Conditions)

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

    def turn(self, gateway: GatewayKind, trait: Trait, off: timedelta = timedelta()) -> None:
        """Put a whole gateway into a condition; `off` is how far a wrong clock is ahead."""
        self.conditions.put(gateway, Condition(trait, off))

    def roll_over(self) -> str:
        """Let WeChat issue another platform certificate, and sign with it; give its serial. Raises SandboxError."""
        return self.platform.roll_over()


@asynccontextmanager
async def serve(
    keys: Keys, book: Book, clock: Clock, *, accounts: Accounts | None = None, port: int = 0
) -> AsyncIterator[Serving]:
    """Serve both gateways on 127.0.0.1 until left; port 0 takes a free one. Raises OSError where the port is taken."""
    platform, conditions = Platform(keys.platform, keys.apiv3_key), Conditions()
    application = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[_for_this_machine])
    _Gateways(keys, accounts or Accounts(), book, clock, platform, conditions).join(application)
    _Controls(book, clock, platform, conditions).join(application)
    # An asker who has gone is waited for no longer: a hanging gateway must not keep him.
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, port).start()
        yield Serving(port=runner.addresses[0][1], platform=platform, conditions=conditions)
    finally:
        await runner.cleanup()


class _Gateways:
    """Hands requests to the gateways, and their replies back, as their condition allows."""

    def __init__(
        self, keys: Keys, accounts: Accounts, book: Book, clock: Clock, platform: Platform, conditions: Conditions
    ) -> None:
        self._alipay = Alipay(keys, accounts, book)
        self._wechat = Wechat(keys, accounts, book, platform)
        self._clock = clock
        self._conditions = conditions

    def join(self, application: web.Application) -> None:
        application.router.add_get("/gateway.do", self._gateway_do, allow_head=False)
        application.router.add_post("/gateway.do", self._gateway_do)
        application.router.add_get(CERTIFICATES, self._v3, allow_head=False)
        for prefix in (PREFIX, PARTNER_PREFIX):
            application.router.add_get(prefix + "{number:.*}", self._v3, allow_head=False)
            application.router.add_post(prefix + "{number:.*}", self._v3)

    async def _gateway_do(self, request: web.Request) -> web.Response:
        condition = await self._condition(request, GatewayKind.ALIPAY)
        if condition is None:
            return web.Response()
        query = request.raw_path.partition("?")[2]
        reply = self._alipay.answer(query, await request.read(), self._clock.now(), condition)
        return await self._sent(reply, condition)

    async def _v3(self, request: web.Request) -> web.Response:
        condition = await self._condition(request, GatewayKind.WECHAT)
        if condition is None:
            return web.Response()
        asked = Request(request.method, request.raw_path, request.headers, await request.read())
        return await self._sent(self._wechat.answer(asked, self._clock.now(), condition), condition)

    async def _condition(self, request: web.Request, gateway: GatewayKind) -> Condition | None:
        """Give the gateway's condition once it is one to answer in; None: the connection is dropped."""
        await self._conditions.while_hanging(gateway)
        condition = self._conditions.of(gateway)
        if condition.trait not in {Trait.DOWN, Trait.HANG}:
            return condition
        request.protocol.force_close()
        return None

    async def _sent(self, reply: Reply, condition: Condition) -> web.Response:
        if reply.delay_seconds:
            await self._clock.sleep(reply.delay_seconds)
        date = format_datetime((self._clock.now() + condition.clock_off).astimezone(UTC), usegmt=True)
        return web.Response(status=reply.status, body=reply.body or None, headers=reply.headers | {"Date": date})


class _Controls:
    """Lets a person look at the trades and the gateways, and change them."""

    def __init__(self, book: Book, clock: Clock, platform: Platform, conditions: Conditions) -> None:
        self._book = book
        self._clock = clock
        self._platform = platform
        self._conditions = conditions

    def join(self, application: web.Application) -> None:
        application.router.add_get("/sandbox/trades", self._list_trades, allow_head=False)
        application.router.add_post("/sandbox/trades", self._put_trade)
        application.router.add_get("/sandbox/gateways", self._list_gateways, allow_head=False)
        application.router.add_post("/sandbox/gateways", self._turn_gateway)

    async def _list_trades(self, _request: web.Request) -> web.Response:
        return web.json_response([self._as_json(trade) for trade in self._book.trades(LISTED_MAX)])

    async def _put_trade(self, request: web.Request) -> web.Response:
        try:
            part = part_from_json(await _sent_json(request))
            trade = trade_of(part, self._book.get(part.gateway, part.out_trade_no), self._clock.now())
            self._book.put(trade)
        except (NotAScript, BookFull) as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from error
        return web.json_response(self._as_json(trade))

    async def _list_gateways(self, _request: web.Request) -> web.Response:
        return web.json_response(gateways_as_json(self._conditions, self._platform))

    async def _turn_gateway(self, request: web.Request) -> web.Response:
        try:
            turn = turn_from_json(await _sent_json(request))
            if turn.rolls_over:
                await asyncio.to_thread(self._platform.roll_over)
        except (NotAScript, TooManyCertificates) as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from error
        if turn.condition is not None:
            self._conditions.put(turn.gateway, turn.condition)
        return await self._list_gateways(request)

    def _as_json(self, trade: Trade) -> dict[str, object]:
        return trade_as_json(trade, self._clock.now(), self._book.asks(trade))


async def _sent_json(request: web.Request) -> object:
    """Give what was posted. Raises NotAScript, and refuses what a browser's form could send."""
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="send application/json\n")
    try:
        return json.loads(await request.read())
    except (ValueError, RecursionError) as error:
        raise NotAScript(f"that is no JSON: {error}") from error


@web.middleware
async def _for_this_machine(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a browser that was led here under another host's name."""
    if request.host.partition(":")[0] not in {HOST, "localhost"}:
        raise web.HTTPForbidden(text=f"ask for {HOST}\n")
    return await handler(request)
