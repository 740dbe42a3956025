from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from reconciler.events.telling import HeartbeatFailed, HeartbeatRestored
from reconciler.ops.alerts.heartbeat import EVERY_S, Heartbeat
from reconciler.testing.clock import ManualClock
from reconciler.testing.events import RecordingEvents
from reconciler.transport import HttpRequest, HttpResponse, Transport, TransportFailure

URL = "https://hc.example/ping/s3cr3t-uuid"


class Line:
    """Stands for the transport."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.status: int | None = 200

    async def send(self, request: HttpRequest, _timeout: object) -> HttpResponse:
        self.asked.append(f"{request.method} {request.url}")
        if self.status is None:
            raise TransportFailure("cannot connect to hc.example:443: Connection refused")
        return HttpResponse(self.status, (), b"OK")

    async def close(self) -> None:
        pass


class Kept:
    def __init__(self) -> None:
        self.clock, self.events, self.line = ManualClock(), RecordingEvents(), Line()
        self.hung_since_s: float | None = None
        self.heartbeat = Heartbeat(URL, self.line, self.events, self.clock)  # type: ignore[arg-type] # stands for it


@pytest.fixture
async def kept() -> AsyncIterator[Kept]:
    made = Kept()

    def beat() -> float:
        return made.clock.monotonic() - 5 if made.hung_since_s is None else made.hung_since_s

    keeping = asyncio.create_task(made.heartbeat.keep(beat))
    await made.clock.sleep(0)
    yield made
    keeping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await keeping


async def test_it_is_sent_each_minute_while_the_work_goes_on_and_not_when_the_loop_hangs(kept: Kept) -> None:
    await kept.clock.advance(EVERY_S * 5)
    sent = len(kept.line.asked)
    assert sent in {5, 6}
    kept.hung_since_s = kept.clock.monotonic()
    assert set(kept.line.asked) == {f"GET {URL}"}
    await kept.clock.advance(EVERY_S * 10)
    assert len(kept.line.asked) <= sent + 1, "no progress, no sign of life"


@pytest.mark.parametrize("status", [None, 404, 500, 302])
async def test_that_it_is_not_taken_is_said_once_at_each_end(kept: Kept, status: int | None) -> None:
    kept.line.status = status
    for _ in range(5):
        await kept.heartbeat.send()
        await kept.clock.advance(1)
    kept.line.status = 200
    await kept.heartbeat.send()
    await kept.heartbeat.send()
    assert kept.events.names == ["heartbeat.failed", "heartbeat.restored"]
    (failed,), (restored,) = kept.events.of(HeartbeatFailed), kept.events.of(HeartbeatRestored)
    assert "s3cr3t" not in failed.why
    assert restored.after.total_seconds() == 5


async def test_a_fault_is_said_at_the_address_for_it(kept: Kept) -> None:
    kept.line.status = None
    await kept.heartbeat.fail()
    assert kept.line.asked[-1] == f"GET {URL}/fail"
    assert kept.events.names == []


async def test_it_goes_through_the_one_transport_to_a_real_socket() -> None:
    paths: list[str] = []

    async def take(request: web.Request) -> web.Response:
        paths.append(request.path)
        return web.Response(text="OK")

    application = web.Application()
    application.router.add_get("/{path:.*}", take)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    events = RecordingEvents()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/ping/x"
    heartbeat = Heartbeat(url, Transport(), events, ManualClock())
    assert await heartbeat.send()
    await heartbeat.fail()
    await heartbeat.close()
    await runner.cleanup()
    assert paths == ["/ping/x", "/ping/x/fail"]
    assert events.names == []
