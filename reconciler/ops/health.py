"""What a supervisor and Prometheus ask over HTTP: /healthz, /readyz, /metrics. It binds only what it is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aiohttp import web

from reconciler.ops.metrics import Metrics

KEEPALIVE_S = 30.0
SHUTDOWN_S = 1.0
HEADER_BYTES_MAX = 8190


class HealthServer:
    """Answers whoever asks; what it says is up to those who know.

    `unwell` gives the reasons why the process should be ended and started again, `unready` those why it does not do
    its work now. None means well, or ready in its `role`.
    """

    def __init__(
        self,
        metrics: Metrics,
        *,
        unwell: Callable[[], Sequence[str]],
        unready: Callable[[], Sequence[str]],
        role: Callable[[], str],
    ) -> None:
        self._metrics = metrics
        self._unwell = unwell
        self._unready = unready
        self._role = role
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
        return _said("alive", "not alive", self._unwell())

    async def _readyz(self, _request: web.Request) -> web.Response:
        return _said(f"ready: {self._role()}", "not ready", self._unready())

    async def _exposition(self, request: web.Request) -> web.Response:
        body, content_type = self._metrics.exposition(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})


def _said(well: str, not_well: str, reasons: Sequence[str]) -> web.Response:
    if not reasons:
        return web.Response(text=f"{well}\n")
    return web.Response(status=503, text="".join(f"{not_well}: {reason}\n" for reason in reasons))


async def _without_server_header(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "reconciler"
