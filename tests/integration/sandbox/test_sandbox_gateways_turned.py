"""Whole gateways that go down, hang, throttle or tell a wrong time; and platform certificates that roll over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from email.utils import parsedate_to_datetime

import aiohttp
import pytest

from reconciler.ops.clock import SystemClock
from reconciler.sandbox.book import Book
from reconciler.sandbox.condition import Trait
from reconciler.sandbox.keys import Keys, make_keys
from reconciler.sandbox.server import Serving, serve
from reconciler.sandbox.trade import GatewayKind

CLOCK = SystemClock()
PATHS = {GatewayKind.ALIPAY: "/gateway.do", GatewayKind.WECHAT: "/v3/certificates"}
"""To a request without a word of its own both answer with a refusal: an answer all the same."""
STATUS = {GatewayKind.ALIPAY: 200, GatewayKind.WECHAT: 401}


@pytest.fixture(scope="module")
def keys() -> Keys:
    return make_keys()


@pytest.fixture
async def serving(keys: Keys) -> AsyncIterator[Serving]:
    async with serve(keys, Book(), CLOCK) as serving:
        yield serving


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def ask(client: aiohttp.ClientSession, serving: Serving, gateway: GatewayKind) -> aiohttp.ClientResponse:
    async with client.get(serving.url + PATHS[gateway]) as response:
        await response.read()
    return response


async def until_held(serving: Serving, gateway: GatewayKind) -> None:
    """Wait until a request is in there, and hangs."""
    async with asyncio.timeout(10):
        while gateway not in serving.conditions._changed:  # noqa: ASYNC110 # nobody is told when one begins to hang
            await asyncio.sleep(0)


@pytest.mark.parametrize("gateway", list(GatewayKind))
async def test_a_gateway_that_is_down_drops_every_connection_and_the_other_does_not(
    serving: Serving, client: aiohttp.ClientSession, gateway: GatewayKind
) -> None:
    serving.turn(gateway, Trait.DOWN)
    for _ in range(2):
        with pytest.raises(aiohttp.ClientConnectionError):
            await ask(client, serving, gateway)
    (other,) = set(GatewayKind) - {gateway}
    assert (await ask(client, serving, other)).status == STATUS[other]
    serving.turn(gateway, Trait.WELL)
    assert (await ask(client, serving, gateway)).status == STATUS[gateway]


@pytest.mark.parametrize("gateway", list(GatewayKind))
async def test_a_gateway_that_hangs_answers_nobody_until_it_is_well(
    serving: Serving, client: aiohttp.ClientSession, gateway: GatewayKind
) -> None:
    serving.turn(gateway, Trait.HANG)
    asking = asyncio.create_task(ask(client, serving, gateway))
    await until_held(serving, gateway)
    (other,) = set(GatewayKind) - {gateway}
    assert (await ask(client, serving, other)).status == STATUS[other]
    assert not asking.done()
    serving.turn(gateway, Trait.WELL)
    assert (await asking).status == STATUS[gateway]


@pytest.mark.parametrize("gateway", list(GatewayKind))
async def test_a_sandbox_ends_while_a_gateway_hangs(
    keys: Keys, client: aiohttp.ClientSession, gateway: GatewayKind
) -> None:
    async with serve(keys, Book(), CLOCK) as serving:
        serving.turn(gateway, Trait.HANG)
        asking = asyncio.create_task(ask(client, serving, gateway))
        await until_held(serving, gateway)
    with pytest.raises(aiohttp.ClientError):
        await asking


async def test_a_hanging_gateway_does_not_hold_whoever_has_gone(
    serving: Serving, client: aiohttp.ClientSession
) -> None:
    serving.turn(GatewayKind.ALIPAY, Trait.HANG)
    asking = asyncio.create_task(ask(client, serving, GatewayKind.ALIPAY))
    await until_held(serving, GatewayKind.ALIPAY)
    asking.cancel()
    held = serving.conditions._changed[GatewayKind.ALIPAY]._waiters
    async with asyncio.timeout(10):
        while held:  # noqa: ASYNC110 # nobody is told when somebody has gone
            await asyncio.sleep(0)


async def test_a_gateway_that_goes_down_while_it_hangs_drops_whom_it_held(
    serving: Serving, client: aiohttp.ClientSession
) -> None:
    serving.turn(GatewayKind.ALIPAY, Trait.HANG)
    asking = asyncio.create_task(ask(client, serving, GatewayKind.ALIPAY))
    await until_held(serving, GatewayKind.ALIPAY)
    serving.turn(GatewayKind.ALIPAY, Trait.DOWN)
    with pytest.raises(aiohttp.ClientConnectionError):
        await asking


@pytest.mark.parametrize(("gateway", "off_s"), [(GatewayKind.ALIPAY, -300), (GatewayKind.WECHAT, 300)])
async def test_a_wrong_clock_shows_in_the_date(
    serving: Serving, client: aiohttp.ClientSession, gateway: GatewayKind, off_s: int
) -> None:
    async def ahead() -> float:
        response = await ask(client, serving, gateway)
        return (parsedate_to_datetime(response.headers["Date"]) - CLOCK.now()).total_seconds()

    assert abs(await ahead()) < 60
    serving.turn(gateway, Trait.WRONG_CLOCK, timedelta(seconds=off_s))
    assert abs(await ahead() - off_s) < 60


async def test_a_person_turns_a_gateway_and_rolls_its_certificate_over(
    serving: Serving, client: aiohttp.ClientSession
) -> None:
    url = f"{serving.url}/sandbox/gateways"
    sent = {"gateway": "wechat", "condition": "throttle", "roll_over": True}
    async with client.post(url, json=sent) as response:
        told = await response.json()
    async with client.get(url) as response:
        assert await response.json() == told
    assert told["alipay"] == {"condition": "well", "off_s": 0.0}
    assert told["wechat"]["condition"] == "throttle"
    assert told["wechat"]["platform_serials"] == list(serving.platform.serials)
    assert len(serving.platform.serials) == 2
    for one_thing in ({"condition": "well"}, {"roll_over": True}):
        async with client.post(url, json={"gateway": "wechat"} | one_thing) as response:
            told = await response.json()
    assert (told["wechat"]["condition"], len(told["wechat"]["platform_serials"])) == ("well", 3)


async def test_a_test_rolls_the_certificate_over_by_hand(serving: Serving) -> None:
    assert serving.roll_over() == serving.platform.newest.serial != serving.platform.serials[0]


async def test_a_turn_that_cannot_be_is_a_400_that_says_why(serving: Serving, client: aiohttp.ClientSession) -> None:
    url = f"{serving.url}/sandbox/gateways"
    async with client.post(url, json={"gateway": "wechat", "condition": "ill"}) as response:
        assert response.status == 400
        assert "condition is one of" in await response.text()
    async with client.post(url, data=b"{", headers={"Content-Type": "application/json"}) as response:
        assert (response.status, "that is no JSON" in await response.text()) == (400, True)
    async with client.post(url, data=b"{}") as response:
        assert response.status == 415
