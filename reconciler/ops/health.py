"""What a supervisor and Prometheus ask over HTTP: /healthz, /readyz, /metrics. It binds only what it is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aiohttp import web

from reconciler.ops.metrics import Metrics

KEEPALIVE_S = 30.0
SHUTDOWN_S = 1.0
HEADER_BYTES_MAX = 8190


class HealthServer:
    """Answers while the loop turns: that alone is what /healthz says.

    `unready` gives the reasons why the daemon does not do its work now; none means ready, as leader or as standby.
    """

    def __init__(self, metrics: Metrics, unready: Callable[[], Sequence[str]]) -> None:
        self._metrics = metrics
        self._unready = unready
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen on this address; give the port, which is another where 0 was asked for.

        Raises OSError where the address is taken or is not this machine's.
        """
        application = web.Application(client_max_size=1)
        application.router.add_get("/healthz", self._healthz)
        application.router.add_get("/readyz", self._readyz)
        application.router.add_get("/metrics", self._exposition)
        application.on_response_prepare.append(_without_server_header)
        runner = web.AppRunner(
            application,
            access_log=None,
            handle_signals=False,
            keepalive_timeout=KEEPALIVE_S,
            shutdown_timeout=SHUTDOWN_S,
            max_line_size=HEADER_BYTES_MAX,
            max_field_size=HEADER_BYTES_MAX,
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        bound: int = runner.addresses[0][1]
        return bound

    async def stop(self) -> None:
        """Let go of the address."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def _readyz(self, _request: web.Request) -> web.Response:
        reasons = self._unready()
        if not reasons:
            return web.Response(text="ready\n")
        return web.Response(status=503, text="".join(f"not ready: {reason}\n" for reason in reasons))

    async def _exposition(self, request: web.Request) -> web.Response:
        body, content_type = self._metrics.exposition(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})


async def _without_server_header(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "reconciler"
