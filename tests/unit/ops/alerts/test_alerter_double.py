"""The double of a target and the real one pass the same suite."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from reconciler.ops.alerts.apprise_target import AppriseTarget
from reconciler.ports import Alerter
from reconciler.testing.alerter import RecordingAlerter
from reconciler.testing.alerter_conformance import AlerterConformance


class TestTheDouble(AlerterConformance):
    @pytest.fixture
    def taking(self) -> Alerter:
        return RecordingAlerter()

    @pytest.fixture
    def refusing(self) -> Alerter:
        made = RecordingAlerter()
        made.why = "it answered 500"
        return made


class TestAppriseTarget(AlerterConformance):
    @pytest.fixture
    async def port(self) -> AsyncIterator[int]:
        async def take(request: web.Request) -> web.Response:
            return web.Response(status=500 if "no" in request.path else 200)

        application = web.Application()
        application.router.add_post("/{path:.*}", take)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
        await runner.cleanup()

    @pytest.fixture
    def taking(self, port: int) -> Alerter:
        return AppriseTarget("alerts.targets[0]", f"json://127.0.0.1:{port}/yes")

    @pytest.fixture
    def refusing(self, port: int) -> Alerter:
        return AppriseTarget("alerts.targets[0]", f"json://127.0.0.1:{port}/no")
