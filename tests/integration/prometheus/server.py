"""A real Prometheus on loopback, and its promtool: what judges our rules and our dashboard is what will run them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import shutil
import socket
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).parents[3]
RULES: Final = ROOT / "config" / "prometheus" / "alerts.yml"
UP_WITHIN_S: Final = 60.0
CONFIGURATION: Final = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}"]
scrape_configs:
  - job_name: reconciler
    static_configs: [{{targets: {targets}, labels: {{shop: main}}}}]
"""


def program(name: str) -> str:
    """Give the path of `prometheus` or `promtool`; without it, skip the test (or fail, in CI)."""
    found = shutil.which(name)
    if found is None:
        why = f"{name} is not installed: Debian's package `prometheus` brings it (its service need not run)"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    return found


def free_port() -> int:
    """Give a port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True, slots=True)
class Prometheus:
    """One that runs."""

    port: int

    async def samples(self, expression: str) -> Sequence[Mapping[str, Any]]:
        """Evaluate an expression now, as a panel does; give what is a number. Fails where it is no PromQL."""
        data = await self._get("query", query=expression)
        return [item for item in data["result"] if not math.isnan(float(item["value"][1]))]

    async def rules(self) -> Mapping[str, Mapping[str, Any]]:
        """Give every alert rule by its name, with its health and what it says now."""
        groups = (await self._get("rules"))["groups"]
        return {rule["name"]: rule for group in groups for rule in group["rules"]}

    async def alerting(self) -> set[str]:
        """Name the rules whose expression holds now, whether for long enough or not."""
        return {name for name, rule in (await self.rules()).items() if rule["state"] != "inactive"}

    async def _get(self, what: str, **parameters: str) -> Any:  # noqa: ANN401 # whatever its API documents
        url = f"http://127.0.0.1:{self.port}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"

        def exchange() -> Any:  # noqa: ANN401 # as above
            try:
                with urllib.request.urlopen(url, timeout=30) as response:  # our own loopback
                    return json.load(response)["data"]
            except urllib.error.HTTPError as refused:
                if refused.code == HTTPStatus.SERVICE_UNAVAILABLE:  # it reads its own log first
                    raise
                raise AssertionError(f"{parameters}: {refused.read().decode()}") from refused

        return await asyncio.to_thread(exchange)


@contextlib.asynccontextmanager
async def prometheus(directory: Path, targets: Sequence[str]) -> AsyncIterator[Prometheus]:
    """Run one that scrapes these targets every second, with our rules loaded as they are."""
    configuration = directory / "prometheus.yml"
    configuration.write_text(CONFIGURATION.format(rules=RULES, targets=json.dumps(list(targets))))
    port = free_port()
    with (directory / "prometheus.log").open("w") as log:
        process = await asyncio.create_subprocess_exec(
            program("prometheus"), f"--config.file={configuration}", f"--storage.tsdb.path={directory}/tsdb",
            f"--web.listen-address=127.0.0.1:{port}", stdout=log, stderr=log,
        )  # fmt: skip
        try:
            server = Prometheus(port)
            async with asyncio.timeout(UP_WITHIN_S):
                while not await _answers(server):
                    assert process.returncode is None, (directory / "prometheus.log").read_text()[-2000:]
                    await asyncio.sleep(0.1)
            yield server
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def _answers(server: Prometheus) -> bool:
    try:
        return bool(await server.rules())
    except OSError:
        return False
