"""/healthz, /readyz, /metrics over a real socket."""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from reconciler.ops.health import HealthServer
from reconciler.ops.metrics import Metrics

LOOPBACK = "127.0.0.1"


def server_of(unwell: list[str], unready: list[str]) -> HealthServer:
    metrics = Metrics(version="1", mode="observe")
    return HealthServer(metrics, unwell=lambda: unwell, unready=lambda: unready, role=lambda: "standby")


@asynccontextmanager
async def serving(unwell: list[str], unready: list[str]) -> AsyncIterator[int]:
    server = server_of(unwell, unready)
    port = await server.start(LOOPBACK, 0)
    try:
        yield port
    finally:
        await server.stop()


async def get(port: int, path: str, method: str = "GET") -> tuple[int, str, dict[str, str]]:
    def exchange() -> tuple[int, str, dict[str, str]]:
        connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            return response.status, response.read().decode(), dict(response.getheaders())
        finally:
            connection.close()

    return await asyncio.to_thread(exchange)


async def test_it_says_whether_it_is_alive_and_why_not() -> None:
    unwell: list[str] = []
    async with serving(unwell, ["the shop's database is away"]) as port:
        assert (await get(port, "/healthz"))[:2] == (200, "alive\n"), "what is away is no reason to be killed"
        unwell.append("the rounds hang")
        assert (await get(port, "/healthz"))[:2] == (503, "not alive: the rounds hang\n")


async def test_it_says_whether_it_is_ready_and_as_what_or_each_reason_why_not() -> None:
    unready = ["the shop's database is away", "no channel can be asked"]
    async with serving([], unready) as port:
        assert (await get(port, "/readyz"))[:2] == (
            503,
            "not ready: the shop's database is away\nnot ready: no channel can be asked\n",
        )
        unready.clear()
        assert (await get(port, "/readyz"))[:2] == (200, "ready: standby\n")


async def test_it_shows_the_figures_and_not_what_it_runs_on() -> None:
    async with serving([], []) as port:
        status, body, headers = await get(port, "/metrics")

        assert status == 200
        assert 'reconciler_info{mode="observe",version="1"} 1.0' in body
        assert headers["Server"] == "reconciler"


@pytest.mark.parametrize(("path", "method", "status"), [("/", "GET", 404), ("/metrics", "POST", 405)])
async def test_there_is_nothing_else(path: str, method: str, status: int) -> None:
    async with serving([], []) as port:
        assert (await get(port, path, method))[0] == status


async def test_a_port_that_is_taken_is_an_oserror_and_leaves_nothing_behind() -> None:
    async with serving([], []) as port:
        second = server_of([], [])

        with pytest.raises(OSError, match="in use"):
            await second.start(LOOPBACK, port)
        await second.stop()


async def test_a_stopped_server_has_let_go_of_its_port() -> None:
    async with serving([], []) as port:
        pass
    with pytest.raises(ConnectionRefusedError):
        await get(port, "/healthz")
